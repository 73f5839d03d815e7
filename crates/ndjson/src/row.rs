//! A record to its row: the JSON object that is sent to a stream (design.md §2, §5).
//!
//! The members are the stream's columns that have a value, in the order of the table. A caller's string or list is
//! copied as it was written, never decoded and encoded again; a tree, front matter or metadata is a JSON string that
//! holds the caller's text unchanged; an instant is RFC 3339 in UTC; the namespace is lower-cased. `deleted` is
//! always there, so that a query needs no case for null.

use std::sync::Arc;

use firn_types::error::LineErrorCode;
use firn_types::limits::RECORD_LEN_BYTES_MAX;
use firn_types::mode::Mode;
use firn_types::schema::{COLUMN_COUNT, COLUMNS, CallerValue};
use firn_types::time::Micros;
use firn_types::version::Version;
use firn_types::visibility::Visibility;

use crate::columns::{
    CONTENT, ColumnSet, DELETED, EXPIRES_AT, HASH, INGEST_ID, MODE, NS, OWNER_ISS, OWNER_ORG, OWNER_SUB,
    SIZE_BYTES, TS, VERSION, VISIBILITY,
};
use crate::digest::{ContentHash, Sha256};
use crate::error::LineError;
use crate::escape;
use crate::member::{Decimal, MEMBER_NAMES, MemberName, NAMELESS};
use crate::record::Record;
use crate::values::Values;

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
    fixed_len_bytes: usize,
    /// The columns that every row of the request has.
    present: ColumnSet,
    /// As [`Values::shared_json`] has it.
    shared_json: Arc<str>,
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
        let fixed_len_bytes = fixed.iter().map(String::len).sum();
        Self { shared_json: shared_json(&fixed), fixed, fixed_len_bytes, present }
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
            fields: *fields,
            deleted: if record.deleted { "true" } else { "false" },
            visibility: fields.visibility.as_str(),
            version: fields.version.map(|version| Decimal::of(version.get().unsigned_abs())),
            size_bytes: Decimal::of(fields.size_bytes),
            expires_at: record.expires_at.map(Micros::to_rfc3339),
            hash: fields.hash.map(ContentHash::hex_digits),
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

    /// Plans a record's row as values. Its hash is not that of `fields` but is made with `sha256`, if there is one, when
    /// the row is written: by then its content lies in one piece.
    ///
    /// # Errors
    /// As [`Self::plan_row`].
    pub fn plan_values<'r, 'a, S: Sha256>(
        &'r self,
        record: &'r Record<'a>,
        fields: &RowFields,
        sha256: Option<S>,
    ) -> Result<ValueRow<'r, 'a, S>, LineError> {
        // As long as the one to come.
        let hash = sha256.as_ref().map(|_| ContentHash([0; 32]));
        let row = self.plan_row(record, &RowFields { hash, ..*fields })?;
        Ok(ValueRow { row, sha256 })
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
    fields: RowFields,
    deleted: &'static str,
    visibility: &'static str,
    version: Option<Decimal>,
    size_bytes: Decimal,
    expires_at: Option<String>,
    hash: Option<[u8; 64]>,
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
        let own = self.present.and(OWN).places().filter_map(|idx| self.member(idx));
        let own_len_bytes = own.map(|(name, value)| {
            let value_len_bytes = match value {
                Value::Json(json) => json.len(),
                Value::Word(word) => word.len().saturating_add(2),
                Value::Text(text) => escape::encoded_len_bytes(text).saturating_add(2),
            };
            name.len_bytes.saturating_add(value_len_bytes)
        });
        own_len_bytes.fold(self.renderer.fixed_len_bytes.saturating_add(1), usize::saturating_add)
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
            Source::Namespace => Value::Word(&self.record.key.ns),
            Source::Visibility => Value::Word(self.visibility),
            Source::Deleted => Value::Json(self.deleted),
            Source::ExpiresAt => Value::Word(self.expires_at.as_deref()?),
            Source::Version => Value::Json(self.version.as_ref()?.as_str()),
            Source::Hash => Value::Word(str::from_utf8(self.hash.as_ref()?).unwrap_or_default()),
            Source::SizeBytes => Value::Json(self.size_bytes.as_str()),
        };
        Some((MEMBER_NAMES.get(idx)?, value))
    }
}

/// A row that is known to be within the limit, to be written as values.
#[derive(Debug)]
pub struct ValueRow<'r, 'a, S> {
    row: Row<'r, 'a>,
    sha256: Option<S>,
}

impl<S: Sha256> ValueRow<'_, '_, S> {
    /// Its length, were it JSON.
    pub const fn len_bytes(&self) -> usize {
        self.row.len_bytes
    }

    pub(crate) fn shared_json(&self) -> Arc<str> {
        Arc::clone(&self.row.renderer.shared_json)
    }

    /// Appends the row.
    pub(crate) fn write(self, values: &mut Values) {
        values.push_row(|values| {
            let mut member_count = self.row.write_own(values);
            let (content_count, start_idx) = values.push_contents(self.row.record);
            member_count += content_count;
            if let Some(sha256) = self.sha256 {
                let hash = ContentHash(sha256.finish(values.preimage(start_idx)));
                values.push_text(HASH, str::from_utf8(&hash.hex_digits()).unwrap_or_default());
                member_count += 1;
            }
            values.erase_lens();
            member_count
        });
    }
}

impl Row<'_, '_> {
    /// Writes the members that are neither content nor hash; gives their number.
    fn write_own(&self, values: &mut Values) -> u32 {
        let mut count = 0;
        for idx in self.present.and(OWN).places().filter(|idx| !CONTENT.has(*idx)) {
            let Some(source) = SOURCES.get(idx) else { continue };
            match source {
                Source::Nobody | Source::Request | Source::Hash => continue,
                Source::CallerJson | Source::CallerText => {
                    let Some(token) = self.record.token(idx) else { continue };
                    match source {
                        Source::CallerJson => values.push_string(idx, token),
                        _ => values.push_text(idx, token.text),
                    }
                }
                Source::Namespace => values.push_text(idx, &self.record.key.ns),
                Source::Visibility => values.push_text(idx, self.visibility),
                Source::Deleted => values.push_bool(idx, self.record.deleted),
                Source::ExpiresAt => values.push_text(idx, self.expires_at.as_deref().unwrap_or_default()),
                Source::Version => {
                    let version = self.fields.version.map_or(0, Version::get);
                    values.push_number(idx, version.unsigned_abs());
                }
                Source::SizeBytes => values.push_number(idx, self.fields.size_bytes),
            }
            count += 1;
        }
        count
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

/// The columns that differ from row to row.
const OWN: ColumnSet = BY_THE_CALLER
    .with(IN_EVERY_ROW)
    .with(ColumnSet::single(EXPIRES_AT))
    .with(ColumnSet::single(VERSION))
    .with(ColumnSet::single(HASH));

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

fn shared_json(fixed: &[String]) -> Arc<str> {
    let names: Vec<String> = COLUMNS.iter().map(|column| json_string(column.name)).collect();
    let members: Vec<&str> = fixed.iter().filter_map(|member| member.strip_prefix(',')).collect();
    format!(r#"{{"names":[{}],"members":{{{}}}}}"#, names.join(","), members.join(",")).into()
}

fn json_string(text: &str) -> String {
    let mut json = vec![b'"'];
    escape::encode(text, &mut json);
    json.push(b'"');
    String::from_utf8(json).expect("invariant: escaping a text gives a text")
}
