//! A record to its row: the JSON object that is sent to a stream (design.md §2, §5).
//!
//! The members are the stream's columns that have a value, in the order of the table. A caller's string or list is
//! copied as it was written, never decoded and encoded again; a tree, front matter or metadata is a JSON string that
//! holds the caller's text unchanged; an instant is RFC 3339 in UTC; the namespace is lower-cased. `deleted` is
//! always there, so that a query needs no case for null.

use firn_types::error::LineErrorCode;
use firn_types::limits::RECORD_LEN_BYTES_MAX;
use firn_types::mode::Mode;
use firn_types::schema::{COLUMN_COUNT, COLUMNS, CallerValue};
use firn_types::time::Micros;
use firn_types::version::Version;
use firn_types::visibility::Visibility;

use crate::columns::{
    ColumnSet, DELETED, EXPIRES_AT, HASH, INGEST_ID, MODE, NAME_LEN_BYTES_MAX, NS, OWNER_ISS, OWNER_ORG,
    OWNER_SUB, SIZE_BYTES, TS, VERSION, VISIBILITY,
};
use crate::digest::ContentHash;
use crate::error::LineError;
use crate::escape;
use crate::record::Record;

/// What the server puts into every row of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestFields<'a> {
    /// The owner's issuer.
    pub owner_iss: Option<&'a str>,
    /// The owner's organisation.
    pub owner_org: Option<&'a str>,
    /// The owner's subject.
    pub owner_sub: Option<&'a str>,
    /// When the records were taken.
    pub ts: Micros,
    /// The request's mode.
    pub mode: Mode,
    /// The request.
    pub ingest_id: &'a str,
}

/// What the server puts into one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFields {
    /// The version; `None` where the ledger gives it later and adds the member.
    pub version: Option<Version>,
    /// Who may read the artifact: the record's word, or the default.
    pub visibility: Visibility,
    /// The hash of the content, where one was made.
    pub hash: Option<ContentHash>,
    /// The size of the content.
    pub size_bytes: u64,
}

/// Makes the rows of one request. What they have in common is rendered once.
#[derive(Clone, Debug)]
pub struct RowRenderer {
    /// The members that the request sets, by the column's place, names included; empty where it does not.
    fixed: [String; COLUMN_COUNT],
    /// The columns that every row of the request has.
    present: ColumnSet,
}

impl RowRenderer {
    /// For the rows of a request.
    pub fn new(request: &RequestFields<'_>) -> Self {
        let ts = request.ts.to_rfc3339();
        let mut fixed = [const { String::new() }; COLUMN_COUNT];
        let mut present = IN_EVERY_ROW;
        for (idx, (member, name)) in fixed.iter_mut().zip(&MEMBER_NAMES).enumerate() {
            let value = match idx {
                OWNER_ISS => request.owner_iss,
                OWNER_ORG => request.owner_org,
                OWNER_SUB => request.owner_sub,
                TS => Some(ts.as_str()),
                MODE => Some(request.mode.as_str()),
                INGEST_ID => Some(request.ingest_id),
                _ => None,
            };
            if let Some(value) = value {
                *member = [name.as_str(), &json_string(value)].concat();
                present = present.with(ColumnSet::single(idx));
            }
        }
        Self { fixed, present }
    }

    /// Plans a record's row.
    ///
    /// # Errors
    /// `record_too_large`, if the row would be over [`RECORD_LEN_BYTES_MAX`].
    pub fn plan_row<'r, 'a>(
        &'r self,
        record: &'r Record<'a>,
        fields: &RowFields,
    ) -> Result<Row<'r, 'a>, LineError> {
        let mut row = Row {
            record,
            renderer: self,
            deleted: if record.deleted { "true" } else { "false" },
            visibility: fields.visibility.as_str(),
            version: fields.version.map(|version| version.to_string()),
            size_bytes: fields.size_bytes.to_string(),
            expires_at: record.expires_at.map(Micros::to_rfc3339),
            hash: fields.hash.map(ContentHash::to_hex),
            present: self.present.with(record.present().and(BY_THE_CALLER)),
            len_bytes: 0,
        };
        if row.expires_at.is_some() {
            row.present = row.present.with(ColumnSet::single(EXPIRES_AT));
        }
        if row.version.is_some() {
            row.present = row.present.with(ColumnSet::single(VERSION));
        }
        if row.hash.is_some() {
            row.present = row.present.with(ColumnSet::single(HASH));
        }
        row.len_bytes = row.measure();
        let version_len_bytes = if row.version.is_some() { 0 } else { VERSION_MEMBER_LEN_BYTES_MAX };
        let len_bytes = row.len_bytes.saturating_add(version_len_bytes);
        if len_bytes > RECORD_LEN_BYTES_MAX {
            let detail = format!(
                "the row has {len_bytes} bytes as it is sent; at most {RECORD_LEN_BYTES_MAX} are allowed"
            );
            return Err(LineError::of_line(LineErrorCode::RecordTooLarge, detail));
        }
        Ok(row)
    }

    /// Appends a record's row; gives its length.
    ///
    /// # Errors
    /// As [`Self::plan_row`]; `out` is then unchanged.
    pub fn render_row(
        &self,
        record: &Record<'_>,
        fields: &RowFields,
        out: &mut Vec<u8>,
    ) -> Result<usize, LineError> {
        let row = self.plan_row(record, fields)?;
        row.render(out);
        Ok(row.len_bytes)
    }
}

/// A row that is known to be within the limit, before a byte of it is written.
#[derive(Debug)]
pub struct Row<'r, 'a> {
    record: &'r Record<'a>,
    renderer: &'r RowRenderer,
    deleted: &'static str,
    visibility: &'static str,
    version: Option<String>,
    size_bytes: String,
    expires_at: Option<String>,
    hash: Option<String>,
    present: ColumnSet,
    len_bytes: usize,
}

impl Row<'_, '_> {
    /// Its length.
    pub const fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Appends the row, which is [`Self::len_bytes`] long.
    pub fn render(&self, out: &mut Vec<u8>) {
        out.reserve(self.len_bytes);
        for (name, value) in self.members() {
            name.append_to(out);
            match value {
                Value::Json(json) => out.extend_from_slice(json.as_bytes()),
                Value::Word(word) => {
                    out.push(b'"');
                    out.extend_from_slice(word.as_bytes());
                    out.push(b'"');
                }
                Value::Text(text) => {
                    out.push(b'"');
                    escape::encode(text, out);
                    out.push(b'"');
                }
            }
        }
        out.push(b'}');
    }

    fn measure(&self) -> usize {
        let values_len_bytes = self.members().map(|(name, value)| {
            let value_len_bytes = match value {
                Value::Json(json) => json.len(),
                Value::Word(word) => word.len().saturating_add(2),
                Value::Text(text) => escape::encoded_len_bytes(text).saturating_add(2),
            };
            name.len_bytes.saturating_add(value_len_bytes)
        });
        values_len_bytes.fold(1, usize::saturating_add)
    }

    fn members(&self) -> impl Iterator<Item = (&'static MemberName, Value<'_>)> {
        self.present.places().filter_map(|idx| self.member(idx))
    }

    /// The member of the column at `idx`, one of those that are present.
    #[inline]
    fn member(&self, idx: usize) -> Option<(&'static MemberName, Value<'_>)> {
        let value = match SOURCES.get(idx)? {
            Source::Nobody => return None,
            Source::Request => return Some((&NAMELESS, Value::Json(self.renderer.fixed.get(idx)?))),
            Source::CallerJson => Value::Json(self.record.token(idx)?.text),
            Source::CallerText => Value::Text(self.record.token(idx)?.text),
            Source::Namespace => Value::Word(self.record.key.ns.as_str()),
            Source::Visibility => Value::Word(self.visibility),
            Source::Deleted => Value::Json(self.deleted),
            Source::ExpiresAt => Value::Word(self.expires_at.as_deref()?),
            Source::Version => Value::Json(self.version.as_deref()?),
            Source::Hash => Value::Word(self.hash.as_deref()?),
            Source::SizeBytes => Value::Json(&self.size_bytes),
        };
        Some((MEMBER_NAMES.get(idx)?, value))
    }
}

/// What a member of the row holds.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    /// This JSON.
    Json(&'a str),
    /// A string with this text, which needs no escape.
    Word(&'a str),
    /// A string with this text.
    Text(&'a str),
}

/// Where the value of a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Nobody sets it yet, or the sink does.
    Nobody,
    /// The caller's JSON, copied.
    CallerJson,
    /// The caller's JSON, as the text in a string.
    CallerText,
    /// The same in every row of a request.
    Request,
    Namespace,
    Visibility,
    Deleted,
    ExpiresAt,
    Version,
    Hash,
    SizeBytes,
}

/// By the column's place.
const SOURCES: [Source; COLUMN_COUNT] = sources();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn sources() -> [Source; COLUMN_COUNT] {
    let mut sources = [Source::Nobody; COLUMN_COUNT];
    let mut idx = 0;
    while idx < COLUMN_COUNT {
        sources[idx] = match COLUMNS[idx].caller {
            CallerValue::None => Source::Nobody,
            CallerValue::Object | CallerValue::Json => Source::CallerText,
            _ => Source::CallerJson,
        };
        idx += 1;
    }
    sources[NS] = Source::Namespace;
    sources[VISIBILITY] = Source::Visibility;
    sources[DELETED] = Source::Deleted;
    sources[EXPIRES_AT] = Source::ExpiresAt;
    sources[VERSION] = Source::Version;
    sources[HASH] = Source::Hash;
    sources[SIZE_BYTES] = Source::SizeBytes;
    sources[OWNER_ISS] = Source::Request;
    sources[OWNER_ORG] = Source::Request;
    sources[OWNER_SUB] = Source::Request;
    sources[TS] = Source::Request;
    sources[MODE] = Source::Request;
    sources[INGEST_ID] = Source::Request;
    sources
}

/// Longest member that the ledger adds to a row without a version: `"version":`, 16 digits and a comma.
const VERSION_MEMBER_LEN_BYTES_MAX: usize = 27;

/// The columns of [`SOURCES`] that every row has.
const IN_EVERY_ROW: ColumnSet = ColumnSet::single(NS)
    .with(ColumnSet::single(VISIBILITY))
    .with(ColumnSet::single(DELETED))
    .with(ColumnSet::single(SIZE_BYTES));

/// The columns that hold what the caller wrote.
const BY_THE_CALLER: ColumnSet = by_the_caller();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn by_the_caller() -> ColumnSet {
    let mut set = ColumnSet::EMPTY;
    let mut idx = 0;
    while idx < COLUMN_COUNT {
        if matches!(SOURCES[idx], Source::CallerJson | Source::CallerText) {
            set = set.with(ColumnSet::single(idx));
        }
        idx += 1;
    }
    set
}

/// Longest [`MemberName`]: quotes, colon, and a brace or comma.
const MEMBER_NAME_LEN_BYTES_MAX: usize = NAME_LEN_BYTES_MAX + 4;

/// `{"name":` of the first column, which every row has, and `,"name":` of the others.
#[derive(Clone, Copy, Debug)]
struct MemberName {
    bytes: [u8; MEMBER_NAME_LEN_BYTES_MAX],
    len_bytes: usize,
}

/// Of a member whose value brings its name.
const NAMELESS: MemberName = MemberName { bytes: [0; MEMBER_NAME_LEN_BYTES_MAX], len_bytes: 0 };

impl MemberName {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.len_bytes).and_then(|name| str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Appends the name. Where there is room, by a copy of a fixed length: a few instructions and no call.
    #[inline]
    fn append_to(&self, out: &mut Vec<u8>) {
        let end_idx = out.len().saturating_add(self.len_bytes);
        if out.capacity() - out.len() >= MEMBER_NAME_LEN_BYTES_MAX {
            out.extend_from_slice(&self.bytes);
            out.truncate(end_idx);
        } else {
            out.extend_from_slice(self.as_str().as_bytes());
        }
    }
}

/// By the column's place.
const MEMBER_NAMES: [MemberName; COLUMN_COUNT] = member_names();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, where an index out of bounds is an error")]
const fn member_names() -> [MemberName; COLUMN_COUNT] {
    let mut names = [NAMELESS; COLUMN_COUNT];
    let mut idx = 0;
    while idx < COLUMN_COUNT {
        let (name, bytes) = (COLUMNS[idx].name.as_bytes(), &mut names[idx].bytes);
        bytes[0] = if idx == NS { b'{' } else { b',' };
        bytes[1] = b'"';
        bytes[name.len() + 2] = b'"';
        bytes[name.len() + 3] = b':';
        let mut at_idx = 0;
        while at_idx < name.len() {
            bytes[at_idx + 2] = name[at_idx];
            at_idx += 1;
        }
        names[idx].len_bytes = name.len() + 4;
        idx += 1;
    }
    names
}

fn json_string(text: &str) -> String {
    let mut json = vec![b'"'];
    escape::encode(text, &mut json);
    json.push(b'"');
    String::from_utf8(json).expect("invariant: escaping a text gives a text")
}
