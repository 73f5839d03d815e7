//! From the text of a token to an identity: parse, choose keys, check the signature, read the claims; in this order.

use std::future::Future;

use thiserror::Error;

use crate::{
    claims::{ClaimError, Policy, read_claims},
    identity::Identity,
    key::Key,
    key_set::KeySet,
    token::{TokenError, UnverifiedToken, parse_token},
};

/// Most keys that one token is tried with: a bound on what a forged token without a `kid` costs.
pub const CANDIDATES_MAX: usize = 8;

/// What the platform was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptoStep {
    /// Importing the key.
    Import,
    /// Checking the signature.
    Verify,
}

/// The platform could not check a signature, which says nothing about the token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the platform failed to check a signature ({step:?}): {message}")]
pub struct CryptoError {
    /// What it was doing.
    pub step: CryptoStep,
    /// What it said; must hold no key material.
    pub message: String,
}

/// Checks signatures with the platform's cryptography.
pub trait SignatureCheck {
    /// Whether `signature` is one of `signing_input` by `key`, with the key's own algorithm and no other.
    ///
    /// Called only with signatures of [`Key::signature_len_bytes`]. For ES256 that is r and s as raw bytes, as
    /// browsers and Workers take them. Must compare an HMAC in constant time.
    fn verify(
        &self,
        key: &Key,
        signing_input: &[u8],
        signature: &[u8],
    ) -> impl Future<Output = Result<bool, CryptoError>>;
}

/// Why a token gave no identity; for the log. To the client each is the same 401, except [`Self::Crypto`], which is a
/// failure of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// It is not a token that could be verified.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No key fits: its `kid` is not known, or there is no key of its algorithm.
    #[error("no key is known for the token")]
    UnknownKey,
    /// The key that it names is for another algorithm.
    #[error("the token's algorithm is not its key's")]
    AlgorithmMismatch,
    /// It names no key, and too many could be meant.
    #[error("the token names no key, and {count} fit; at most {limit} are tried")]
    TooManyCandidates {
        /// The number of keys that fit.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The signature is not one of any key that fits.
    #[error("the token's signature does not verify")]
    Signature,
    /// The platform failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The signature holds and a claim refuses.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

impl AuthError {
    /// Whether a newer JWKS could turn it into an identity.
    pub const fn is_unknown_key(&self) -> bool {
        matches!(self, Self::UnknownKey)
    }
}

/// The identity of a token. Nothing of its payload is looked at before a signature by one of `keys` holds.
pub async fn authenticate(
    check: &impl SignatureCheck,
    keys: &KeySet,
    policy: &Policy,
    token_text: &str,
    now_secs: i64,
) -> Result<Identity, AuthError> {
    let token = parse_token(token_text)?;
    let candidates = candidates(keys, &token)?;
    check_signature(check, &candidates, &token).await?;
    Ok(read_claims(token.payload(), policy, now_secs)?)
}

struct Candidates<'k> {
    keys: Vec<&'k Key>,
    /// Whether a failure may be due to a key that we have not got yet.
    may_be_newer: bool,
}

/// The keys that may verify the token: those of its `kid`; where it names none, or none that is known, those without
/// one of their own. (A secret has none, and some issuers name it all the same.)
fn candidates<'k>(keys: &'k KeySet, token: &UnverifiedToken<'_>) -> Result<Candidates<'k>, AuthError> {
    let all = || keys.keys().iter();
    let (meant, may_be_newer): (Vec<&Key>, bool) = match token.kid() {
        None => (all().collect(), false),
        Some(kid) if all().any(|key| key.kid() == Some(kid)) => {
            (all().filter(|key| key.kid() == Some(kid)).collect(), false)
        }
        Some(_) => (all().filter(|key| key.kid().is_none()).collect(), true),
    };
    let keys: Vec<&Key> = meant.iter().copied().filter(|key| key.alg() == token.alg()).collect();
    let count = keys.len();
    match count {
        0 if token.kid().is_some() && !may_be_newer => Err(AuthError::AlgorithmMismatch),
        0 => Err(AuthError::UnknownKey),
        1..=CANDIDATES_MAX => Ok(Candidates { keys, may_be_newer }),
        _ => Err(AuthError::TooManyCandidates { count, limit: CANDIDATES_MAX }),
    }
}

async fn check_signature(
    check: &impl SignatureCheck,
    candidates: &Candidates<'_>,
    token: &UnverifiedToken<'_>,
) -> Result<(), AuthError> {
    let signature = token.signature();
    let mut failure = None;
    for key in &candidates.keys {
        if signature.len() != key.signature_len_bytes() {
            continue;
        }
        match check.verify(key, token.signing_input(), signature).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            // Another key may still be the right one.
            Err(error) => failure = Some(error),
        }
    }
    Err(match failure {
        Some(error) => AuthError::Crypto(error),
        None if candidates.may_be_newer => AuthError::UnknownKey,
        None => AuthError::Signature,
    })
}
