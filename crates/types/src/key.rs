//! The key of an artifact: namespace, type and id (design.md §2).
//!
//! ```text
//! ns    1-253  of [a-z0-9._-], starts alphanumeric, lower-cased on entry
//! type  1-64   of [A-Za-z0-9._-], starts alphanumeric
//! id    1-1024 bytes of UTF-8; may hold '/'; no empty, "." or ".." segment, no control character, no backslash;
//!              does not end in "@v<digits>" (a version) or in an extension that would make a URL ambiguous
//! ```

use std::fmt;

use thiserror::Error;

use crate::limits::{ID_LEN_BYTES_MAX, NAMESPACE_LEN_BYTES_MAX, TYPE_LEN_BYTES_MAX};

/// Endings that an id must not have, because `{id}.{ext}` could then be read in two ways.
pub const RESERVED_ID_SUFFIXES: [&str; 6] = [".mdast", ".hast", ".estree", ".tsast", ".artifact", ".d"];

/// Which part of a key an error is about; its `Display` is the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The namespace.
    Namespace,
    /// The type.
    Type,
    /// The id.
    Id,
}

impl KeyPart {
    /// The record's field of this part.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Namespace => "ns",
            Self::Type => "type",
            Self::Id => "id",
        }
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())
    }
}

/// Why a text is not a part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The text is empty.
    #[error("{0} is empty")]
    Empty(KeyPart),
    /// The text is longer than the limit.
    #[error("{part} has {len_bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// The part.
        part: KeyPart,
        /// The length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The first character is not alphanumeric.
    #[error("{0} must start with a letter or a digit")]
    BadStart(KeyPart),
    /// A character outside the alphabet.
    #[error("{part} holds {found:?}, which is not allowed there")]
    BadCharacter {
        /// The part.
        part: KeyPart,
        /// The first offending character.
        found: char,
    },
    /// An id with an empty, `.` or `..` segment.
    #[error("id has an empty, \".\" or \"..\" segment")]
    BadSegment,
    /// An id that ends like a version (`@v12`).
    #[error("id ends in \"@v<digits>\", which names a version")]
    VersionSuffix,
    /// An id that ends in a reserved extension.
    #[error("id ends in {0:?}, which is part of an extension")]
    ReservedSuffix(&'static str),
}

impl KeyError {
    /// The part of the key that is wrong.
    pub const fn part(&self) -> KeyPart {
        match self {
            Self::Empty(part)
            | Self::BadStart(part)
            | Self::TooLong { part, .. }
            | Self::BadCharacter { part, .. } => *part,
            Self::BadSegment | Self::VersionSuffix | Self::ReservedSuffix(_) => KeyPart::Id,
        }
    }
}

/// A namespace, which is also the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(String);

/// The type of an artifact, chosen by its writer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactType(String);

/// The id of an artifact, unique in its namespace and type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactId(String);

impl Namespace {
    /// Lower-cases `text` and checks it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let lower = text.to_ascii_lowercase();
        check_name(KeyPart::Namespace, &lower, NAMESPACE_LEN_BYTES_MAX)?;
        Ok(Self(lower))
    }

    /// The checked text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ArtifactType {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        check_name(KeyPart::Type, text, TYPE_LEN_BYTES_MAX)?;
        Ok(Self(text.to_owned()))
    }

    /// The checked text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ArtifactId {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        check_id(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The checked text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! display_as_str {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
display_as_str!(Namespace, ArtifactType, ArtifactId);

/// Namespace, type and id: what names one artifact.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactKey {
    /// The namespace.
    pub ns: Namespace,
    /// The type.
    pub artifact_type: ArtifactType,
    /// The id.
    pub id: ArtifactId,
}

impl ArtifactKey {
    /// Whether [`Self::parse`] takes these texts, without keeping any.
    pub fn check(ns: &str, artifact_type: &str, id: &str) -> Result<(), KeyError> {
        // Lower-cased or not, a namespace has the same faults.
        check_name(KeyPart::Namespace, ns, NAMESPACE_LEN_BYTES_MAX)?;
        check_name(KeyPart::Type, artifact_type, TYPE_LEN_BYTES_MAX)?;
        check_id(id)
    }

    /// Checks the three parts in order; the first error wins.
    pub fn parse(ns: &str, artifact_type: &str, id: &str) -> Result<Self, KeyError> {
        Ok(Self {
            ns: Namespace::parse(ns)?,
            artifact_type: ArtifactType::parse(artifact_type)?,
            id: ArtifactId::parse(id)?,
        })
    }
}

fn check_len(part: KeyPart, text: &str, limit: usize) -> Result<(), KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty(part));
    }
    let len_bytes = text.len();
    if len_bytes > limit {
        return Err(KeyError::TooLong { part, len_bytes, limit });
    }
    Ok(())
}

fn check_name(part: KeyPart, text: &str, limit: usize) -> Result<(), KeyError> {
    check_len(part, text, limit)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(found) = text.chars().find(|c| !allowed(*c)) {
        return Err(KeyError::BadCharacter { part, found });
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(KeyError::BadStart(part));
    }
    Ok(())
}

fn check_id(text: &str) -> Result<(), KeyError> {
    check_len(KeyPart::Id, text, ID_LEN_BYTES_MAX)?;
    if let Some(found) = text.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(KeyError::BadCharacter { part: KeyPart::Id, found });
    }
    if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(KeyError::BadSegment);
    }
    if ends_in_version(text) {
        return Err(KeyError::VersionSuffix);
    }
    match RESERVED_ID_SUFFIXES.iter().find(|suffix| text.ends_with(**suffix)) {
        Some(suffix) => Err(KeyError::ReservedSuffix(suffix)),
        None => Ok(()),
    }
}

fn ends_in_version(text: &str) -> bool {
    let head = text.trim_end_matches(|c: char| c.is_ascii_digit());
    head.len() < text.len() && head.ends_with("@v")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_id_is(text: &str, expected: &Result<(), KeyError>) {
        assert_eq!(&ArtifactId::parse(text).map(|_| ()), expected, "{text:?}");
    }

    #[test]
    fn id_follows_its_grammar() {
        check_id_is("home", &Ok(()));
        check_id_is("a/b/c d/ü/😀", &Ok(()));
        check_id_is("@scope/name@1.2.3/readme", &Ok(()));
        check_id_is("a@v", &Ok(()));
        check_id_is("a@v1", &Err(KeyError::VersionSuffix));
        check_id_is("a@v1.2", &Ok(()));
        check_id_is("", &Err(KeyError::Empty(KeyPart::Id)));
        check_id_is("/a", &Err(KeyError::BadSegment));
        check_id_is("a//b", &Err(KeyError::BadSegment));
        check_id_is("a/", &Err(KeyError::BadSegment));
        check_id_is("a/../b", &Err(KeyError::BadSegment));
        check_id_is("a/.", &Err(KeyError::BadSegment));
        check_id_is("...", &Ok(()));
        check_id_is("a\\b", &Err(KeyError::BadCharacter { part: KeyPart::Id, found: '\\' }));
        check_id_is("a\u{7f}", &Err(KeyError::BadCharacter { part: KeyPart::Id, found: '\u{7f}' }));
        check_id_is("a\u{85}", &Err(KeyError::BadCharacter { part: KeyPart::Id, found: '\u{85}' }));
        for suffix in RESERVED_ID_SUFFIXES {
            check_id_is(&format!("x{suffix}"), &Err(KeyError::ReservedSuffix(suffix)));
        }
    }

    #[test]
    fn lengths_are_limited_in_bytes() {
        check_id_is(&"é".repeat(512), &Ok(()));
        check_id_is(
            &"é".repeat(513),
            &Err(KeyError::TooLong { part: KeyPart::Id, len_bytes: 1026, limit: 1024 }),
        );
        assert!(Namespace::parse(&"a".repeat(253)).is_ok());
        assert!(Namespace::parse(&"a".repeat(254)).is_err());
        assert!(ArtifactType::parse(&"a".repeat(64)).is_ok());
        assert!(ArtifactType::parse(&"a".repeat(65)).is_err());
    }

    #[test]
    fn namespace_is_lower_cased_and_type_is_not() {
        assert_eq!(Namespace::parse("App.DO").unwrap().as_str(), "app.do");
        assert_eq!(ArtifactType::parse("Page").unwrap().as_str(), "Page");
        assert_eq!(Namespace::parse("-a"), Err(KeyError::BadStart(KeyPart::Namespace)));
        assert_eq!(
            Namespace::parse("ä"),
            Err(KeyError::BadCharacter { part: KeyPart::Namespace, found: 'ä' })
        );
    }
}
