//! The compact form of a JWS (RFC 7515 §3.1, §7.1), taken apart and not yet believed.
//!
//! ```text
//! base64url(header) "." base64url(payload) "." base64url(signature)
//! └──────── signing input ────────────────┘
//! ```
//!
//! Only what choosing a key needs is read here: the header. The payload stays opaque until its signature was checked.
//! Encrypted (JWE, five parts) and nested tokens are not supported.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use thiserror::Error;

use crate::{
    json::{Members, ObjectError},
    key::{Alg, KID_LEN_BYTES_MAX},
};

/// Longest token. Servers in front of us cap all headers at 16–32 KiB; tokens with many groups reach 4 KiB.
pub const TOKEN_LEN_BYTES_MAX: usize = 8 * 1024;

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPart {
    /// The JOSE header.
    Header,
    /// The claims.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for TokenPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why a text is not a token that could be verified. Holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// `Authorization` is not `Bearer` and one token.
    #[error("Authorization is not \"Bearer\" and one token")]
    NotBearer,
    /// It is longer than [`TOKEN_LEN_BYTES_MAX`].
    #[error("the token has {len_bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It has not exactly three parts.
    #[error("the token has not exactly three parts")]
    Parts,
    /// A part is empty; an empty signature is how an unsigned token looks.
    #[error("the token's {0} is empty")]
    EmptyPart(TokenPart),
    /// A part is not base64url: padding, another alphabet, or bits that encode nothing.
    #[error("the token's {0} is not base64url without padding")]
    Base64(TokenPart),
    /// The header is not a JSON object.
    #[error("the token's header is not a JSON object")]
    Header,
    /// A name stands twice in the header.
    #[error("a name stands twice in the token's header")]
    DuplicateName,
    /// A member of the header is missing, has the wrong type or is too long.
    #[error("the token's header member {0:?} is missing, too long or of the wrong type")]
    HeaderMember(&'static str),
    /// `alg` is none of ours; `none` in any spelling is among those.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// The header asks for an extension (`crit`, `b64`), and none is understood.
    #[error("the token's header asks for an extension")]
    Extension,
    /// `typ` or `cty` says that it is something else than an access token, or holds another token.
    #[error("the token is of another type")]
    Type,
}

/// A token whose signature was not checked. Its `Debug` shows nothing of it.
pub struct UnverifiedToken<'a> {
    alg: Alg,
    kid: Option<String>,
    signing_input: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("alg", &self.alg).finish_non_exhaustive()
    }
}

impl UnverifiedToken<'_> {
    /// What it says that it is signed with: a claim to compare with a key, never to obey.
    pub const fn alg(&self) -> Alg {
        self.alg
    }

    /// The id of its key, if it names one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The bytes that are signed.
    pub const fn signing_input(&self) -> &[u8] {
        self.signing_input
    }

    /// The signature; never empty.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The claims, not to be read before the signature holds.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// The token of an `Authorization` header (RFC 6750 §2.1, RFC 9110 §11.4): `Bearer`, in any case, spaces, one token.
///
/// Several headers, joined by commas on the way, are not one token.
pub fn bearer_token(authorization: &str) -> Result<&str, TokenError> {
    let (scheme, rest) = authorization.split_once(' ').ok_or(TokenError::NotBearer)?;
    let token = rest.trim_matches(' ');
    let is_one = !token.is_empty() && !token.contains([' ', ',', '\t']);
    if scheme.eq_ignore_ascii_case("bearer") && is_one { Ok(token) } else { Err(TokenError::NotBearer) }
}

/// Takes a token apart. Total: any text gives a token or an error, in time linear in its length.
pub fn parse_token(text: &str) -> Result<UnverifiedToken<'_>, TokenError> {
    let len_bytes = text.len();
    if len_bytes > TOKEN_LEN_BYTES_MAX {
        return Err(TokenError::TooLarge { len_bytes, limit: TOKEN_LEN_BYTES_MAX });
    }
    let (signing_input, signature) = text.rsplit_once('.').ok_or(TokenError::Parts)?;
    let (header, payload) = signing_input.split_once('.').ok_or(TokenError::Parts)?;
    if payload.contains('.') {
        return Err(TokenError::Parts);
    }
    let header = decode_part(TokenPart::Header, header)?;
    let payload = decode_part(TokenPart::Payload, payload)?;
    let signature = decode_part(TokenPart::Signature, signature)?;
    let (alg, kid) = parse_header(&header)?;
    Ok(UnverifiedToken { alg, kid, signing_input: signing_input.as_bytes(), payload, signature })
}

fn decode_part(part: TokenPart, text: &str) -> Result<Vec<u8>, TokenError> {
    if text.is_empty() {
        return Err(TokenError::EmptyPart(part));
    }
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Base64(part))
}

fn parse_header(bytes: &[u8]) -> Result<(Alg, Option<String>), TokenError> {
    let header = Members::parse(bytes).map_err(|error| match error {
        ObjectError::Syntax => TokenError::Header,
        ObjectError::DuplicateName => TokenError::DuplicateName,
    })?;
    // RFC 7515 §4.1.11: an extension that is not understood makes the token invalid. RFC 7797's `b64` changes what is
    // signed; it must stand in `crit`, and is refused also where it does not.
    if header.has("crit") || header.has("b64") {
        return Err(TokenError::Extension);
    }
    let text = |name| header.get::<String>(name).map_err(|_| TokenError::HeaderMember(name));
    let word = text("alg")?.ok_or(TokenError::HeaderMember("alg"))?;
    let alg = Alg::parse(&word).ok_or(TokenError::Algorithm)?;
    let kid = text("kid")?;
    if kid.as_ref().is_some_and(|kid| kid.len() > KID_LEN_BYTES_MAX) {
        return Err(TokenError::HeaderMember("kid"));
    }
    if !text("typ")?.is_none_or(|typ| is_access_token(&typ)) || header.has("cty") {
        return Err(TokenError::Type);
    }
    Ok((alg, kid))
}

/// RFC 7519 §5.1 and RFC 9068 §2.1. Media types have no case, and may leave out `application/` (RFC 7515 §4.1.9).
/// Tokens of other types (logout, proofs of possession, security events) are signed by the same keys and are no credentials.
fn is_access_token(typ: &str) -> bool {
    let lower = typ.to_ascii_lowercase();
    matches!(lower.strip_prefix("application/").unwrap_or(&lower), "jwt" | "at+jwt")
}
