//! The keys of a deployment: a secret, a JWKS in the configuration, or a JWKS that was fetched (RFC 7517 §5).
//!
//! All keys of a set may speak for every issuer that the policy allows: a deployment is one domain of trust.

use serde_json::value::RawValue;
use thiserror::Error;

use crate::{
    json::{Members, ObjectError},
    key::{Jwk, Key, MemberFault, NotForUs, parse_jwk},
};

/// Longest JWKS: [`KEYS_MAX`] RSA keys of 8192 bits with an X.509 chain of 2.5 KiB each would be 256 KiB.
pub const JWKS_LEN_BYTES_MAX: usize = 256 * 1024;

/// Most members of a JWKS. Providers publish two to ten.
pub const KEYS_MAX: usize = 64;

/// Where a JWKS comes from, which decides how its faults are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwksOrigin {
    /// The operator wrote it: a key that is broken or weak is an error.
    Configured,
    /// A provider published it: a key that cannot be used is passed over (RFC 7517 §5), so that it does not take the
    /// good ones with it. A symmetric key is passed over too: what is published is no secret.
    Fetched,
}

/// Why a member of a JWKS was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SkipReason {
    /// It is a fine key, for something else.
    #[error("{0}")]
    NotForUs(NotForUs),
    /// A symmetric key in a set that anyone can fetch.
    #[error("a symmetric key must not be published")]
    PublishedSecret,
    /// A fetched key is broken, weak or private.
    #[error("its member {member:?} {fault}")]
    Unusable {
        /// The member.
        member: &'static str,
        /// What is wrong.
        fault: MemberFault,
    },
}

/// A member that was passed over; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its position in `keys`.
    pub key_idx: usize,
    /// The reason.
    pub reason: SkipReason,
}

/// Why keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// The text is longer than [`JWKS_LEN_BYTES_MAX`].
    #[error("the key set has {len_bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The text is not a JSON object with an array `keys`, or a name stands twice.
    #[error("the key set is not a JSON object with an array \"keys\" and unique names")]
    NotAJwks,
    /// There are more than [`KEYS_MAX`] members.
    #[error("the key set has {count} keys; at most {limit} are allowed")]
    TooManyKeys {
        /// The number found.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A member of `keys` is not a JSON object with unique names.
    #[error("key {key_idx} of the key set is not a JSON object with unique names")]
    NotAJwk {
        /// Its position in `keys`.
        key_idx: usize,
    },
    /// A key is broken, weak or private.
    #[error("key {key_idx} of the key set: its member {member:?} {fault}")]
    Key {
        /// Its position in `keys`.
        key_idx: usize,
        /// The member.
        member: &'static str,
        /// What is wrong.
        fault: MemberFault,
    },
    /// No key of the set can be used.
    #[error("the key set holds no key that can be used here")]
    NoUsableKey,
    /// The secret is too short or too long.
    #[error("the secret {0}")]
    Secret(MemberFault),
}

/// The keys that may verify tokens. An empty set verifies none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
}

impl KeySet {
    /// One HS256 key: the bytes of `text` as they are.
    pub fn from_secret(text: &str) -> Result<Self, KeySetError> {
        let key = Key::from_secret(text).map_err(KeySetError::Secret)?;
        Ok(Self { keys: vec![key], skipped: Vec::new() })
    }

    /// Reads a JWKS. It holds at least one key, or it is an error.
    pub fn parse(text: &str, origin: JwksOrigin) -> Result<Self, KeySetError> {
        let len_bytes = text.len();
        if len_bytes > JWKS_LEN_BYTES_MAX {
            return Err(KeySetError::TooLarge { len_bytes, limit: JWKS_LEN_BYTES_MAX });
        }
        let set = Members::parse(text.as_bytes()).map_err(|_| KeySetError::NotAJwks)?;
        let array = set.raw("keys").ok_or(KeySetError::NotAJwks)?;
        let members: Vec<&RawValue> = serde_json::from_str(array).map_err(|_| KeySetError::NotAJwks)?;
        let count = members.len();
        if count > KEYS_MAX {
            return Err(KeySetError::TooManyKeys { count, limit: KEYS_MAX });
        }
        let mut parsed = Self::default();
        for (key_idx, member) in members.into_iter().enumerate() {
            match parse_member(member.get(), origin).map_err(|fault| fault.at(key_idx))? {
                Member::Key(key) => parsed.keys.push(key),
                Member::Skip(reason) => parsed.skipped.push(SkippedKey { key_idx, reason }),
            }
        }
        if parsed.keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(parsed)
    }

    /// The keys of both, `self`'s first.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            keys: [self.keys.as_slice(), &other.keys].concat(),
            skipped: [self.skipped.as_slice(), &other.skipped].concat(),
        }
    }

    /// The keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What was passed over.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }
}

enum Member {
    Key(Key),
    Skip(SkipReason),
}

enum Fault {
    NotAJwk,
    Member(&'static str, MemberFault),
}

impl Fault {
    const fn at(self, key_idx: usize) -> KeySetError {
        match self {
            Self::NotAJwk => KeySetError::NotAJwk { key_idx },
            Self::Member(member, fault) => KeySetError::Key { key_idx, member, fault },
        }
    }
}

fn parse_member(text: &str, origin: JwksOrigin) -> Result<Member, Fault> {
    let jwk = Members::parse(text.as_bytes()).map_err(|_: ObjectError| Fault::NotAJwk)?;
    let fetched = origin == JwksOrigin::Fetched;
    if fetched && jwk.get::<String>("kty") == Ok(Some("oct".to_owned())) {
        return Ok(Member::Skip(SkipReason::PublishedSecret));
    }
    match parse_jwk(&jwk) {
        Ok(Jwk::Key(key)) => Ok(Member::Key(key)),
        Ok(Jwk::Other(reason)) => Ok(Member::Skip(SkipReason::NotForUs(reason))),
        Err((member, fault)) if fetched => Ok(Member::Skip(SkipReason::Unusable { member, fault })),
        Err((member, fault)) => Err(Fault::Member(member, fault)),
    }
}
