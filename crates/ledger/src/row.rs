//! A version as it crosses the ledger's border: owners, rights, staged and stored rows, and the text of a row.

use firn_types::{time::Micros, version::VERSION_MAX, visibility::Visibility};

use crate::{limits::OWNER_PART_LEN_BYTES_MAX, sql::Param};

/// Who owns a version. A missing part equals nothing when rights are judged; here it is only kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Owner {
    /// The issuer of the token.
    pub iss: Option<String>,
    /// Its organisation.
    pub org: Option<String>,
    /// Its subject.
    pub sub: Option<String>,
}

/// Who may read a version, and until when. The same for a row that is staged, confirmed or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Standing {
    /// `None`: null or unknown to us, which only an admin of the namespace reads.
    pub visibility: Option<Visibility>,
    /// A tombstone.
    pub deleted: bool,
    /// Never served from then on.
    pub expires_at: Option<Micros>,
    /// Size of the content.
    pub size_bytes: u64,
}

/// One row of a chunk that is staged.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StagedRow<'a> {
    /// Its line in the body, unique in the request and rising: the order of versions.
    pub line: u64,
    /// The artifact's type.
    pub artifact_type: &'a str,
    /// The artifact's id.
    pub id: &'a str,
    /// Rights and the like.
    pub standing: Standing,
    /// Hash of the content.
    pub hash: [u8; 32],
    /// Digest of the metadata's text, all zeros where there is none: the first 16 bytes of its SHA-256.
    pub metadata_digest: [u8; 16],
    /// The version that must be current for the request to succeed; 0: there must be none.
    pub if_version: Option<i64>,
    /// The row as it is sent, but without its member `version`; see [`write_row`].
    #[cfg_attr(feature = "serde", serde(with = "serde_bytes"))]
    pub json: &'a [u8],
}

/// Where a row lies in the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Location {
    /// The table.
    pub table: String,
    /// The data file, as the follower named it.
    pub file: String,
    /// Position of the row in the file, from 0.
    pub row: u64,
}

/// Longest member that [`write_row`] adds, with its comma: `"version":` and 16 digits.
pub const VERSION_MEMBER_LEN_BYTES_MAX: usize = 27;

/// Appends the row as the stream gets it: `{"version":N,` and then `json` without its opening brace. `json` is a JSON
/// object with at least one member and none named `version`.
pub fn write_row(version: i64, json: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"version\":");
    out.extend_from_slice(version.to_string().as_bytes());
    out.push(b',');
    out.extend_from_slice(json.get(1..).unwrap_or_default());
}

pub(crate) const FLAG_DELETED: i64 = 1;
/// Was confirmed at two places: one may be deleted without the other.
pub(crate) const FLAG_COPIED: i64 = 2;

impl Standing {
    pub(crate) fn visibility_code(&self) -> i64 {
        match self.visibility {
            None => 0,
            Some(Visibility::Public) => 1,
            Some(Visibility::Unlisted) => 2,
            Some(Visibility::Org) => 3,
            Some(Visibility::User) => 4,
        }
    }

    pub(crate) const fn flags(&self) -> i64 {
        if self.deleted { FLAG_DELETED } else { 0 }
    }

    pub(crate) fn from_columns(
        visibility: i64,
        flags: i64,
        expires_at: Option<i64>,
        size_bytes: u64,
    ) -> Self {
        let visibility = match visibility {
            1 => Some(Visibility::Public),
            2 => Some(Visibility::Unlisted),
            3 => Some(Visibility::Org),
            4 => Some(Visibility::User),
            _ => None,
        };
        let deleted = flags & FLAG_DELETED != 0;
        Self { visibility, deleted, expires_at: expires_at.map(Micros), size_bytes }
    }
}

/// An instant as it is stored: what a double does not hold exactly is cut off, in the years before 1684 and after 2255.
pub(crate) fn instant(at: Micros) -> i64 {
    at.0.clamp(-VERSION_MAX, VERSION_MAX)
}

/// A count as it is stored.
pub(crate) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(VERSION_MAX).min(VERSION_MAX)
}

pub(crate) fn int_or_null(value: Option<i64>) -> Param<'static> {
    value.map_or(Param::Null, Param::Int)
}

impl Owner {
    /// Each part: 0, or 1, its length and itself. `None` where a part is longer than any token's could be.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for part in [&self.iss, &self.org, &self.sub] {
            let Some(part) = part else {
                bytes.push(0);
                continue;
            };
            let len_bytes = u16::try_from(part.len()).ok().filter(|len| *len <= OWNER_PART_LEN_BYTES_MAX)?;
            bytes.push(1);
            bytes.extend_from_slice(&len_bytes.to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Some(bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut part = || {
            let (given, tail) = rest.split_first()?;
            rest = tail;
            if *given == 0 {
                return Some(None);
            }
            let (len_bytes, tail) = rest.split_first_chunk()?;
            let (text, tail) = tail.split_at_checked(u16::from_be_bytes(*len_bytes).into())?;
            rest = tail;
            Some(Some(std::str::from_utf8(text).ok()?.to_owned()))
        };
        Some(Self { iss: part()?, org: part()?, sub: part()? })
    }
}
