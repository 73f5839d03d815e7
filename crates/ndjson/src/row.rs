//! A record to its row: the JSON object that is sent to a stream (design.md §2, §5).
//!
//! The members are the stream's columns that have a value, in the order of the table. A caller's string or list is
//! copied as it was written, never decoded and encoded again; a tree, front matter or metadata is a JSON string that
//! holds the caller's text unchanged; an instant is RFC 3339 in UTC; the namespace is lower-cased. `deleted` is
//! always there, so that a query needs no case for null.

use std::fmt::Display;

use firn_types::error::LineErrorCode;
use firn_types::limits::RECORD_LEN_BYTES_MAX;
use firn_types::mode::Mode;
use firn_types::schema::{COLUMN_COUNT, COLUMNS, CallerValue};
use firn_types::time::Micros;
use firn_types::version::Version;
use firn_types::visibility::Visibility;

use crate::digest::ContentHash;
use crate::error::LineError;
use crate::escape;
use crate::record::{DELETED, EXPIRES_AT, NS, Record, VISIBILITY, column_idx};

/// What the server puts into a row.
#[derive(Clone, Copy, Debug)]
pub struct ServerFields<'a> {
    /// The version.
    pub version: Version,
    /// Who may read the artifact: the record's word, or the default.
    pub visibility: Visibility,
    /// The owner's issuer.
    pub owner_iss: Option<&'a str>,
    /// The owner's organisation.
    pub owner_org: Option<&'a str>,
    /// The owner's subject.
    pub owner_sub: Option<&'a str>,
    /// When the record was taken.
    pub ts: Micros,
    /// The hash of the content, where one was made.
    pub hash: Option<ContentHash>,
    /// The size of the content.
    pub size_bytes: u64,
    /// The request's mode.
    pub mode: Mode,
    /// The request.
    pub ingest_id: &'a str,
}

/// A row that is known to be within the limit, before a byte of it is written.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r, 'a> {
    record: &'r Record<'a>,
    server: &'r ServerFields<'r>,
    len_bytes: usize,
}

impl<'r, 'a> Row<'r, 'a> {
    /// Measures the row.
    ///
    /// # Errors
    /// `record_too_large`, if the row is over [`RECORD_LEN_BYTES_MAX`].
    pub fn new(record: &'r Record<'a>, server: &'r ServerFields<'r>) -> Result<Self, LineError> {
        let mut length = Length(0);
        write_row(record, server, &mut length);
        if length.0 > RECORD_LEN_BYTES_MAX {
            let detail = format!(
                "the record has {} bytes as it is sent; at most {RECORD_LEN_BYTES_MAX} are allowed",
                length.0
            );
            return Err(LineError::of_line(LineErrorCode::RecordTooLarge, detail));
        }
        Ok(Self { record, server, len_bytes: length.0 })
    }

    /// Length of the row.
    pub const fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Appends the row, which is [`Self::len_bytes`] bytes.
    pub fn render(&self, out: &mut Vec<u8>) {
        write_row(self.record, self.server, out);
    }
}

/// Appends the row of a record; gives its length.
///
/// # Errors
/// As [`Row::new`]; `out` is then unchanged.
pub fn render_row(
    record: &Record<'_>,
    server: &ServerFields<'_>,
    out: &mut Vec<u8>,
) -> Result<usize, LineError> {
    let row = Row::new(record, server)?;
    out.reserve(row.len_bytes());
    row.render(out);
    Ok(row.len_bytes())
}

/// Where the value of a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The caller's JSON, copied.
    Json,
    /// The caller's JSON, as the text in a string.
    Text,
    Namespace,
    Visibility,
    Deleted,
    ExpiresAt,
    Version,
    OwnerIss,
    OwnerOrg,
    OwnerSub,
    Ts,
    Hash,
    SizeBytes,
    Mode,
    IngestId,
    /// Nobody sets it yet, or the sink does.
    Nobody,
}

const SOURCES: [Source; COLUMN_COUNT] = sources();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn sources() -> [Source; COLUMN_COUNT] {
    let mut sources = [Source::Nobody; COLUMN_COUNT];
    let mut idx = 0;
    while idx < COLUMN_COUNT {
        sources[idx] = match COLUMNS[idx].caller {
            CallerValue::None => Source::Nobody,
            CallerValue::Object | CallerValue::Json => Source::Text,
            _ => Source::Json,
        };
        idx += 1;
    }
    sources[NS] = Source::Namespace;
    sources[VISIBILITY] = Source::Visibility;
    sources[DELETED] = Source::Deleted;
    sources[EXPIRES_AT] = Source::ExpiresAt;
    sources[column_idx("version")] = Source::Version;
    sources[column_idx("owner_iss")] = Source::OwnerIss;
    sources[column_idx("owner_org")] = Source::OwnerOrg;
    sources[column_idx("owner_sub")] = Source::OwnerSub;
    sources[column_idx("ts")] = Source::Ts;
    sources[column_idx("hash")] = Source::Hash;
    sources[column_idx("size_bytes")] = Source::SizeBytes;
    sources[column_idx("mode")] = Source::Mode;
    sources[column_idx("ingest_id")] = Source::IngestId;
    sources
}

/// Where a row is written, or only measured.
trait Out {
    /// Bytes as they are.
    fn raw(&mut self, bytes: &str);
    /// The body of a JSON string that holds `text`.
    fn escaped(&mut self, text: &str);
}

impl Out for Vec<u8> {
    fn raw(&mut self, bytes: &str) {
        self.extend_from_slice(bytes.as_bytes());
    }

    fn escaped(&mut self, text: &str) {
        escape::encode(text, self);
    }
}

/// Counts what would be written.
struct Length(usize);

impl Out for Length {
    fn raw(&mut self, bytes: &str) {
        self.0 = self.0.saturating_add(bytes.len());
    }

    fn escaped(&mut self, text: &str) {
        self.0 = self.0.saturating_add(escape::encoded_len_bytes(text));
    }
}

fn write_row(record: &Record<'_>, server: &ServerFields<'_>, out: &mut impl Out) {
    let mut object = Object { out, name: "", is_empty: true };
    object.out.raw("{");
    for (idx, (column, source)) in COLUMNS.iter().zip(SOURCES).enumerate() {
        object.name = column.name;
        let token = record.token(idx).map(|token| token.text);
        match source {
            Source::Json => object.json(token),
            Source::Text => object.text(token),
            Source::Namespace => object.text(Some(record.key.ns.as_str())),
            Source::Visibility => object.text(Some(server.visibility.as_str())),
            Source::Deleted => object.json(Some(if record.deleted { "true" } else { "false" })),
            Source::ExpiresAt => object.text(record.expires_at.map(Micros::to_rfc3339).as_deref()),
            Source::Version => object.number(server.version),
            Source::OwnerIss => object.text(server.owner_iss),
            Source::OwnerOrg => object.text(server.owner_org),
            Source::OwnerSub => object.text(server.owner_sub),
            Source::Ts => object.text(Some(&server.ts.to_rfc3339())),
            Source::Hash => object.text(server.hash.map(|hash| hash.to_string()).as_deref()),
            Source::SizeBytes => object.number(server.size_bytes),
            Source::Mode => object.text(Some(server.mode.as_str())),
            Source::IngestId => object.text(Some(server.ingest_id)),
            Source::Nobody => {}
        }
    }
    object.out.raw("}");
}

/// An object that is being written, and the member that is next.
struct Object<'o, O> {
    out: &'o mut O,
    name: &'static str,
    is_empty: bool,
}

impl<O: Out> Object<'_, O> {
    fn name(&mut self) {
        self.out.raw(if self.is_empty { "\"" } else { ",\"" });
        self.is_empty = false;
        self.out.raw(self.name);
        self.out.raw("\":");
    }

    fn json(&mut self, value: Option<&str>) {
        if let Some(value) = value {
            self.name();
            self.out.raw(value);
        }
    }

    fn text(&mut self, value: Option<&str>) {
        if let Some(value) = value {
            self.name();
            self.out.raw("\"");
            self.out.escaped(value);
            self.out.raw("\"");
        }
    }

    fn number(&mut self, value: impl Display) {
        self.json(Some(&value.to_string()));
    }
}
