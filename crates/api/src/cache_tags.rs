//! The tags under which answers are cached, and by which a zone's cache is purged (design.md §3, §6).
//!
//! ```text
//! firn-n-{digest of ns}   firn-t-{digest of ns, type}   firn-a-{digest of ns, type, id}
//!
//! digest = hex(SHA-256({ len(part) part }*))     len is 8 bytes, big-endian
//! ```
//!
//! Cloudflare's tags are printable ASCII without spaces and commas, at most 1,024 bytes in a purge, and compared without
//! case; a key is none of that. The letter keeps the levels apart, so that no type's tag is a namespace's.

use std::fmt;

use firn_ndjson::digest::Sha256;
use firn_types::key::ArtifactKey;
use serde::{Deserialize, Serialize};

/// Longest tag that the purge API takes, in bytes.
pub const TAG_LEN_BYTES_MAX: usize = 1_024;

/// Longest time that anything stays in a shared cache of ours, in seconds: a day, whatever the tenant's max-age and
/// stale-while-revalidate add up to. A purge that is older has nothing left to purge.
pub const EDGE_LIFETIME_SECS_MAX: u64 = 86_400;

/// How much a tag covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// All of a namespace.
    Namespace,
    /// All artifacts of one type in a namespace.
    Type,
    /// One artifact, in every representation.
    Artifact,
}

impl Level {
    const fn letter(self) -> char {
        match self {
            Self::Namespace => 'n',
            Self::Type => 't',
            Self::Artifact => 'a',
        }
    }
}

/// One tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CacheTag {
    level: Level,
    digest: [u8; 32],
}

impl CacheTag {
    /// Of everything in a namespace.
    pub fn of_namespace<H: Sha256 + Default>(ns: &str) -> Self {
        Self { level: Level::Namespace, digest: digest_parts::<H>(&[ns]) }
    }

    /// Of everything of one type in a namespace.
    pub fn of_type<H: Sha256 + Default>(ns: &str, artifact_type: &str) -> Self {
        Self { level: Level::Type, digest: digest_parts::<H>(&[ns, artifact_type]) }
    }

    /// Of one artifact.
    pub fn of_artifact<H: Sha256 + Default>(ns: &str, artifact_type: &str, id: &str) -> Self {
        Self { level: Level::Artifact, digest: digest_parts::<H>(&[ns, artifact_type, id]) }
    }

    /// How much it covers.
    pub const fn level(&self) -> Level {
        self.level
    }
}

impl fmt::Display for CacheTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "firn-{}-", self.level.letter())?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of `Cache-Tag` for every representation of an artifact: its own tag, its type's and its namespace's.
pub fn render_cache_tags<H: Sha256 + Default>(key: &ArtifactKey) -> String {
    let (ns, artifact_type, id) = (key.ns.as_str(), key.artifact_type.as_str(), key.id.as_str());
    let artifact = CacheTag::of_artifact::<H>(ns, artifact_type, id);
    format!("{artifact},{},{}", CacheTag::of_type::<H>(ns, artifact_type), CacheTag::of_namespace::<H>(ns))
}

fn digest_parts<H: Sha256 + Default>(parts: &[&str]) -> [u8; 32] {
    let mut preimage = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        preimage.extend_from_slice(&(part.len() as u64).to_be_bytes());
        preimage.extend_from_slice(part.as_bytes());
    }
    H::default().finish(&preimage)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use firn_ndjson::digest::SoftwareSha256;
    use firn_types::limits::{ID_LEN_BYTES_MAX, NAMESPACE_LEN_BYTES_MAX, TYPE_LEN_BYTES_MAX};

    use super::*;

    type H = SoftwareSha256;

    #[test]
    fn tags_are_the_hex_of_length_prefixed_parts() {
        // printf '\0\0\0\0\0\0\0\x06app.do\0\0\0\0\0\0\0\x04page\0\0\0\0\0\0\0\x04home' | sha256sum, and its beginnings.
        let key = ArtifactKey::parse("app.do", "page", "home").unwrap();
        assert_eq!(
            render_cache_tags::<H>(&key),
            "firn-a-a01aef68b30f0dafe52ef4cf7b26383bb9f8fb18cd209ee082f4bd5c6e65da0d,\
             firn-t-1d87a89ee83125e68338e04f225b0a463ea5a838ecd5e3ef4760c5cedb066afd,\
             firn-n-78db995a01f6e1fe47f9ff23874a6aa44dade6ca5701153a8c766c21a3bf2cb9"
        );
    }

    #[test]
    fn no_two_things_share_a_tag() {
        let parts = ["a", "b", "ab", "a/b", "b/a", "a.b"];
        let mut tags = HashSet::new();
        let mut count = 0;
        for ns in parts {
            tags.insert(CacheTag::of_namespace::<H>(ns).to_string());
            count += 1;
            for artifact_type in parts {
                tags.insert(CacheTag::of_type::<H>(ns, artifact_type).to_string());
                count += 1;
                for id in parts {
                    tags.insert(CacheTag::of_artifact::<H>(ns, artifact_type, id).to_string());
                    count += 1;
                }
            }
        }
        assert_eq!(tags.len(), count);
    }

    #[test]
    fn tags_are_short_printable_ascii_that_differs_in_more_than_case() {
        let longest = |len_bytes: usize| "Z".repeat(len_bytes);
        let id = "雪".repeat(ID_LEN_BYTES_MAX / 3);
        let (ns, artifact_type) = (longest(NAMESPACE_LEN_BYTES_MAX), longest(TYPE_LEN_BYTES_MAX));
        for tag in [
            CacheTag::of_namespace::<H>(&ns),
            CacheTag::of_type::<H>(&ns, &artifact_type),
            CacheTag::of_artifact::<H>(&ns, &artifact_type, &id),
        ] {
            let text = tag.to_string();
            assert!(text.len() <= TAG_LEN_BYTES_MAX, "{text}");
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(text.bytes().all(allowed), "{text}");
        }
        let tag = |artifact_type| CacheTag::of_type::<H>("a", artifact_type).to_string();
        assert!(!tag("Page").eq_ignore_ascii_case(&tag("page")));
    }
}
