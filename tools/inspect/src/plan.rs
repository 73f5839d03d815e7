//! What a lookup read and why, as text.

use std::{fmt::Write as _, io};

use firn_iceberg::data_file::FileContent;
use firn_lookup::{
    held::{Held, HeldObjects},
    need::{Need, Role},
    table::query::{SnapshotChoice, TableQuery},
};
use firn_types::object::{ByteRange, ObjectKey};

use crate::trace::{Cost, Given, Request};

/// The waves of a lookup.
#[derive(Debug)]
pub(crate) struct Plan {
    text: String,
    wave_count: usize,
    manifest_count: usize,
    /// Data files of which something was read.
    data_files: Vec<ObjectKey>,
    /// What finding the table metadata took.
    finding: Cost,
}

impl Plan {
    /// Begins with what finding the table metadata took.
    pub(crate) fn new(table: &ObjectKey, query: &TableQuery, requests: Vec<Request>, finding: Cost) -> Self {
        let mut text = format!("table metadata {table}\n");
        let snapshot = query.metadata.current_snapshot();
        // Writing to a string cannot fail, here and below.
        let _ = match (query.snapshot, snapshot) {
            (SnapshotChoice::Id(id), _) => writeln!(text, "snapshot {id}"),
            (_, Some(snapshot)) => writeln!(text, "snapshot {} (current)", snapshot.snapshot_id),
            (_, None) => writeln!(text, "no snapshot"),
        };
        let mut plan = Self { text, wave_count: 0, manifest_count: 0, data_files: Vec::new(), finding };
        let mut requests = requests.into_iter().peekable();
        while let Some(first) = requests.next() {
            let wave = first.wave;
            let mut of_wave = vec![first];
            while let Some(next) = requests.next_if(|next| next.wave == wave) {
                of_wave.push(next);
            }
            plan.add(&of_wave, |_| "table metadata".to_owned());
        }
        plan
    }

    /// Adds a wave of the lookup.
    pub(crate) fn add_wave(&mut self, needs: &[Need], requests: &[Request]) {
        for need in needs {
            let is_data = matches!(need.role, Role::Footer | Role::KeyPages | Role::TargetPages);
            if is_data && !self.data_files.contains(&need.object) {
                self.data_files.push(need.object.clone());
            }
        }
        self.manifest_count += requests.iter().filter(|r| roles(needs, r).contains(&Role::Manifest)).count();
        self.add(requests, |request| {
            let names: Vec<&str> = roles(needs, request).into_iter().map(name_of).collect();
            names.join(", ")
        });
    }

    fn add(&mut self, requests: &[Request], why: impl Fn(&Request) -> String) {
        self.wave_count += 1;
        let len_bytes: u64 = requests.iter().filter_map(|r| Some(r.given?.len_bytes)).sum();
        let _ =
            writeln!(self.text, "\nwave {}: requests {}, bytes {len_bytes}", self.wave_count, requests.len());
        for request in requests {
            let place = match request.given {
                Some(Given { offset, len_bytes, object_len_bytes }) => {
                    format!("{offset}..{} of {object_len_bytes}", offset + len_bytes)
                }
                None => "nothing".to_owned(),
            };
            let _ = writeln!(self.text, "  {place}  {}  [{}]", request.object, why(request));
        }
    }

    /// Writes it all, with what the manifests listed, what was found and what it cost.
    pub(crate) fn write(
        &self,
        listed: &Listed,
        outcome: &str,
        cost: Cost,
        out: &mut impl io::Write,
    ) -> io::Result<()> {
        let Listed { manifest_count, data_file_count } = listed;
        // Metadata of v1 may name manifests itself, and all of them are read.
        let manifest_count = self.manifest_count.max(*manifest_count);
        writeln!(out, "{}", self.text)?;
        writeln!(out, "manifests {} of {manifest_count}", self.manifest_count)?;
        writeln!(out, "data files {} of {data_file_count} in these manifests", self.data_files.len())?;
        writeln!(out, "found {outcome}")?;
        let lookup = Cost {
            requests: cost.requests - self.finding.requests,
            waves: cost.waves - self.finding.waves,
            len_bytes: cost.len_bytes - self.finding.len_bytes,
        };
        for (name, Cost { requests, waves, len_bytes }) in
            [("table metadata", self.finding), ("lookup", lookup), ("total", cost)]
        {
            writeln!(out, "{name}: requests {requests}, waves {waves}, bytes {len_bytes}")?;
        }
        Ok(())
    }
}

/// Counts what manifests and their list name, and holds nothing: every lookup is a cold one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listed {
    manifest_count: usize,
    data_file_count: usize,
}

impl HeldObjects for Listed {
    fn get(&mut self, _: &ObjectKey) -> Option<Held> {
        None
    }

    fn put(&mut self, _: &ObjectKey, held: Held, _: u64) {
        match held {
            Held::ManifestList(list) => self.manifest_count += list.manifests.len(),
            Held::Manifest(manifest) => {
                let data = manifest.live().filter(|entry| entry.file.content == FileContent::Data);
                self.data_file_count += data.count();
            }
            Held::File(_) => {}
        }
    }
}

/// What a request was for: the roles of the needs that it answered, each once.
fn roles(needs: &[Need], request: &Request) -> Vec<Role> {
    let is_within = |range: &ByteRange| match (range, &request.asked) {
        (ByteRange::Range(need), ByteRange::Range(asked)) => {
            asked.start <= need.start && need.end <= asked.end
        }
        (ByteRange::Tail { .. }, ByteRange::Tail { .. }) => true,
        _ => false,
    };
    let mut roles = Vec::new();
    for need in needs.iter().filter(|need| need.object == request.object && is_within(&need.range)) {
        if !roles.contains(&need.role) {
            roles.push(need.role);
        }
    }
    roles
}

const fn name_of(role: Role) -> &'static str {
    match role {
        Role::ManifestList => "manifest list",
        Role::Manifest => "manifest",
        Role::Footer => "footer",
        Role::PageIndex => "page index",
        Role::KeyPages => "key pages",
        Role::TargetPages => "target pages",
        Role::Deletes => "deletes",
    }
}
