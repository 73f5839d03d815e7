//! How a request is published: preview, build or bulk (design.md §3).

use serde::{Deserialize, Serialize};

/// The mode of a request. Each maps to one stream by configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Live editing: all-or-nothing, always revalidated by readers.
    Preview,
    /// CI: all-or-nothing.
    Build,
    /// Migration: streaming, bad lines are skipped.
    Bulk,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Preview, Self::Build, Self::Bulk];

    /// The word in headers, rows and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "preview",
            Self::Build => "build",
            Self::Bulk => "bulk",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.as_str() == word)
    }

    /// Largest chunk in bytes of the JSON that is sent. Bulk stays below the 5 MB that Pipelines takes a request,
    /// with room for how it may count them.
    pub const fn chunk_len_bytes_max(self) -> usize {
        match self {
            Self::Preview => 100 * 1024,
            Self::Build => 1024 * 1024,
            Self::Bulk => 4_000_000,
        }
    }
}
