//! A line to a record: validated against the columns of [`firn_types::schema`], borrowing from the line
//! (design.md §2).
//!
//! A line is read once, from left to right, and the first thing wrong decides its error; only a line that is not
//! UTF-8 is told before anything else, and names that an object has twice are told at that object's end.
//!
//! `null` is no value of any field but the syntax trees (which are "any JSON", so `null` is stored there as it is):
//! a field without a value is left out. A writer that sends `"markdown": null` has most likely lost its content on
//! the way, and an artifact is replaced as a whole.

use std::borrow::Cow;

use firn_types::error::LineErrorCode;
use firn_types::key::{ArtifactKey, KeyError};
use firn_types::limits::{METADATA_LEN_BYTES_MAX, RECORD_LEN_BYTES_MAX};
use firn_types::schema::{COLUMN_COUNT, CallerValue, Column};
use firn_types::time::Micros;
use firn_types::version::{VERSION_MAX, Version};
use firn_types::visibility::Visibility;

use crate::columns::{self, ColumnSet, DELETED, EXPIRES_AT, ID, METADATA, NS, TYPE, VISIBILITY};
use crate::error::{LineError, quoted_name};
use crate::scan::{Fault, Kind, Scanner, Token, elements};

/// The one field of a record that is no column: it is a condition on the write.
pub const IF_VERSION: &str = "if_version";

/// Earliest `expires_at`: 0001-01-01T00:00:00Z. Readers of the table (Python among them) know no year 0.
pub const EXPIRES_AT_MIN: Micros = Micros(-62_135_596_800_000_000);

/// Latest `expires_at`: 9999-12-31T23:59:59.999999Z. RFC 3339 ends there; an offset could lead beyond.
pub const EXPIRES_AT_MAX: Micros = Micros(253_402_300_799_999_999);

/// What the current version of the artifact must be, so that the write succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfVersion {
    /// There must be none (`"0"`).
    Absent,
    /// This one.
    Is(Version),
}

/// A valid key. A text that was written without escapes is not copied: that would be a fifth of the time for a short
/// line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordKey<'a> {
    /// The namespace, lower-cased.
    pub ns: Cow<'a, str>,
    /// The type.
    pub artifact_type: Cow<'a, str>,
    /// The id.
    pub id: Cow<'a, str>,
}

/// A valid record. Its texts borrow from the line.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The key.
    pub key: RecordKey<'a>,
    /// Who may read the artifact, if the caller says so.
    pub visibility: Option<Visibility>,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// The instant from which it is never served, between [`EXPIRES_AT_MIN`] and [`EXPIRES_AT_MAX`].
    pub expires_at: Option<Micros>,
    /// The condition on the write.
    pub if_version: Option<IfVersion>,
    /// The caller's value of each column, by the column's place in [`COLUMNS`].
    tokens: [Option<Token<'a>>; COLUMN_COUNT],
    /// The columns that have one.
    present: ColumnSet,
}

impl<'a> Record<'a> {
    /// The JSON text of a column's value as the caller wrote it, without whitespace around it: a string with its
    /// quotes and escapes, a tree byte for byte. `None` where the record has none.
    pub fn raw(&self, column: &Column) -> Option<&'a str> {
        let (idx, _) = columns::named(column.name)?;
        self.token(idx).map(|token| token.text)
    }

    /// The caller's `metadata` as written.
    pub fn metadata(&self) -> Option<&'a str> {
        self.token(METADATA).map(|token| token.text)
    }

    /// The columns of which the caller gave a value.
    pub(crate) const fn present(&self) -> ColumnSet {
        self.present
    }

    pub(crate) fn token(&self, column_idx: usize) -> Option<Token<'a>> {
        self.tokens.get(column_idx).copied().flatten()
    }
}

/// Reads one line (without its end) as a record.
///
/// # Errors
/// One [`LineError`]; every [`LineErrorCode`] that does not depend on the request.
pub fn parse_record(line: &[u8]) -> Result<Record<'_>, LineError> {
    if line.len() > RECORD_LEN_BYTES_MAX {
        return Err(too_large(line.len() as u64));
    }
    let text = simdutf8::basic::from_utf8(line).map_err(|_| not_utf8(line))?;
    let mut scanner = Scanner::new(text, 1);
    if !scanner.take(b'{') {
        return Err(not_an_object(text));
    }
    let mut fields = Fields { tokens: [None; COLUMN_COUNT], present: ColumnSet::EMPTY, if_version: None };
    if !scanner.take(b'}') {
        loop {
            read_member(&mut scanner, &mut fields)?;
            if scanner.take(b'}') {
                break;
            }
            if !scanner.take(b',') {
                return Err(line_error(scanner.fault("expected ',' or '}'"), None));
            }
        }
    }
    if scanner.peek().is_some() {
        return Err(line_error(scanner.fault("expected nothing after the object"), None));
    }
    fields.into_record()
}

fn not_utf8(line: &[u8]) -> LineError {
    let valid_len_bytes = std::str::from_utf8(line).map_or_else(|error| error.valid_up_to(), str::len);
    let detail = format!("the line is not UTF-8 at byte {valid_len_bytes}");
    LineError::of_line(LineErrorCode::InvalidUtf8, detail)
}

/// The error of a line of `len_bytes`, too long to be looked at.
pub fn too_large(len_bytes: u64) -> LineError {
    let detail = format!("the line has {len_bytes} bytes; at most {RECORD_LEN_BYTES_MAX} are allowed");
    LineError::of_line(LineErrorCode::RecordTooLarge, detail)
}

/// The members of a record's object that were read so far.
struct Fields<'a> {
    tokens: [Option<Token<'a>>; COLUMN_COUNT],
    present: ColumnSet,
    if_version: Option<Token<'a>>,
}

/// Reads one member; its type is right afterwards, its value is not looked at yet.
fn read_member<'a>(scanner: &mut Scanner<'a>, fields: &mut Fields<'a>) -> Result<(), LineError> {
    scanner.peek();
    let at_idx = scanner.at_idx();
    let token = scanner.name().map_err(|fault| line_error(fault, None))?;
    let name = token.decode();
    let (name, caller, slot) = slot_of(&name, fields, at_idx)?;
    if slot.is_some() {
        let detail = format!("the record has {name:?} already, at byte {at_idx}");
        return Err(LineError::of_field(LineErrorCode::DuplicateKey, name, detail));
    }
    let value = scanner.value().map_err(|fault| line_error(fault, Some(name)))?;
    check_type(name, caller, value)?;
    *slot = Some(value);
    Ok(())
}

/// The name, the type and the place of the field that a caller calls `name`.
fn slot_of<'f, 'a>(
    name: &str,
    fields: &'f mut Fields<'a>,
    at_idx: usize,
) -> Result<(&'static str, CallerValue, &'f mut Option<Token<'a>>), LineError> {
    let found = columns::named(name);
    if let Some((idx, column)) = found
        && let Some(slot) = fields.tokens.get_mut(idx)
    {
        if column.caller != CallerValue::None {
            fields.present = fields.present.with(ColumnSet::single(idx));
            return Ok((column.name, column.caller, slot));
        }
        let detail = format!("{:?} at byte {at_idx} is set by the server", column.name);
        return Err(LineError::of_field(LineErrorCode::ServerSetField, column.name, detail));
    }
    if name == IF_VERSION {
        return Ok((IF_VERSION, CallerValue::String, &mut fields.if_version));
    }
    let detail = format!("{:?} at byte {at_idx} is no field of a record", quoted_name(name));
    Err(LineError::of_field(LineErrorCode::UnknownField, name, detail))
}

fn check_type(name: &str, caller: CallerValue, value: Token<'_>) -> Result<(), LineError> {
    let (is_right, expected) = match caller {
        CallerValue::None => (false, "absent"),
        CallerValue::String | CallerValue::Timestamp => (value.kind == Kind::String, "a string"),
        CallerValue::Bool => (value.kind == Kind::Bool, "true or false"),
        CallerValue::Object => (value.kind == Kind::Object, "an object"),
        CallerValue::Json => (true, "any JSON"),
        CallerValue::StringList => (value.kind == Kind::Array, "an array of strings"),
    };
    if !is_right {
        let hint = if value.kind == Kind::Null { "; leave it out if there is no value" } else { "" };
        let detail = format!("{name} must be {expected}, not {}{hint}", value.kind.name());
        return Err(LineError::of_field(LineErrorCode::InvalidType, name, detail));
    }
    if caller == CallerValue::StringList
        && let Some((idx, element)) =
            elements(value.text).enumerate().find(|(_, element)| element.kind != Kind::String)
    {
        let detail = format!("{name}[{idx}] must be a string, not {}", element.kind.name());
        return Err(LineError::of_field(LineErrorCode::InvalidType, name, detail));
    }
    Ok(())
}

impl<'a> Fields<'a> {
    /// Checks the values, the key first.
    fn into_record(self) -> Result<Record<'a>, LineError> {
        let decoded = |idx: usize| self.tokens.get(idx).copied().flatten().map(|token| token.decode());
        let key = check_key(
            required(NS, decoded(NS))?,
            required(TYPE, decoded(TYPE))?,
            required(ID, decoded(ID))?,
        )?;
        let visibility = decoded(VISIBILITY).map(|word| parse_visibility(&word)).transpose()?;
        let expires_at = decoded(EXPIRES_AT).map(|text| parse_expires_at(&text)).transpose()?;
        let if_version = self.if_version.map(|token| parse_if_version(&token.decode())).transpose()?;
        let token_text = |idx: usize| self.tokens.get(idx).copied().flatten().map(|token| token.text);
        let metadata_len_bytes = token_text(METADATA).map_or(0, str::len);
        if metadata_len_bytes > METADATA_LEN_BYTES_MAX {
            let detail = format!(
                "metadata has {metadata_len_bytes} bytes; at most {METADATA_LEN_BYTES_MAX} are allowed"
            );
            return Err(LineError::of_field(LineErrorCode::MetadataTooLarge, "metadata", detail));
        }
        let deleted = token_text(DELETED) == Some("true");
        Ok(Record {
            key,
            visibility,
            deleted,
            expires_at,
            if_version,
            tokens: self.tokens,
            present: self.present,
        })
    }
}

fn required(column_idx: usize, value: Option<Cow<'_, str>>) -> Result<Cow<'_, str>, LineError> {
    value.ok_or_else(|| {
        let name = columns::name_at(column_idx);
        LineError::of_field(LineErrorCode::MissingField, name, format!("{name} is required"))
    })
}

fn check_key<'a>(
    mut ns: Cow<'a, str>,
    artifact_type: Cow<'a, str>,
    id: Cow<'a, str>,
) -> Result<RecordKey<'a>, LineError> {
    ArtifactKey::check(&ns, &artifact_type, &id).map_err(|error: KeyError| {
        LineError::of_field(LineErrorCode::InvalidValue, error.part().field(), error.to_string())
    })?;
    if ns.bytes().any(|byte| byte.is_ascii_uppercase()) {
        ns.to_mut().make_ascii_lowercase();
    }
    Ok(RecordKey { ns, artifact_type, id })
}

fn parse_visibility(word: &str) -> Result<Visibility, LineError> {
    Visibility::parse(word).ok_or_else(|| {
        let words = Visibility::ALL.map(Visibility::as_str).join(", ");
        invalid_value(VISIBILITY, format!("visibility must be one of {words}"))
    })
}

fn parse_expires_at(text: &str) -> Result<Micros, LineError> {
    let instant = Micros::parse_rfc3339(text).ok_or_else(|| {
        invalid_value(EXPIRES_AT, "expires_at must be a date-time of RFC 3339, as 2030-01-31T12:00:00Z")
    })?;
    if !(EXPIRES_AT_MIN..=EXPIRES_AT_MAX).contains(&instant) {
        let (min, max) = (EXPIRES_AT_MIN.to_rfc3339(), EXPIRES_AT_MAX.to_rfc3339());
        return Err(invalid_value(EXPIRES_AT, format!("expires_at must lie between {min} and {max}")));
    }
    Ok(instant)
}

/// Reads a version as answers write it: decimal digits, no zero before them.
fn parse_if_version(text: &str) -> Result<IfVersion, LineError> {
    let is_canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let parsed = if !is_canonical {
        None
    } else if text == "0" {
        Some(IfVersion::Absent)
    } else {
        text.parse().ok().and_then(Version::new).map(IfVersion::Is)
    };
    parsed.ok_or_else(|| {
        let detail =
            format!("{IF_VERSION} must be \"0\" or a version in decimal digits, at most {VERSION_MAX}");
        LineError::of_field(LineErrorCode::InvalidValue, IF_VERSION, detail)
    })
}

fn invalid_value(column_idx: usize, detail: impl Into<String>) -> LineError {
    LineError::of_field(LineErrorCode::InvalidValue, columns::name_at(column_idx), detail)
}

/// What is wrong with a line that does not begin like an object.
fn not_an_object(text: &str) -> LineError {
    let mut scanner = Scanner::new(text, 0);
    match scanner.value() {
        Err(fault) => line_error(fault, None),
        Ok(_) if scanner.peek().is_some() => {
            line_error(scanner.fault("expected nothing after the value"), None)
        }
        Ok(token) => {
            let detail = format!("the line is {}, not an object", token.kind.name());
            LineError::of_line(LineErrorCode::NotAnObject, detail)
        }
    }
}

fn line_error(fault: Fault, field: Option<&str>) -> LineError {
    let detail = format!("{} at byte {}", fault.what, fault.at_idx);
    LineError { code: fault.code, detail, field: field.map(str::to_owned) }
}
