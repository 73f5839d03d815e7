//! Who may read an artifact (design.md §2, §3 "Who may read").

use serde::{Deserialize, Serialize};

/// Who may read an artifact. A row of another engine may hold null or an unknown word: that is `None` here, and only
/// an admin of the namespace reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Anyone.
    Public,
    /// Anyone who has the URL; never listed.
    Unlisted,
    /// The owner's issuer and organisation.
    Org,
    /// The owner.
    User,
}

impl Visibility {
    /// All of them, in the order of widening secrecy.
    pub const ALL: [Self; 4] = [Self::Public, Self::Unlisted, Self::Org, Self::User];

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
            Self::Org => "org",
            Self::User => "user",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == word)
    }

    /// Whether anyone may read it, so that a cache shared between callers may hold it.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Public | Self::Unlisted)
    }
}
