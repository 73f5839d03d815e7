//! A request whose namespace is known: records to rows, rows to chunks.

use firn_auth::identity::Identity;
use firn_ledger::row::Standing;
use firn_ndjson::{
    chunk::{Chunk, Chunker},
    digest::{Sha256, content_digest, content_size_bytes},
    error::LineError,
    record::{IfVersion, Record},
    row::{RequestFields, RowFields, RowRenderer},
    values::Values,
};
use firn_types::{key::Namespace, mode::Mode, version::Version, visibility::Visibility};

use super::{
    sink::RowHead,
    tally::Lines,
    terms::{PublishContext, Terms},
};

/// What exists only once the namespace is known.
pub(super) struct Started {
    pub(super) ns: Namespace,
    pub(super) terms: Terms,
    pub(super) renderer: RowRenderer,
    pub(super) chunker: Chunker,
    /// Where the content of a record is written to be hashed, if its chunk does not hold it.
    scratch: Values,
    pub(super) open: OpenChunk,
    pub(super) chunk_count: u64,
    /// Bulk: the version of the next row.
    pub(super) next_version: Option<i64>,
    pub(super) row_count: u64,
}

/// What belongs to the chunk that is still open.
#[derive(Default)]
pub(super) struct OpenChunk {
    pub(super) lines: Lines,
    pub(super) rows: Vec<RowHead>,
}

impl Started {
    /// Nothing yet of a request of `identity` to `ns`.
    pub(super) fn new(ns: &Namespace, terms: Terms, identity: &Identity) -> Self {
        let mode = terms.destination.mode;
        let renderer = RowRenderer::new(&RequestFields {
            owner_iss: Some(&identity.issuer),
            owner_org: identity.org.as_deref(),
            owner_sub: identity.sub.as_deref(),
            ts: terms.naming.ts,
            mode,
            ingest_id: &terms.naming.ingest_id,
        });
        Self {
            ns: ns.clone(),
            next_version: terms.naming.first_version,
            terms,
            renderer,
            chunker: Chunker::new(mode.chunk_len_bytes_max()),
            scratch: Values::default(),
            open: OpenChunk::default(),
            chunk_count: 0,
            row_count: 0,
        }
    }

    /// Writes a record into the open chunk; gives the chunk that closed before it.
    pub(super) fn push(
        &mut self,
        line: u64,
        record: &Record<'_>,
        visibility: Visibility,
        context: &impl PublishContext,
    ) -> Result<Option<(Chunk, OpenChunk)>, LineError> {
        let fields = RowFields {
            version: self.next_version.and_then(Version::new),
            visibility,
            hash: None,
            size_bytes: content_size_bytes(record),
        };
        let closed = if self.terms.destination.mode == Mode::Bulk {
            // Sent from here, as objects. The others' rows rest in the ledger first, as JSON.
            let row = self.renderer.plan_values(record, &fields, context.record_hash())?;
            self.chunker.push_values(line, row).map(|chunk| (chunk, std::mem::take(&mut self.open)))
        } else {
            self.push_staged(line, record, fields, context)?
        };
        self.open.lines.push(line);
        self.row_count += 1;
        self.next_version = self.next_version.map(|version| version.saturating_add(1));
        Ok(closed)
    }

    /// A row for the ledger, with its head.
    fn push_staged(
        &mut self,
        line: u64,
        record: &Record<'_>,
        fields: RowFields,
        context: &impl PublishContext,
    ) -> Result<Option<(Chunk, OpenChunk)>, LineError> {
        let hash = context.record_hash().map(|sha256| content_digest(record, sha256, &mut self.scratch));
        let row = self.renderer.plan_row(record, &RowFields { hash, ..fields })?;
        let closed = self.chunker.push_row(line, &row);
        let closed = closed.map(|chunk| (chunk, std::mem::take(&mut self.open)));
        self.open.rows.push(RowHead {
            line,
            artifact_type: record.key.artifact_type.clone().into_owned(),
            id: record.key.id.clone().into_owned(),
            standing: Standing {
                visibility: Some(fields.visibility),
                deleted: record.deleted,
                expires_at: record.expires_at,
                size_bytes: fields.size_bytes,
            },
            hash: hash.map_or([0; 32], |hash| hash.0),
            metadata_digest: metadata_digest(record, context),
            if_version: record.if_version.map(|condition| match condition {
                IfVersion::Absent => 0,
                IfVersion::Is(version) => version.get(),
            }),
            len_bytes: row.len_bytes(),
        });
        Ok(closed)
    }
}

fn metadata_digest(record: &Record<'_>, context: &impl PublishContext) -> [u8; 16] {
    let digest =
        record.metadata().zip(context.record_hash()).map(|(text, hash)| hash.finish(text.as_bytes()));
    digest.and_then(|digest| digest.first_chunk().copied()).unwrap_or_default()
}
