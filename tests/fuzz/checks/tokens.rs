//! Tokens and key sets: nothing is accepted whose signature was not said to hold, nothing of a payload matters before
//! that, an identity is what the claims say, and no error shows anything of a token or a key.
//!
//! Input: three bytes of choices ([`Choices`]), then lines: header (or a whole `Authorization`), payload, signature,
//! keys, issuers, audiences. Each `$` stands for [`MARK`], which no error may show a part of. (A part of the input
//! itself would not do: the fuzzer learns to write what errors say anyway.)

#[path = "members.rs"]
mod members;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use firn_auth::claims::{LEEWAY_SECS, LIST_LEN_MAX, NAME_LEN_BYTES_MAX, Policy};
use firn_auth::identity::{Identity, NsPattern, Scope};
use firn_auth::key::{
    Alg, Key, KeyMaterial, RSA_BITS_MAX, RSA_BITS_MIN, SECRET_LEN_BYTES_MAX, SECRET_LEN_BYTES_MIN,
};
use firn_auth::key_set::{JwksOrigin, KEYS_MAX, KeySet, KeySetError};
use firn_auth::token::{TOKEN_LEN_BYTES_MAX, UnverifiedToken, bearer_token, parse_token};
use firn_auth::verify::{AuthError, CANDIDATES_MAX, CryptoError, CryptoStep, SignatureCheck, authenticate};
use serde::de::DeserializeOwned;

use members::{Members, parse_members};
/// Text of JSON strings and of base64url alike, so that it may stand in claims, ids and key material.
const MARK: &str = "Zq7-Zk9_Xw3-Yv5_";

/// Shortest part of [`MARK`] that counts as shown.
const SHOWN_LEN_BYTES_MIN: usize = 12;

/// Longest error: the longest words of this crate have about a hundred bytes.
const ERROR_LEN_BYTES_MAX: usize = 256;

const NOW_SECS: i64 = 1_900_000_000;

/// What a signature may be stretched to: those of HMAC, of the two curves, and of RSA with 2048 bits.
const SIGNATURE_LENS_BYTES: [usize; 3] = [32, 64, 256];

pub(crate) fn check(input: &[u8]) {
    let Some((choices, rest)) = input.split_first_chunk() else { return };
    let choices = Choices(*choices);
    let lines: Vec<Vec<u8>> = rest.splitn(6, |byte| *byte == b'\n').map(marked).collect();
    let bytes = |line_idx: usize| lines.get(line_idx).map_or(&[][..], Vec::as_slice);
    let text = |line_idx| String::from_utf8_lossy(bytes(line_idx));

    check_key_sets(&text(3));
    let keys = choices.keys(&text(3));
    let (policy, issuers, audiences) = match Policy::parse(&text(4), &text(5)) {
        Ok(policy) => (policy, words(&text(4)), words(&text(5))),
        Err(error) => {
            check_discretion(&error);
            (Policy::default(), Vec::new(), Vec::new())
        }
    };
    let token = if choices.is_in_parts() {
        let signature = choices.signature(bytes(2));
        Cow::Owned([bytes(0), bytes(1), &signature].map(|part| BASE64.encode(part)).join("."))
    } else {
        bearer_of(text(0))
    };
    check_token(&token);
    check_authentication(&Case { choices, keys, policy, issuers, audiences }, &token);
}

/// What the first three bytes choose.
///
/// 1. bit 0: the token is given in parts; bits 1–2: its signature is as given, or stretched; bits 3–4: keys.
/// 2. bit i: the signature holds by the key that is asked about as the i-th.
/// 3. bit i: the platform fails there.
#[derive(Clone, Copy)]
struct Choices([u8; 3]);

impl Choices {
    fn is_in_parts(self) -> bool {
        self.0[0] & 1 == 1
    }

    fn signature(self, given: &[u8]) -> Vec<u8> {
        match usize::from(self.0[0] >> 1 & 3).checked_sub(1) {
            None => given.to_vec(),
            Some(len_idx) => {
                given.iter().chain([&0]).copied().cycle().take(SIGNATURE_LENS_BYTES[len_idx]).collect()
            }
        }
    }

    fn keys(self, text: &str) -> KeySet {
        match self.0[0] >> 3 & 3 {
            0 => KNOWN_KEYS.clone(),
            1 => KeySet::parse(text, JwksOrigin::Configured).unwrap_or_default(),
            2 => KeySet::parse(text, JwksOrigin::Fetched).unwrap_or_default(),
            _ => KeySet::from_secret(text).unwrap_or_default().and(&KNOWN_KEYS),
        }
    }

    /// What is said of the i-th key; `None` is a failure.
    fn answer(self, key_idx: usize) -> Option<bool> {
        let [_, holds, fails] = self.0.map(|bits| bits >> key_idx & 1 == 1);
        (!fails).then_some(holds)
    }
}

/// One key of each kind; nobody's, and well-formed.
static KNOWN_KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let (n, coordinate) = (format!("{}w", "_".repeat(341)), "A".repeat(43));
    let jwks = format!(
        r#"{{"keys":[
            {{"kty":"oct","kid":"h","k":"{coordinate}"}},
            {{"kty":"RSA","kid":"r","n":"{n}","e":"AQAB"}},
            {{"kty":"EC","kid":"e","crv":"P-256","x":"{coordinate}","y":"{coordinate}"}},
            {{"kty":"OKP","kid":"o","crv":"Ed25519","x":"{coordinate}"}}
        ]}}"#
    );
    KeySet::parse(&jwks, JwksOrigin::Configured).expect("they are well-formed")
});

fn marked(line: &[u8]) -> Vec<u8> {
    line.split(|byte| *byte == b'$').collect::<Vec<_>>().join(MARK.as_bytes())
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// An error is short, on one line, and shows nothing.
fn check_discretion(error: &(impl Display + Debug)) {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.len() <= ERROR_LEN_BYTES_MAX && !text.contains(char::is_control), "{text:?}");
        check_nothing_shown(&text);
    }
}

fn check_nothing_shown(text: &str) {
    for start in 0..=MARK.len() - SHOWN_LEN_BYTES_MIN {
        assert!(!text.contains(&MARK[start..start + SHOWN_LEN_BYTES_MIN]), "{text}");
    }
}

/// The token of an `Authorization`, or the text as a token where it is none.
fn bearer_of(authorization: Cow<'_, str>) -> Cow<'_, str> {
    match bearer_token(&authorization) {
        Ok(token) => {
            assert!(!token.is_empty() && !token.contains([' ', ',', '\t']));
            assert!(authorization.to_ascii_lowercase().starts_with("bearer "));
            assert_eq!(authorization["bearer ".len()..].trim_matches(' '), token);
            assert_eq!(bearer_token(&format!("Bearer {token}")), Ok(token));
            Cow::Owned(token.to_owned())
        }
        Err(error) => {
            check_discretion(&error);
            authorization
        }
    }
}

fn check_key_sets(text: &str) {
    let configured = KeySet::parse(text, JwksOrigin::Configured);
    let fetched = KeySet::parse(text, JwksOrigin::Fetched);
    for result in [&configured, &fetched] {
        match result {
            Ok(set) => check_keys(set),
            Err(error) => check_discretion(error),
        }
    }
    let is_public = |key: &&Key| key.alg() != Alg::Hs256;
    if let Ok(configured) = &configured {
        let public: Vec<Key> = configured.keys().iter().filter(is_public).cloned().collect();
        match &fetched {
            Ok(fetched) => assert_eq!(fetched.keys(), public),
            Err(error) => assert!(public.is_empty() && *error == KeySetError::NoUsableKey),
        }
    }
    assert!(fetched.iter().all(|set| set.keys().iter().all(|key| is_public(&key))));
    match KeySet::from_secret(text) {
        Ok(set) => check_keys(&set),
        Err(error) => {
            assert!(!(SECRET_LEN_BYTES_MIN..=SECRET_LEN_BYTES_MAX).contains(&text.len()));
            check_discretion(&error);
        }
    }
}

/// Keys are within their limits, and a public one is read again from what the platform imports.
fn check_keys(set: &KeySet) {
    assert!((1..=KEYS_MAX).contains(&set.keys().len()) && set.skipped().len() < KEYS_MAX);
    for skipped in set.skipped() {
        check_discretion(&skipped.reason);
    }
    for key in set.keys() {
        check_nothing_shown(&format!("{:?}", key.material()));
        match key.material() {
            KeyMaterial::Secret(secret) => {
                assert!((SECRET_LEN_BYTES_MIN..=SECRET_LEN_BYTES_MAX).contains(&secret.len()));
            }
            KeyMaterial::Rsa { modulus_len_bytes, .. } => {
                assert!((RSA_BITS_MIN / 8..=RSA_BITS_MAX / 8).contains(modulus_len_bytes));
            }
            KeyMaterial::P256 { .. } | KeyMaterial::Ed25519 { .. } => {}
        }
        if let Some(jwk) = key.to_public_jwk() {
            let again = KeySet::parse(&format!(r#"{{"keys":[{jwk}]}}"#), JwksOrigin::Configured);
            let again = again.expect("an importable key is a key");
            assert_eq!(again.keys().iter().map(Key::material).collect::<Vec<_>>(), [key.material()]);
        }
    }
}

fn decode_members(part: &str) -> Members {
    let bytes = BASE64.decode(part).expect("it is base64url");
    parse_members(&bytes).expect("it is an object without a name twice")
}

fn member<T: DeserializeOwned>(members: &Members, name: &str) -> Option<T> {
    members.get(name).map(|raw| serde_json::from_str(raw.get()).expect("it has its type"))
}

fn one_or_many(members: &Members, name: &str) -> Vec<String> {
    match members.get(name) {
        Some(raw) if raw.get().starts_with('"') => member(members, name).into_iter().collect(),
        _ => member(members, name).unwrap_or_default(),
    }
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().expect("a token has three parts")
}

fn check_token(text: &str) {
    let token = match parse_token(text) {
        Ok(token) => token,
        Err(error) => return check_discretion(&error),
    };
    check_nothing_shown(&format!("{token:?}"));
    assert!(text.len() <= TOKEN_LEN_BYTES_MAX);
    let [header, payload, signature] = parts(text);
    assert_eq!(token.signing_input(), format!("{header}.{payload}").as_bytes());
    assert_eq!(BASE64.encode(token.signature()), signature, "one spelling of a signature");
    let header = decode_members(header);
    assert_eq!(member(&header, "alg"), Some(token.alg().as_str().to_owned()));
    assert_eq!(member(&header, "kid"), token.kid().map(str::to_owned));
    for name in ["crit", "b64", "cty"] {
        assert!(!header.contains_key(name), "{name}");
    }
}

struct Case {
    choices: Choices,
    keys: KeySet,
    policy: Policy,
    issuers: Vec<String>,
    audiences: Vec<String>,
}

/// Answers as the input says, and remembers what it said.
struct Answers<'a> {
    choices: Choices,
    token: Option<UnverifiedToken<'a>>,
    given: RefCell<Vec<Option<bool>>>,
}

impl SignatureCheck for Answers<'_> {
    async fn verify(&self, key: &Key, signing_input: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
        let token = self.token.as_ref().expect("only a token's signature is checked");
        assert_eq!((signing_input, signature), (token.signing_input(), token.signature()));
        assert_eq!(signature.len(), key.signature_len_bytes());
        assert_eq!(key.alg(), token.alg());
        assert!(token.kid().is_none() || key.kid().is_none() || key.kid() == token.kid());
        let mut given = self.given.borrow_mut();
        assert!(given.len() < CANDIDATES_MAX && !given.contains(&Some(true)), "asked once too often");
        let answer = self.choices.answer(given.len());
        given.push(answer);
        let message = "no such key".to_owned();
        answer.ok_or(CryptoError { step: CryptoStep::Import, message })
    }
}

fn authenticated(case: &Case, text: &str) -> (Result<Identity, AuthError>, Vec<Option<bool>>) {
    let answers = Answers { choices: case.choices, token: parse_token(text).ok(), given: RefCell::default() };
    let result = {
        let future = pin!(authenticate(&answers, &case.keys, &case.policy, text, NOW_SECS));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("nothing here waits"),
        }
    };
    (result, answers.given.into_inner())
}

fn check_authentication(case: &Case, text: &str) {
    let (result, given) = authenticated(case, text);
    let (holds, fails) = (given.contains(&Some(true)), given.contains(&None));
    match &result {
        Ok(identity) => {
            assert!(holds, "accepted, and no signature was said to hold");
            check_identity(identity, &decode_members(parts(text)[1]), case);
        }
        Err(AuthError::Claims(_)) => assert!(holds, "claims were read, and no signature was said to hold"),
        Err(AuthError::Crypto(_)) => assert!(fails && !holds),
        Err(_) => assert!(!fails && !holds),
    }
    if let Err(error) = &result {
        check_discretion(error);
    }
    if !holds && parse_token(text).is_ok() {
        let [header, _, signature] = parts(text);
        let other = format!("{header}.e30.{signature}");
        assert_eq!(authenticated(case, &other), (result, given), "the payload matters too early");
    }
}

/// The identity says what the claims say, and they allow it.
fn check_identity(identity: &Identity, claims: &Members, case: &Case) {
    let texts =
        [("iss", Some(&identity.issuer)), ("org", identity.org.as_ref()), ("sub", identity.sub.as_ref())];
    for (claim, text) in texts {
        assert_eq!(member::<String>(claims, claim).as_ref(), text, "{claim}");
        assert!(text.is_none_or(|text| (1..=NAME_LEN_BYTES_MAX).contains(&text.len())), "{claim}");
    }
    assert!(case.issuers.is_empty() || case.issuers.contains(&identity.issuer));
    let audiences = one_or_many(claims, "aud");
    assert!(case.audiences.is_empty() || audiences.iter().any(|aud| case.audiences.contains(aud)));

    #[expect(clippy::cast_precision_loss, reason = "they are small")]
    let (now, leeway) = (NOW_SECS as f64, LEEWAY_SECS as f64);
    assert!(member::<f64>(claims, "exp").expect("it ends").trunc() > now - leeway);
    for claim in ["nbf", "iat"] {
        assert!(member::<f64>(claims, claim).is_none_or(|secs| secs.trunc() <= now + leeway), "{claim}");
    }

    assert_eq!(identity.roles, member::<Vec<String>>(claims, "roles").unwrap_or_default());
    let patterns = one_or_many(claims, "ns");
    assert!(identity.roles.len() <= LIST_LEN_MAX && patterns.len() <= LIST_LEN_MAX);
    assert_eq!(identity.namespaces.len(), patterns.len());
    let scopes = one_or_many(claims, "scope").join(" ");
    let has = |scope: Scope| scopes.split(' ').any(|word| word == scope.as_str());
    for (pattern, text) in identity.namespaces.iter().zip(patterns) {
        match pattern {
            NsPattern::Nothing => assert_eq!(text, "*"),
            NsPattern::Below(suffix) => {
                assert_eq!(format!("*.{suffix}"), text.to_ascii_lowercase());
                assert!(!pattern.matches(suffix));
            }
            NsPattern::Exact(ns) => {
                assert_eq!(ns.as_str(), text.to_ascii_lowercase());
                assert_eq!(identity.may_write(ns), has(Scope::Write) || has(Scope::Admin));
                assert_eq!(identity.is_admin(ns), has(Scope::Admin));
            }
        }
    }
}
