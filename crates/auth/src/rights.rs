//! Who may read an artifact (design.md §3 "Who may read").
//!
//! | visibility | who |
//! |---|---|
//! | `public`, `unlisted` | anyone |
//! | `org` | a caller of the owner's issuer and organisation; both sides must have one |
//! | `user` | the owner: the same issuer and `sub`, and the same organisation if either side has one |
//! | null, unknown | nobody |
//! | any | an admin of the namespace |
//!
//! Where a right follows from the caller's identity, the token must carry `artifacts:read` (or `artifacts:admin`): a
//! token that was made only for writing must not become a key to everything that its user may read.
//!
//! A missing value equals nothing. For `user` this is about `sub`: without one there is no owner. An organisation
//! refines who the owner is: with one it must be the same one, so the same `sub` in another organisation, or in none,
//! is somebody else. Two identities without any organisation are told apart by issuer and `sub` alone; an issuer gives
//! each `sub` once, and otherwise nobody could ever read what was written with such a token.

use firn_types::{key::Namespace, visibility::Visibility};

use crate::identity::{Identity, Scope};

/// The identity that wrote a row, as stored. A row of another engine may lack any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Issuer.
    pub iss: Option<String>,
    /// Organisation.
    pub org: Option<String>,
    /// User.
    pub sub: Option<String>,
}

/// Whether a caller may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Access {
    /// It may.
    Granted,
    /// It may not, and must not learn that there is anything to read.
    Denied,
}

/// Whether `caller` (`None`: anonymous) may read an artifact of `ns`, whose newest version has these rights.
/// `visibility` is `None` where the stored word is null or unknown.
pub fn may_read(
    visibility: Option<Visibility>,
    owner: &Owner,
    caller: Option<&Identity>,
    ns: &Namespace,
) -> Access {
    let granted = match visibility {
        Some(Visibility::Public | Visibility::Unlisted) => true,
        Some(Visibility::Org) => caller.is_some_and(|c| c.is_admin(ns) || (reads(c) && same_org(owner, c))),
        Some(Visibility::User) => caller.is_some_and(|c| c.is_admin(ns) || (reads(c) && same_user(owner, c))),
        None => caller.is_some_and(|c| c.is_admin(ns)),
    };
    if granted { Access::Granted } else { Access::Denied }
}

fn reads(caller: &Identity) -> bool {
    caller.scopes.allow(Scope::Read)
}

fn same_org(owner: &Owner, caller: &Identity) -> bool {
    same_issuer(owner, caller) && both_are(owner.org.as_deref(), caller.org.as_deref())
}

fn same_user(owner: &Owner, caller: &Identity) -> bool {
    let no_org = owner.org.is_none() && caller.org.is_none();
    same_issuer(owner, caller)
        && both_are(owner.sub.as_deref(), caller.sub.as_deref())
        && (no_org || both_are(owner.org.as_deref(), caller.org.as_deref()))
}

fn same_issuer(owner: &Owner, caller: &Identity) -> bool {
    both_are(owner.iss.as_deref(), Some(&caller.issuer))
}

/// Equal and there. An empty text in a row of another engine is as good as missing.
fn both_are(stored: Option<&str>, claimed: Option<&str>) -> bool {
    matches!((stored, claimed), (Some(a), Some(b)) if a == b && !a.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{NsPattern, Scopes};

    fn some(text: &str) -> Option<String> {
        (text != "-").then(|| text.to_owned())
    }

    /// `"issuer org sub"`, with `-` for what is missing.
    fn owner(text: &str) -> Owner {
        let parts: Vec<&str> = text.split(' ').collect();
        Owner { iss: some(parts[0]), org: some(parts[1]), sub: some(parts[2]) }
    }

    fn caller(text: &str, ns: &str, scope: &str) -> Identity {
        let Owner { iss, org, sub } = owner(text);
        let namespaces = vec![NsPattern::parse(ns).unwrap()];
        let issuer = iss.unwrap();
        Identity { issuer, org, sub, roles: Vec::new(), namespaces, scopes: Scopes::parse(scope) }
    }

    fn access(visibility: Option<Visibility>, owned_by: &str, caller: Option<&Identity>) -> bool {
        let ns = Namespace::parse("app.do").unwrap();
        may_read(visibility, &owner(owned_by), caller, &ns) == Access::Granted
    }

    #[track_caller]
    fn check(visibility: Visibility, owned_by: &str, read_by: &str, expected: bool) {
        let caller = caller(read_by, "other.do", "artifacts:read");
        let got = access(Some(visibility), owned_by, Some(&caller));
        assert_eq!(got, expected, "{visibility:?} of {owned_by:?} read by {read_by:?}");
    }

    #[test]
    fn open_artifacts_are_for_anyone() {
        for visibility in [Visibility::Public, Visibility::Unlisted] {
            assert!(access(Some(visibility), "- - -", None));
            check(visibility, "i o s", "j - -", true);
        }
    }

    #[test]
    fn anonymous_reads_only_what_is_open() {
        for visibility in [Some(Visibility::Org), Some(Visibility::User), None] {
            assert!(!access(visibility, "i o s", None), "{visibility:?}");
            assert!(!access(visibility, "- - -", None), "{visibility:?}");
        }
    }

    #[test]
    fn org_is_one_organisation_of_one_issuer() {
        check(Visibility::Org, "i o s", "i o s", true);
        check(Visibility::Org, "i o s", "i o other", true);
        check(Visibility::Org, "i o -", "i o -", true);
        check(Visibility::Org, "i o s", "j o s", false);
        check(Visibility::Org, "i o s", "i p s", false);
        check(Visibility::Org, "i o s", "i - s", false);
        check(Visibility::Org, "i - s", "i o s", false);
        check(Visibility::Org, "i - s", "i - s", false);
        check(Visibility::Org, "- o s", "i o s", false);
        check(Visibility::Org, "- - -", "i - -", false);
    }

    #[test]
    fn user_is_the_owner() {
        check(Visibility::User, "i o s", "i o s", true);
        check(Visibility::User, "i - s", "i - s", true);
        check(Visibility::User, "i o s", "j o s", false);
        check(Visibility::User, "i o s", "i o t", false);
        check(Visibility::User, "i o s", "i p s", false);
        check(Visibility::User, "i o s", "i - s", false);
        check(Visibility::User, "i - s", "i o s", false);
        check(Visibility::User, "i o -", "i o -", false);
        check(Visibility::User, "i - -", "i - -", false);
        check(Visibility::User, "- o s", "i o s", false);
        check(Visibility::User, "- - -", "i - -", false);
    }

    #[test]
    fn empty_text_of_another_engine_is_as_good_as_missing() {
        let ns = Namespace::parse("app.do").unwrap();
        let empty = Owner { iss: some(""), org: some(""), sub: some("") };
        let mut caller = caller("i - -", "other.do", "artifacts:read");
        (caller.issuer, caller.org, caller.sub) = (String::new(), some(""), some(""));
        for visibility in [Visibility::Org, Visibility::User] {
            assert_eq!(may_read(Some(visibility), &empty, Some(&caller), &ns), Access::Denied);
        }
    }

    #[test]
    fn identity_counts_only_with_a_scope_for_reading() {
        for (scope, expected) in
            [("artifacts:read", true), ("artifacts:admin", true), ("artifacts:write", false), ("", false)]
        {
            let caller = caller("i o s", "other.do", scope);
            for visibility in [Visibility::Org, Visibility::User] {
                assert_eq!(access(Some(visibility), "i o s", Some(&caller)), expected, "{scope}");
            }
            assert!(access(Some(Visibility::Public), "i o s", Some(&caller)));
        }
    }

    #[test]
    fn admin_reads_everything_of_its_namespaces() {
        let everything = Visibility::ALL.into_iter().map(Some).chain([None]);
        for visibility in everything {
            let is_open = visibility.is_some_and(Visibility::is_open);
            for (ns, scope, expected) in [
                ("app.do", "artifacts:admin", true),
                ("*.do", "artifacts:admin", true),
                ("other.do", "artifacts:admin", is_open),
                ("*", "artifacts:admin", is_open),
                ("app.do", "artifacts:read artifacts:write", is_open),
            ] {
                let caller = caller("j - -", ns, scope);
                for owned_by in ["i o s", "- - -"] {
                    assert_eq!(
                        access(visibility, owned_by, Some(&caller)),
                        expected,
                        "{visibility:?} {ns} {scope}"
                    );
                }
            }
        }
    }
}
