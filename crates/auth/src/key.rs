//! One key that may verify tokens, and how it is read from a JWK (RFC 7517, RFC 7518 §6, RFC 8037 §2).
//!
//! The algorithm is a consequence of the key's type, so no input can pair a key with a foreign algorithm: an RSA
//! public key is never an HMAC secret.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use thiserror::Error;

use crate::json::Members;

/// Shortest HMAC secret: the length of the hash (RFC 7518 §3.2).
pub const SECRET_LEN_BYTES_MIN: usize = 32;

/// Longest HMAC secret. HMAC hashes whatever exceeds a block of 64 bytes, so more adds nothing; 1 KiB leaves room for
/// any encoding of a key.
pub const SECRET_LEN_BYTES_MAX: usize = 1024;

/// Smallest RSA modulus (RFC 7518 §3.3).
pub const RSA_BITS_MIN: usize = 2048;

/// Largest RSA modulus: checking a signature costs the square of it, and nobody signs tokens with more.
pub const RSA_BITS_MAX: usize = 8192;

/// Longest key id. Ids in use are thumbprints (43 characters) or UUIDs.
pub const KID_LEN_BYTES_MAX: usize = 256;

/// Coordinates of P-256 and Ed25519 have 256 bits.
const COORDINATE_LEN_BYTES: usize = 32;

/// Largest RSA exponent, in bytes: platforms refuse more than 33 bits.
const RSA_EXPONENT_LEN_BYTES_MAX: usize = 4;

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alg {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with P-256 and SHA-256; a signature is r and s, 32 bytes each.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Alg {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// The word in a header; compared exactly, case included.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == word)
    }
}

/// What the platform imports. Texts are base64url without padding, as a JWK holds them, and canonical.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum KeyMaterial {
    /// The raw bytes of an HMAC secret.
    Secret(Vec<u8>),
    /// An RSA public key.
    Rsa {
        /// Modulus.
        n: String,
        /// Exponent.
        e: String,
        /// Length of the modulus, which is that of a signature.
        modulus_len_bytes: usize,
    },
    /// A public key on P-256. That the point lies on the curve is the platform's to check.
    P256 {
        /// First coordinate.
        x: String,
        /// Second coordinate.
        y: String,
    },
    /// An Ed25519 public key.
    Ed25519 {
        /// The key.
        x: String,
    },
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret(..)",
            Self::Rsa { .. } => "Rsa(..)",
            Self::P256 { .. } => "P256(..)",
            Self::Ed25519 { .. } => "Ed25519(..)",
        })
    }
}

/// A key that may verify tokens. Its `Debug` shows no key material.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    kid: Option<String>,
    material: KeyMaterial,
}

impl Key {
    /// An HMAC secret: the bytes of `text` as they are.
    pub(crate) fn from_secret(text: &str) -> Result<Self, MemberFault> {
        Ok(Self { kid: None, material: secret(text.as_bytes().to_vec())? })
    }

    /// Its id, by which a token may name it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm that it is used with.
    pub const fn alg(&self) -> Alg {
        match self.material {
            KeyMaterial::Secret(_) => Alg::Hs256,
            KeyMaterial::Rsa { .. } => Alg::Rs256,
            KeyMaterial::P256 { .. } => Alg::Es256,
            KeyMaterial::Ed25519 { .. } => Alg::EdDsa,
        }
    }

    /// What the platform imports.
    pub const fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// The public key as the text of a JWK with nothing but the members that an import needs; `None` for a secret.
    pub fn to_public_jwk(&self) -> Option<String> {
        Some(match &self.material {
            KeyMaterial::Secret(_) => return None,
            KeyMaterial::Rsa { n, e, .. } => format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#),
            KeyMaterial::P256 { x, y } => format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#),
            KeyMaterial::Ed25519 { x } => format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
        })
    }

    /// The only length that one of its signatures has.
    pub const fn signature_len_bytes(&self) -> usize {
        match self.material {
            KeyMaterial::Secret(_) => 32,
            KeyMaterial::Rsa { modulus_len_bytes, .. } => modulus_len_bytes,
            KeyMaterial::P256 { .. } | KeyMaterial::Ed25519 { .. } => 64,
        }
    }
}

/// What is wrong with one member of a JWK, or with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MemberFault {
    /// It is required.
    #[error("is missing")]
    Missing,
    /// It has another JSON type.
    #[error("has the wrong type")]
    WrongType,
    /// It is not base64url without padding.
    #[error("is not base64url without padding")]
    NotBase64Url,
    /// It has fewer bits than is safe.
    #[error("has {bits} bits; at least {limit} are needed")]
    Weak {
        /// The bits found.
        bits: usize,
        /// The limit.
        limit: usize,
    },
    /// It is longer than allowed.
    #[error("has {len_bytes} bytes; at most {limit} are allowed")]
    TooLong {
        /// The length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It has a fixed length, and another one was found.
    #[error("has {len_bytes} bytes; it must have {expected}")]
    Length {
        /// The length found.
        len_bytes: usize,
        /// The only length allowed.
        expected: usize,
    },
    /// The number can belong to no safe key.
    #[error("is not a number that a key may have")]
    Unsafe,
    /// It is part of a private key, which has no place where tokens are verified.
    #[error("is part of a private key; give the public key only")]
    Private,
    /// It contradicts the type of the key.
    #[error("contradicts the key's type")]
    Contradiction,
}

/// Why a JWK is not for us, though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotForUs {
    /// `kty` or `crv` names a type of key that Firn does not use.
    #[error("its type is not used here")]
    KeyType,
    /// `alg` names an algorithm that Firn does not use.
    #[error("its algorithm is not used here")]
    Algorithm,
    /// `use` or `key_ops` says that it does not verify signatures.
    #[error("it is not for verifying signatures")]
    Use,
}

/// One JWK, read.
#[derive(Debug)]
pub(crate) enum Jwk {
    /// A key.
    Key(Key),
    /// Not for us.
    Other(NotForUs),
}

/// The member that is wrong, and how.
pub(crate) type JwkError = (&'static str, MemberFault);

/// Reads one member of a JWKS.
pub(crate) fn parse_jwk(jwk: &Members<'_>) -> Result<Jwk, JwkError> {
    let kty = required(jwk, "kty")?;
    if let Some(reason) = other_use(jwk)? {
        return Ok(Jwk::Other(reason));
    }
    let declared = text(jwk, "alg")?;
    let declared_alg = match declared.as_deref().map(Alg::parse) {
        Some(None) => return Ok(Jwk::Other(NotForUs::Algorithm)),
        Some(alg) => alg,
        None => None,
    };
    let kid = text(jwk, "kid")?;
    if let Some(kid) = &kid {
        at_most("kid", kid.len(), KID_LEN_BYTES_MAX)?;
    }
    let material = match kty.as_str() {
        "oct" => secret(decoded(jwk, "k")?).map_err(|fault| ("k", fault))?,
        "RSA" => rsa(jwk)?,
        "EC" if required(jwk, "crv")? == "P-256" => {
            KeyMaterial::P256 { x: coordinate(jwk, "x")?, y: coordinate(jwk, "y")? }
        }
        "OKP" if required(jwk, "crv")? == "Ed25519" => KeyMaterial::Ed25519 { x: coordinate(jwk, "x")? },
        _ => return Ok(Jwk::Other(NotForUs::KeyType)),
    };
    if jwk.has("d") {
        return Err(("d", MemberFault::Private));
    }
    let key = Key { kid, material };
    if declared_alg.is_some_and(|alg| alg != key.alg()) {
        return Err(("alg", MemberFault::Contradiction));
    }
    Ok(Jwk::Key(key))
}

fn other_use(jwk: &Members<'_>) -> Result<Option<NotForUs>, JwkError> {
    if text(jwk, "use")?.is_some_and(|word| word != "sig") {
        return Ok(Some(NotForUs::Use));
    }
    let operations: Option<Vec<String>> =
        jwk.get("key_ops").map_err(|_| ("key_ops", MemberFault::WrongType))?;
    let verifies = operations.is_none_or(|all| all.iter().any(|word| word == "verify"));
    Ok((!verifies).then_some(NotForUs::Use))
}

fn secret(bytes: Vec<u8>) -> Result<KeyMaterial, MemberFault> {
    if bytes.len() < SECRET_LEN_BYTES_MIN {
        return Err(MemberFault::Weak { bits: bytes.len() * 8, limit: SECRET_LEN_BYTES_MIN * 8 });
    }
    if bytes.len() > SECRET_LEN_BYTES_MAX {
        return Err(MemberFault::TooLong { len_bytes: bytes.len(), limit: SECRET_LEN_BYTES_MAX });
    }
    Ok(KeyMaterial::Secret(bytes))
}

fn rsa(jwk: &Members<'_>) -> Result<KeyMaterial, JwkError> {
    let n = unsigned(decoded(jwk, "n")?);
    let e = unsigned(decoded(jwk, "e")?);
    let bits = n.len() * 8 - n.first().map_or(0, |top| usize::try_from(top.leading_zeros()).unwrap_or(0));
    if bits < RSA_BITS_MIN {
        return Err(("n", MemberFault::Weak { bits, limit: RSA_BITS_MIN }));
    }
    at_most("n", n.len(), RSA_BITS_MAX / 8)?;
    at_most("e", e.len(), RSA_EXPONENT_LEN_BYTES_MAX)?;
    // An exponent of 1 would make every message its own signature; a product of odd primes is odd.
    let is_odd = |number: &[u8]| number.last().is_some_and(|low| low % 2 == 1);
    if !is_odd(&e) || e == [1] {
        return Err(("e", MemberFault::Unsafe));
    }
    if !is_odd(&n) {
        return Err(("n", MemberFault::Unsafe));
    }
    Ok(KeyMaterial::Rsa { n: encoded(&n), e: encoded(&e), modulus_len_bytes: n.len() })
}

/// Without the leading zero that some libraries write (RFC 7518 §6.3.1.1).
fn unsigned(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

fn coordinate(jwk: &Members<'_>, name: &'static str) -> Result<String, JwkError> {
    let bytes = decoded(jwk, name)?;
    if bytes.len() != COORDINATE_LEN_BYTES {
        return Err((name, MemberFault::Length { len_bytes: bytes.len(), expected: COORDINATE_LEN_BYTES }));
    }
    Ok(encoded(&bytes))
}

fn decoded(jwk: &Members<'_>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    BASE64_URL_SAFE_NO_PAD.decode(required(jwk, name)?).map_err(|_| (name, MemberFault::NotBase64Url))
}

fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn required(jwk: &Members<'_>, name: &'static str) -> Result<String, JwkError> {
    text(jwk, name)?.ok_or((name, MemberFault::Missing))
}

fn text(jwk: &Members<'_>, name: &'static str) -> Result<Option<String>, JwkError> {
    jwk.get(name).map_err(|_| (name, MemberFault::WrongType))
}

fn at_most(name: &'static str, len_bytes: usize, limit: usize) -> Result<(), JwkError> {
    if len_bytes > limit { Err((name, MemberFault::TooLong { len_bytes, limit })) } else { Ok(()) }
}
