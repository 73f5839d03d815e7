//! A copy in the edge cache: what is noted with it, and how old it may be.

use firn_types::{time::Micros, visibility::Visibility};

use super::super::answer::{Facts, Freshness};

/// How long after it was stored a copy is checked against the ledger by whoever finds it. Who stored it checks it, too,
/// and removes it if it is out of date; that is done by then: one call of the ledger, whose deadline is 2 s, and one
/// removal.
pub const SETTLES_MICROS: i64 = 5_000_000;

/// What is noted with a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What its head says.
    pub facts: Facts,
    /// When the row was read.
    pub read_at: Micros,
    /// When the copy was stored.
    pub stored_at: Micros,
    /// Length of the body.
    pub len_bytes: u64,
    /// The version that the ledger called current then; `None` in a deployment without ledgers.
    pub ledger_version: Option<i64>,
}

/// What may be done with a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It is sent, if the ledger still knows the same version.
    Unsettled,
    /// It is sent.
    Fresh {
        /// For how long it is still fresh, in seconds.
        ttl_secs: i64,
    },
    /// It is sent, and a newer one is fetched behind the answer.
    Stale {
        /// How long ago it was fresh, in seconds.
        over_secs: i64,
    },
    /// It is not sent; but if the lake fails, it is still better than an error.
    Late,
    /// It is not sent.
    Expired,
}

impl Entry {
    /// What may be done with it now. `wanted` is what the caller asks for, `bound` what the namespace allows.
    pub fn age(&self, now: Micros, wanted: Freshness, bound: Freshness) -> Age {
        let age_micros = now.0 - self.read_at.0;
        let is_open = self.facts.visibility.is_some_and(Visibility::is_open);
        // A clock that went back tells no age.
        if !is_open || age_micros < 0 || self.facts.expires_at.is_some_and(|at| at <= now) {
            return Age::Expired;
        }
        let age_secs = age_micros / 1_000_000;
        let max_age_secs = |freshness: Freshness| i64::from(freshness.max_age_secs);
        let end_secs = |freshness: Freshness| max_age_secs(freshness) + i64::from(freshness.stale_secs);
        if age_secs >= end_secs(wanted) {
            return if age_secs < end_secs(bound) { Age::Late } else { Age::Expired };
        }
        if now.0 - self.stored_at.0 < SETTLES_MICROS {
            return Age::Unsettled;
        }
        let ttl_secs = max_age_secs(wanted) - age_secs;
        if ttl_secs > 0 { Age::Fresh { ttl_secs } } else { Age::Stale { over_secs: -ttl_secs } }
    }

    /// The note, one line of text.
    pub fn render(&self) -> String {
        let Facts { version, visibility, written_at, expires_at, is_preview: _ } = &self.facts;
        let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
        format!(
            "1 {} {} {} {} {} {} {} {}",
            number(*version),
            visibility.map_or("-", Visibility::as_str),
            number(written_at.map(|at| at.0)),
            number(expires_at.map(|at| at.0)),
            self.read_at.0,
            self.stored_at.0,
            self.len_bytes,
            number(self.ledger_version),
        )
    }

    /// The inverse of [`Self::render`]; `None` for what is no note, or one of another version of this code.
    pub fn parse(note: &str) -> Option<Self> {
        let mut words = note.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let number = |word: &str| match word {
            "-" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        let version = number(words.next()?)?;
        let visibility = Visibility::parse(words.next()?);
        let written_at = number(words.next()?)?.map(Micros);
        let expires_at = number(words.next()?)?.map(Micros);
        let read_at = Micros(words.next()?.parse().ok()?);
        let stored_at = Micros(words.next()?.parse().ok()?);
        let len_bytes = words.next()?.parse().ok()?;
        let ledger_version = number(words.next()?)?;
        let facts = Facts { version, visibility, written_at, expires_at, is_preview: false };
        words.next().is_none().then_some(Self { facts, read_at, stored_at, len_bytes, ledger_version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_AT: i64 = 1_000_000_000;
    const BOUND: Freshness = Freshness { max_age_secs: 300, stale_secs: 60 };

    fn entry(visibility: Option<Visibility>, expires_at: Option<i64>) -> Entry {
        let facts = Facts {
            version: Some(7),
            visibility,
            written_at: Some(Micros(5)),
            expires_at: expires_at.map(Micros),
            is_preview: false,
        };
        Entry {
            facts,
            read_at: Micros(READ_AT),
            stored_at: Micros(READ_AT),
            len_bytes: 12,
            ledger_version: Some(7),
        }
    }

    #[track_caller]
    fn check(entry: &Entry, after_secs: i64, wanted: Freshness, expected: Age) {
        let now = Micros(READ_AT + after_secs * 1_000_000);
        assert_eq!(entry.age(now, wanted, BOUND), expected, "after {after_secs} s");
    }

    #[test]
    fn a_copy_settles_is_fresh_grows_stale_and_expires() {
        let public = entry(Some(Visibility::Public), None);
        check(&public, 0, BOUND, Age::Unsettled);
        check(&public, 4, BOUND, Age::Unsettled);
        check(&public, 5, BOUND, Age::Fresh { ttl_secs: 295 });
        let late = Entry { stored_at: Micros(READ_AT + 7_000_000), ..public.clone() };
        check(&late, 11, BOUND, Age::Unsettled);
        check(&late, 12, BOUND, Age::Fresh { ttl_secs: 288 });
        check(&public, 299, BOUND, Age::Fresh { ttl_secs: 1 });
        check(&public, 300, BOUND, Age::Stale { over_secs: 0 });
        check(&public, 359, BOUND, Age::Stale { over_secs: 59 });
        check(&public, 360, BOUND, Age::Expired);
        check(&public, -1, BOUND, Age::Expired);
        let soon = Freshness { max_age_secs: 10, stale_secs: 60 };
        check(&public, 9, soon, Age::Fresh { ttl_secs: 1 });
        check(&public, 69, soon, Age::Stale { over_secs: 59 });
        check(&public, 70, soon, Age::Late);
        check(&public, 360, soon, Age::Expired);
        check(&public, 0, Freshness { max_age_secs: 0, stale_secs: 0 }, Age::Late);
    }

    #[test]
    fn what_is_not_open_or_has_expired_is_never_sent() {
        for visibility in [None, Some(Visibility::Org), Some(Visibility::User)] {
            check(&entry(visibility, None), 10, BOUND, Age::Expired);
        }
        let expires = entry(Some(Visibility::Unlisted), Some(READ_AT + 20_000_000));
        check(&expires, 10, BOUND, Age::Fresh { ttl_secs: 290 });
        check(&expires, 20, BOUND, Age::Expired);
    }

    #[test]
    fn a_note_comes_back_as_it_was_and_any_other_text_is_none() {
        for entry in [
            entry(Some(Visibility::Public), None),
            entry(Some(Visibility::Unlisted), Some(9)),
            Entry { ledger_version: None, ..entry(None, None) },
        ] {
            assert_eq!(Entry::parse(&entry.render()), Some(entry));
        }
        let note = entry(Some(Visibility::Public), None).render();
        for end in 0..note.len() {
            let cut = Entry::parse(&note[..end]);
            assert!(cut.is_none_or(|cut| cut.ledger_version.is_none_or(|version| version != 7)), "{end}");
        }
        for other in ["", "2 7 public 5 - 1 1 12 7", "1 x public 5 - 1 1 12 7", "1 7 public 5 - 1 1 12 7 8"] {
            assert_eq!(Entry::parse(other), None, "{other}");
        }
    }
}
