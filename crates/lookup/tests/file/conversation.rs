//! A driver over one object in memory that writes down what was asked.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use firn_lookup::{
    file::{
        FileRequest, FoundRow,
        error::LookupError,
        footer::FileFooter,
        lookup::FileLookup,
        scan::{FileScan, ScanRequest},
    },
    need::{Need, Role, Step, Supplied},
};
use firn_store::coalesce::plan_reads;
use firn_types::object::{ByteRange, ObjectKey};

/// What was asked, wave by wave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) waves: Vec<Vec<(Role, Range<u64>)>>,
    /// Requests after coalescing.
    pub(crate) requests: usize,
    /// Bytes after coalescing.
    pub(crate) len_bytes: u64,
}

/// More waves than any lookup of a sound file takes; a lookup that goes on is taken to hang.
const WAVES_MAX: usize = 200;

impl Conversation {
    /// The roles of each wave, in the order of first use.
    pub(crate) fn roles(&self) -> Vec<Vec<Role>> {
        let of = |wave: &Vec<(Role, Range<u64>)>| {
            let mut roles: Vec<Role> = wave.iter().map(|(role, _)| *role).collect();
            roles.dedup();
            roles
        };
        self.waves.iter().map(of).collect()
    }

    fn perform(&mut self, object: &Bytes, needs: &[Need]) -> Vec<Supplied> {
        assert!(!needs.is_empty());
        assert!(self.waves.len() < WAVES_MAX, "the lookup goes on: {:?}", self.waves.last());
        let len = object.len() as u64;
        let resolve = |range: &ByteRange| match range {
            ByteRange::Range(range) => range.clone(),
            ByteRange::Tail { len_bytes } => len.saturating_sub(*len_bytes)..len,
        };
        let asked: Vec<(ObjectKey, ByteRange)> =
            needs.iter().map(|need| (need.object.clone(), need.range.clone())).collect();
        let plan = plan_reads(&asked);
        self.requests += plan.reads.len();
        self.len_bytes +=
            plan.reads.iter().map(|(_, range)| resolve(range)).map(|r| r.end - r.start).sum::<u64>();
        self.waves.push(needs.iter().map(|need| (need.role, resolve(&need.range))).collect());
        needs
            .iter()
            .map(|need| {
                let range = resolve(&need.range);
                let is_sound = need.range == ByteRange::Range(range.clone()) && range.start < range.end;
                assert!(
                    range.end <= len && (is_sound || matches!(need.range, ByteRange::Tail { .. })),
                    "{need:?}"
                );
                Supplied {
                    bytes: object.slice(range.start as usize..range.end as usize),
                    offset: range.start,
                    object_len_bytes: len,
                }
            })
            .collect()
    }
}

pub(crate) type Answer = (Vec<FoundRow>, Conversation, Option<Arc<FileFooter>>);

/// Runs a lookup to its end.
pub(crate) fn look_up(
    object: &Bytes,
    request: FileRequest,
    held: Option<Arc<FileFooter>>,
) -> Result<Answer, LookupError> {
    let mut lookup = FileLookup::new(request, held);
    let (rows, conversation) = drive(&mut lookup, object)?;
    Ok((rows, conversation, lookup.footer()))
}

/// The same of a lookup that was made already.
pub(crate) fn drive(
    lookup: &mut FileLookup,
    object: &Bytes,
) -> Result<(Vec<FoundRow>, Conversation), LookupError> {
    let mut conversation = Conversation::default();
    let mut supplied = Vec::new();
    loop {
        match lookup.step(supplied)? {
            Step::Need(needs) => supplied = conversation.perform(object, &needs),
            Step::Done(rows) => return Ok((rows, conversation)),
        }
    }
}

/// Reads every row.
pub(crate) fn scan(object: &Bytes, request: ScanRequest) -> Result<Vec<FoundRow>, LookupError> {
    let (mut conversation, mut scan) = (Conversation::default(), FileScan::new(request, None));
    let (mut supplied, mut all) = (Vec::new(), Vec::new());
    loop {
        match scan.step(supplied)? {
            Step::Need(needs) => supplied = conversation.perform(object, &needs),
            Step::Done(None) => return Ok(all),
            Step::Done(Some(rows)) => {
                all.extend(rows);
                supplied = Vec::new();
            }
        }
    }
}

/// Reads the footer alone.
pub(crate) fn footer(object: &Bytes, request: ScanRequest) -> Result<Arc<FileFooter>, LookupError> {
    let (mut conversation, mut scan) = (Conversation::default(), FileScan::new(request, None));
    let mut supplied = Vec::new();
    loop {
        match scan.step(supplied)? {
            Step::Need(needs) => supplied = conversation.perform(object, &needs),
            Step::Done(_) => return Ok(scan.footer().unwrap()),
        }
    }
}
