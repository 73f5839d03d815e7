//! Tokens in, identity out; who may read or write what (design.md §2 "Identity", §3 "Tokens" and "Who may read").
//!
//! ```text
//! configuration, JWKS ──▶ KeySet ─┐
//! Authorization ──▶ parse_token ──┴─▶ candidates ──▶ SignatureCheck ──▶ claims ──▶ Identity ──▶ may_read, may_write
//! ```
//!
//! A token is a JWT (RFC 7519) in the compact form of a JWS (RFC 7515). No cryptography is linked here: the platform
//! checks signatures behind [`verify::SignatureCheck`]. What this crate holds is everything that goes wrong around
//! them: the algorithm is the key's, never the token's; a name that stands twice, an extension that must be understood
//! and sloppy base64 are refused; nothing of the payload is read before its signature holds.
//!
//! Errors say which check failed, for the log. None of them holds the token, a part of it, or key material; a client
//! learns only 401 or 403. Headers that carry or point to a key (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.

mod json;

pub mod claims;
pub mod identity;
pub mod jwks_cache;
pub mod key;
pub mod key_set;
pub mod rights;
pub mod token;
pub mod verify;
