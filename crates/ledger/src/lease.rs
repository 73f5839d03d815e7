//! Running requests: leases, takeover, chunk digests, reserved ranges, and answers kept for a while (design.md §3
//! "Idempotency").

use std::ops::Range;

use firn_types::{mode::Mode, time::Micros, version::VERSION_MAX};

use crate::{
    Ledger, LedgerError,
    limits::{ANSWER_KEPT, LEASE, SECOND},
    row::{instant, stored},
    sql::Param,
};

/// A request that begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// Hash of the idempotency key, where the request has one.
    pub key: Option<&'a [u8]>,
    /// Digest of what must be the same under the same key besides the body: mode, caller, defaults.
    pub fingerprint: &'a [u8],
    /// Names the request in its rows, if it is not a continued one.
    pub ingest_id: &'a str,
    /// Its mode.
    pub mode: Mode,
}

/// The right to go on with a request. Every call with it fails with [`LedgerError::LeaseLost`] once another request
/// took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lease {
    /// The request.
    pub ingest: i64,
    /// Rises with every takeover.
    pub epoch: i64,
}

/// What became of a request's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Begun {
    /// It is new.
    Started(Lease),
    /// It continues one whose lease ran out.
    TakenOver(TakenOver),
    /// One with its key is running.
    InFlight {
        /// Seconds until its lease ends, at least 1.
        retry_after_secs: u64,
    },
    /// One with its key is done. Its chunks can be compared by [`Ledger::offer`]: another digest means another body.
    Finished {
        /// The request, for `offer` alone.
        lease: Lease,
        /// Its answer, as the commit stored it.
        #[cfg_attr(feature = "serde", serde(with = "serde_bytes"))]
        answer: Vec<u8>,
    },
    /// Its key was used with another fingerprint.
    Mismatch,
}

/// A request that is continued. Its rows must carry the values of the first attempt, so that a row that is sent again
/// is identical.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TakenOver {
    /// The lease.
    pub lease: Lease,
    /// The first attempt's name in rows.
    pub ingest_id: String,
    /// The first attempt's time in rows.
    pub started_at: Micros,
    /// Chunks taken so far; [`Ledger::offer`] says which.
    pub chunk_count: u64,
    /// The versions reserved, in bulk.
    pub reserved: Option<Range<i64>>,
}

/// Whether a chunk must be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Offered {
    /// It must.
    Wanted,
    /// It was taken before.
    Taken,
    /// Another chunk was taken in its place: the body is another one.
    Mismatch,
}

pub(crate) const RUNNING: i64 = 0;
pub(crate) const FINISHED: i64 = 1;

/// What is stored of a request.
pub(crate) struct Ingest {
    pub(crate) mode: i64,
    pub(crate) state: i64,
    pub(crate) chunk_count: u64,
    pub(crate) row_count: u64,
    pub(crate) first_version: Option<i64>,
    pub(crate) version_count: u64,
    pub(crate) unchanged_count: u64,
    pub(crate) answer: Option<Vec<u8>>,
}

impl Ledger {
    /// Begins a request, or continues one.
    pub fn begin(&self, now: Micros, begin: &Begin<'_>) -> Result<Begun, LedgerError> {
        let now = instant(now);
        self.write(|| {
            let Some(key) = begin.key else { return self.start(now, begin).map(Begun::Started) };
            let found = self.one(
                "SELECT ingest, epoch, ingest_id, started_at, chunk_count, first_version, version_count, \
                 fingerprint, state, until, answer FROM ingests WHERE idempotency_key = ?1",
                &[Param::Blob(key)],
                |row| {
                    let before = TakenOver {
                        lease: Lease { ingest: row.int(), epoch: row.int() },
                        ingest_id: row.text(),
                        started_at: Micros(row.int()),
                        chunk_count: row.count(),
                        reserved: reserved(row.opt_int(), row.int()),
                    };
                    (before, row.blob(), row.int(), row.int(), row.opt_blob())
                },
            )?;
            let Some((mut before, fingerprint, state, until, answer)) = found else {
                return self.start(now, begin).map(Begun::Started);
            };
            if fingerprint != begin.fingerprint {
                return Ok(Begun::Mismatch);
            }
            if state == FINISHED {
                return Ok(Begun::Finished { lease: before.lease, answer: answer.unwrap_or_default() });
            }
            if until > now {
                let secs = (until - now + SECOND - 1) / SECOND;
                return Ok(Begun::InFlight { retry_after_secs: u64::try_from(secs).unwrap_or(1) });
            }
            before.lease.epoch = self.next_epoch()?;
            self.run(
                "UPDATE ingests SET epoch = ?2, until = ?3 WHERE ingest = ?1",
                &[Param::Int(before.lease.ingest), Param::Int(before.lease.epoch), Param::Int(now + LEASE.0)],
            )?;
            Ok(Begun::TakenOver(before))
        })
    }

    /// Asks whether a chunk must be sent, and renews the lease. In bulk before every send, which it notes: from then on
    /// the chunk may be in the stream, and another one in its place would be other rows under the same versions.
    /// There a mismatch ends the lease, so that no chunk beside it is sent, and a request with the right body may take over.
    /// Otherwise only needed where chunks may have been taken before (a continued or a finished request), because a
    /// stage checks by itself.
    pub fn offer(&self, now: Micros, lease: Lease, idx: u64, digest: &[u8]) -> Result<Offered, LedgerError> {
        self.write(|| {
            let ingest = self.held(lease)?;
            let offered = self.compare(lease, idx, digest)?;
            if ingest.state == RUNNING {
                let is_bulk = ingest.mode == mode_code(Mode::Bulk);
                match offered {
                    Offered::Wanted if is_bulk => self.note_chunk(lease, idx, digest, 0)?,
                    Offered::Mismatch if is_bulk => return self.fence(instant(now), lease).map(|()| offered),
                    _ => {}
                }
                self.extend_lease(instant(now), lease, 0, 0)?;
            }
            Ok(offered)
        })
    }

    /// Renews the lease while nothing else does.
    pub fn renew(&self, now: Micros, lease: Lease) -> Result<(), LedgerError> {
        self.write(|| {
            self.running(lease)?;
            self.extend_lease(instant(now), lease, 0, 0)
        })
    }

    /// Bulk: reserves versions for as many records as the request may hold, before the first send. The record at
    /// place `n` of the records that are sent has version `start + n`. A second call gives the first one's range.
    pub fn reserve(&self, now: Micros, lease: Lease, count: u64) -> Result<Range<i64>, LedgerError> {
        self.write(|| {
            let ingest = self.running(lease)?;
            if let Some(first) = ingest.first_version {
                return Ok(first..first.saturating_add(stored(ingest.version_count)));
            }
            let first = self.take_versions(instant(now), count, 0)?;
            self.run(
                "UPDATE ingests SET first_version = ?2, version_count = ?3 WHERE ingest = ?1",
                &[Param::Int(lease.ingest), Param::Int(first), Param::Int(stored(count))],
            )?;
            Ok(first..first.saturating_add(stored(count)))
        })
    }

    /// Bulk: notes that the stream took a chunk. A chunk that was sent and not noted is sent again, identically.
    pub fn chunk_taken(
        &self,
        now: Micros,
        lease: Lease,
        idx: u64,
        digest: &[u8],
        record_count: u64,
        len_bytes: u64,
    ) -> Result<(), LedgerError> {
        let now = instant(now);
        self.write(|| {
            self.running(lease)?;
            if self.compare(lease, idx, digest)? != Offered::Wanted {
                return Ok(());
            }
            self.note_chunk(lease, idx, digest, 1)?;
            self.use_up(now, record_count, len_bytes)?;
            self.extend_lease(now, lease, 1, record_count)
        })
    }

    /// Bulk: ends the request, keeps its answer, and gives back the versions that it did not use, where no later
    /// ones were given.
    pub fn finish(
        &self,
        now: Micros,
        lease: Lease,
        used_count: u64,
        answer: &[u8],
    ) -> Result<(), LedgerError> {
        self.write(|| {
            let ingest = self.held(lease)?;
            if ingest.state == FINISHED {
                return Ok(());
            }
            if let Some(first) = ingest.first_version {
                let last_reserved = first.saturating_add(stored(ingest.version_count)) - 1;
                if self.meta("last_version")? == last_reserved && used_count <= ingest.version_count {
                    self.set_meta("last_version", first.saturating_add(stored(used_count)) - 1)?;
                }
            }
            self.keep_answer(instant(now), lease, answer)
        })
    }

    /// Lets a retry take over at once: for a bulk request that ends without having sent everything.
    pub fn pause(&self, now: Micros, lease: Lease) -> Result<(), LedgerError> {
        self.write(|| {
            self.running(lease)?;
            self.run(
                "UPDATE ingests SET until = ?2 WHERE ingest = ?1",
                &[Param::Int(lease.ingest), Param::Int(instant(now))],
            )
        })
    }

    /// Ends a request as if it had never been: what it staged is dropped and its key is free. Rows that bulk has sent
    /// stay sent. A lease that was lost, or a finished request, is left alone.
    pub fn abort(&self, lease: Lease) -> Result<(), LedgerError> {
        if !self.is_ready()? {
            return Ok(());
        }
        self.transact(|| {
            self.run(
                "UPDATE ingests SET state = 2, idempotency_key = NULL, until = 0 \
                 WHERE ingest = ?1 AND epoch = ?2 AND state = 0",
                &[Param::Int(lease.ingest), Param::Int(lease.epoch)],
            )
        })
    }

    fn start(&self, now: i64, begin: &Begin<'_>) -> Result<Lease, LedgerError> {
        let epoch = self.next_epoch()?;
        let mode = mode_code(begin.mode);
        self.run(
            "INSERT INTO ingests (ingest, ingest_id, idempotency_key, fingerprint, mode, epoch, started_at, state, \
             until, chunk_count, row_count, version_count, unchanged_count) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?1, ?6, 0, ?7, 0, 0, 0, 0)",
            &[
                Param::Int(epoch),
                Param::Text(begin.ingest_id),
                begin.key.map_or(Param::Null, Param::Blob),
                Param::Blob(begin.fingerprint),
                Param::Int(mode),
                Param::Int(now),
                Param::Int(now + LEASE.0),
            ],
        )?;
        Ok(Lease { ingest: epoch, epoch })
    }

    /// Never given twice, so that neither a request's number nor its lease is.
    fn next_epoch(&self) -> Result<i64, LedgerError> {
        self.add_meta("epoch", 1)?;
        self.meta("epoch")
    }

    /// Takes the lease away from its holder, and gives it to whoever asks next.
    fn fence(&self, now: i64, lease: Lease) -> Result<(), LedgerError> {
        let epoch = self.next_epoch()?;
        self.run(
            "UPDATE ingests SET epoch = ?2, until = ?3 WHERE ingest = ?1",
            &[Param::Int(lease.ingest), Param::Int(epoch), Param::Int(now)],
        )
    }

    /// The request of a lease, running or finished.
    pub(crate) fn held(&self, lease: Lease) -> Result<Ingest, LedgerError> {
        let found = self.one(
            "SELECT mode, state, chunk_count, row_count, first_version, version_count, unchanged_count, answer \
             FROM ingests WHERE ingest = ?1 AND epoch = ?2 AND state < 2",
            &[Param::Int(lease.ingest), Param::Int(lease.epoch)],
            |row| Ingest {
                mode: row.int(),
                state: row.int(),
                chunk_count: row.count(),
                row_count: row.count(),
                first_version: row.opt_int(),
                version_count: row.count(),
                unchanged_count: row.count(),
                answer: row.opt_blob(),
            },
        )?;
        found.ok_or(LedgerError::LeaseLost)
    }

    pub(crate) fn running(&self, lease: Lease) -> Result<Ingest, LedgerError> {
        self.held(lease).and_then(|i| if i.state == RUNNING { Ok(i) } else { Err(LedgerError::LeaseLost) })
    }

    pub(crate) fn compare(&self, lease: Lease, idx: u64, digest: &[u8]) -> Result<Offered, LedgerError> {
        let taken = self.one(
            "SELECT digest, taken FROM chunks WHERE ingest = ?1 AND idx = ?2",
            &[Param::Int(lease.ingest), Param::Int(stored(idx))],
            |row| (row.blob(), row.int()),
        )?;
        Ok(match taken {
            Some((noted, _)) if noted != digest => Offered::Mismatch,
            None | Some((_, 0)) => Offered::Wanted,
            Some(_) => Offered::Taken,
        })
    }

    /// `taken` is 0 or 1.
    pub(crate) fn note_chunk(
        &self,
        lease: Lease,
        idx: u64,
        digest: &[u8],
        taken: i64,
    ) -> Result<(), LedgerError> {
        self.run(
            "INSERT INTO chunks (ingest, idx, digest, taken) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (ingest, idx) DO UPDATE SET taken = excluded.taken",
            &[Param::Int(lease.ingest), Param::Int(stored(idx)), Param::Blob(digest), Param::Int(taken)],
        )
    }

    pub(crate) fn extend_lease(
        &self,
        now: i64,
        lease: Lease,
        chunk_count: i64,
        row_count: u64,
    ) -> Result<(), LedgerError> {
        self.run(
            "UPDATE ingests SET until = ?2, chunk_count = chunk_count + ?3, row_count = row_count + ?4 \
             WHERE ingest = ?1",
            &[
                Param::Int(lease.ingest),
                Param::Int(now + LEASE.0),
                Param::Int(chunk_count),
                Param::Int(stored(row_count)),
            ],
        )
    }

    pub(crate) fn keep_answer(&self, now: i64, lease: Lease, answer: &[u8]) -> Result<(), LedgerError> {
        self.run(
            "UPDATE ingests SET state = 1, until = ?2, answer = ?3 WHERE ingest = ?1",
            &[Param::Int(lease.ingest), Param::Int(now + ANSWER_KEPT.0), Param::Blob(answer)],
        )
    }

    /// Gives `count` versions in a row, above all given before, above `above`, and not below the clock.
    pub(crate) fn take_versions(&self, now: i64, count: u64, above: i64) -> Result<i64, LedgerError> {
        let first = now.max(self.meta("last_version")?.max(above).saturating_add(1)).max(1);
        let last = first.saturating_add(stored(count)) - 1;
        if last > VERSION_MAX {
            return Err(LedgerError::VersionsExhausted);
        }
        self.set_meta("last_version", last)?;
        Ok(first)
    }
}

fn reserved(first: Option<i64>, count: i64) -> Option<Range<i64>> {
    first.map(|first| first..first.saturating_add(count))
}

pub(crate) const fn mode_code(mode: Mode) -> i64 {
    match mode {
        Mode::Preview => 0,
        Mode::Build => 1,
        Mode::Bulk => 2,
    }
}

pub(crate) const fn mode_of(code: i64) -> Mode {
    match code {
        0 => Mode::Preview,
        1 => Mode::Build,
        _ => Mode::Bulk,
    }
}
