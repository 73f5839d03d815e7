//! Everything between the text of a token and its signature.

use firn_auth::{
    claims::Policy,
    key_set::{JwksOrigin, KeySet},
    token::{TOKEN_LEN_BYTES_MAX, TokenError, TokenPart, bearer_token, parse_token},
    verify::{AuthError, CANDIDATES_MAX, CryptoStep},
};
use proptest::prelude::*;

use crate::crypto::{
    ED25519_X, P256_X, P256_Y, SECRET_JWK_K, Signer, auth, b64, jwks, key_set, rsa_n, unb64,
};

const CLAIMS: &str = r#"{"iss":"joe","exp":2000000000}"#;
const NOW: i64 = 1_900_000_000;

#[track_caller]
fn check(keys: &KeySet, token: &str, expected: Result<(), AuthError>) {
    let got = auth(keys, &Policy::default(), token, NOW);
    match expected {
        Ok(()) => assert_eq!(got.unwrap().issuer, "joe", "{token}"),
        Err(expected) => assert_eq!(got.unwrap_err(), expected, "{token}"),
    }
}

#[track_caller]
fn check_header(header: &str, expected: TokenError) {
    check(&key_set(&jwks()), &Signer::secret().token(header, CLAIMS), Err(expected.into()));
}

#[test]
fn every_algorithm_verifies_with_and_without_kid() {
    let keys = key_set(&jwks());
    for (signer, alg, kid) in [
        (Signer::secret(), "HS256", "h"),
        (Signer::Rsa, "RS256", "r"),
        (Signer::P256, "ES256", "e"),
        (Signer::Ed25519, "EdDSA", "o"),
    ] {
        check(&keys, &signer.token(&format!(r#"{{"alg":"{alg}"}}"#), CLAIMS), Ok(()));
        let header = format!(r#"{{"typ":"JWT","kid":"{kid}","alg":"{alg}","jku":"https://evil.example"}}"#);
        check(&keys, &signer.token(&header, CLAIMS), Ok(()));
    }
}

#[test]
fn algorithm_none_is_refused_in_every_spelling() {
    for alg in
        ["none", "None", "NONE", "nOnE", "", " none", "HS256\u{0}", "hs256", "HS512", "PS256", "ES256K"]
    {
        check_header(&format!(r#"{{"alg":"{alg}"}}"#).replace('\0', "\\u0000"), TokenError::Algorithm);
    }
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(CLAIMS));
    check(&key_set(&jwks()), &unsigned, Err(TokenError::EmptyPart(TokenPart::Signature).into()));
    let stripped = format!("{}.{}.", b64(r#"{"alg":"HS256"}"#), b64(CLAIMS));
    check(&key_set(&jwks()), &stripped, Err(TokenError::EmptyPart(TokenPart::Signature).into()));
}

/// The algorithm is the key's: a public key is known to everyone and must never be taken for an HMAC secret.
#[test]
fn hmac_with_a_public_key_is_refused() {
    let keys = key_set(&jwks());
    let jwk = keys.keys()[1].to_public_jwk().unwrap();
    for public in [unb64(&rsa_n()), rsa_n().into_bytes(), jwk.into_bytes(), unb64(P256_X), unb64(ED25519_X)] {
        let forger = Signer::Hmac(public);
        for kid in ["r", "e", "o"] {
            let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
            check(&keys, &forger.token(&header, CLAIMS), Err(AuthError::AlgorithmMismatch));
        }
        check(&keys, &forger.token(r#"{"alg":"HS256","kid":"h"}"#, CLAIMS), Err(AuthError::Signature));
        check(&keys, &forger.token(r#"{"alg":"HS256"}"#, CLAIMS), Err(AuthError::Signature));
    }
}

#[test]
fn kid_decides_which_key_is_tried() {
    let keys = key_set(&jwks());
    for (header, expected) in [
        (r#"{"alg":"RS256","kid":"h"}"#, AuthError::AlgorithmMismatch),
        (r#"{"alg":"RS256","kid":"R"}"#, AuthError::UnknownKey),
        (r#"{"alg":"RS256","kid":""}"#, AuthError::UnknownKey),
        (r#"{"alg":"RS256","kid":"unknown"}"#, AuthError::UnknownKey),
    ] {
        check(&keys, &Signer::Rsa.token(header, CLAIMS), Err(expected));
    }
    let forged = Signer::Bytes(vec![7; 256]);
    check(&keys, &forged.token(r#"{"alg":"RS256","kid":"r"}"#, CLAIMS), Err(AuthError::Signature));
    check(&keys, &forged.token(r#"{"alg":"RS256"}"#, CLAIMS), Err(AuthError::Signature));
    assert!(AuthError::UnknownKey.is_unknown_key());
    assert!(!AuthError::Signature.is_unknown_key());
    check(&KeySet::default(), &Signer::Rsa.token(r#"{"alg":"RS256"}"#, CLAIMS), Err(AuthError::UnknownKey));
}

/// A secret has no id. A token that names one may be its, or that of a key we have yet to fetch.
#[test]
fn key_without_kid_is_tried_for_an_unknown_kid() {
    let secret = "0123456789abcdef0123456789abcdef";
    let keys = KeySet::from_secret(secret).unwrap().and(&key_set(&jwks()));
    let signer = Signer::Hmac(secret.as_bytes().to_vec());
    check(&keys, &signer.token(r#"{"alg":"HS256"}"#, CLAIMS), Ok(()));
    check(&keys, &signer.token(r#"{"alg":"HS256","kid":"new"}"#, CLAIMS), Ok(()));
    check(&keys, &signer.token(r#"{"alg":"HS256","kid":"h"}"#, CLAIMS), Err(AuthError::Signature));
    let other = Signer::Hmac(vec![1; 32]);
    check(&keys, &other.token(r#"{"alg":"HS256","kid":"new"}"#, CLAIMS), Err(AuthError::UnknownKey));
    check(&keys, &other.token(r#"{"alg":"HS256"}"#, CLAIMS), Err(AuthError::Signature));
}

#[test]
fn at_most_eight_keys_are_tried() {
    let secret =
        |n: usize| format!(r#"{{"kty":"oct","kid":"{n}","k":"{}"}}"#, b64([u8::try_from(n).unwrap(); 32]));
    let set = |count: usize| {
        let keys: Vec<String> = (0..count).map(secret).collect();
        key_set(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
    };
    let last = |count: usize| Signer::Hmac(vec![u8::try_from(count - 1).unwrap(); 32]);
    let token = |count| last(count).token(r#"{"alg":"HS256"}"#, CLAIMS);
    check(&set(CANDIDATES_MAX), &token(CANDIDATES_MAX), Ok(()));
    let count = CANDIDATES_MAX + 1;
    let too_many = AuthError::TooManyCandidates { count, limit: CANDIDATES_MAX };
    check(&set(count), &token(count), Err(too_many));
    check(&set(count), &last(count).token(r#"{"alg":"HS256","kid":"8"}"#, CLAIMS), Ok(()));
}

/// A point off the curve is found by the platform only. It must not keep a good key of the same id from being tried.
#[test]
fn failing_platform_is_told_apart_from_a_bad_signature() {
    let bad = format!(r#"{{"kty":"EC","kid":"e","crv":"P-256","x":"{P256_X}","y":"{P256_X}"}}"#);
    let good = format!(r#"{{"kty":"EC","kid":"e","crv":"P-256","x":"{P256_X}","y":"{P256_Y}"}}"#);
    let token = Signer::P256.token(r#"{"alg":"ES256","kid":"e"}"#, CLAIMS);
    let only_bad = key_set(&format!(r#"{{"keys":[{bad}]}}"#));
    match auth(&only_bad, &Policy::default(), &token, NOW) {
        Err(AuthError::Crypto(error)) => assert_eq!(error.step, CryptoStep::Import),
        other => panic!("{other:?}"),
    }
    check(&key_set(&format!(r#"{{"keys":[{bad},{good}]}}"#)), &token, Ok(()));
}

#[test]
fn signature_has_its_algorithms_form() {
    let keys = key_set(&jwks());
    let token = Signer::P256.token(r#"{"alg":"ES256"}"#, CLAIMS);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let raw = unb64(signature);
    let der = p256::ecdsa::Signature::from_slice(&raw).unwrap().to_der();
    let swapped = [&raw[32..], &raw[..32]].concat();
    for forged in [der.as_bytes(), &swapped, &[0; 64], &raw[..63], &[raw.as_slice(), &[0]].concat()] {
        check(&keys, &format!("{input}.{}", b64(forged)), Err(AuthError::Signature));
    }
    for (alg, len_bytes) in [("HS256", 32), ("RS256", 256), ("ES256", 64), ("EdDSA", 64)] {
        for len_bytes in [1, len_bytes - 1, len_bytes, len_bytes + 1] {
            let forger = Signer::Bytes(vec![0; len_bytes]);
            let header = format!(r#"{{"alg":"{alg}"}}"#);
            check(&keys, &forger.token(&header, CLAIMS), Err(AuthError::Signature));
        }
    }
}

#[test]
fn header_asks_for_nothing_that_is_not_understood() {
    check_header(r#"{"alg":"HS256","crit":["exp"]}"#, TokenError::Extension);
    check_header(r#"{"alg":"HS256","crit":[]}"#, TokenError::Extension);
    check_header(r#"{"alg":"HS256","crit":null}"#, TokenError::Extension);
    check_header(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, TokenError::Extension);
    check_header(r#"{"alg":"HS256","b64":true}"#, TokenError::Extension);
    check_header(r#"{"alg":"HS256","cty":"JWT"}"#, TokenError::Type);
    for typ in ["dpop+jwt", "logout+jwt", "secevent+jwt", "JWE", "", "jwt ", "application/"] {
        check_header(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#), TokenError::Type);
    }
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/JWT"] {
        let token = Signer::secret().token(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#), CLAIMS);
        check(&key_set(&jwks()), &token, Ok(()));
    }
}

#[test]
fn header_is_an_object_with_unique_names_of_the_right_type() {
    for header in
        ["", "null", "[]", "\"HS256\"", "{", r#"{"alg":"HS256"}x"#, r#"{"alg":"HS256",}"#, "\u{feff}{}"]
    {
        let expected =
            if header.is_empty() { TokenError::EmptyPart(TokenPart::Header) } else { TokenError::Header };
        check_header(header, expected);
    }
    check_header(r#"{"alg":"none","alg":"HS256"}"#, TokenError::DuplicateName);
    check_header(r#"{"alg":"HS256","\u0061lg":"HS256"}"#, TokenError::DuplicateName);
    check_header(r#"{"alg":"HS256","x":1,"x":1}"#, TokenError::DuplicateName);
    check_header("{}", TokenError::HeaderMember("alg"));
    check_header(r#"{"alg":null}"#, TokenError::HeaderMember("alg"));
    check_header(r#"{"alg":["HS256"]}"#, TokenError::HeaderMember("alg"));
    check_header(r#"{"alg":"HS256","kid":1}"#, TokenError::HeaderMember("kid"));
    check_header(r#"{"alg":"HS256","typ":{}}"#, TokenError::HeaderMember("typ"));
    let header = |len| format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(len));
    check_header(&header(257), TokenError::HeaderMember("kid"));
    let longest = Signer::secret().token(&header(256), CLAIMS);
    check(&key_set(&jwks()), &longest, Err(AuthError::UnknownKey));
}

#[test]
fn base64_is_strict() {
    let keys = key_set(&jwks());
    let token = Signer::secret().token(r#"{"alg":"HS256"}"#, CLAIMS);
    let parts: Vec<&str> = token.split('.').collect();
    for (part_idx, part) in
        [TokenPart::Header, TokenPart::Payload, TokenPart::Signature].into_iter().enumerate()
    {
        let text = parts[part_idx];
        // The signature's last character carries 4 bits and 2 that must be zero.
        let mut variants = vec![
            format!("{text}="),
            format!("{text}=="),
            format!(" {text}"),
            format!("{text}\n"),
            format!("+{}", &text[1..]),
            format!("/{}", &text[1..]),
            format!("{text}!"),
            "A".to_owned(),
            "é".to_owned(),
        ];
        if part == TokenPart::Signature {
            let last = text.chars().last().unwrap();
            variants.push(format!("{}{}", &text[..text.len() - 1], char::from(last as u8 + 1)));
        }
        for variant in variants {
            let mut forged = parts.clone();
            forged[part_idx] = &variant;
            check(&keys, &forged.join("."), Err(TokenError::Base64(part).into()));
        }
    }
}

#[test]
fn token_has_three_parts_and_a_limited_length() {
    let keys = key_set(&jwks());
    let token = Signer::secret().token(r#"{"alg":"HS256"}"#, CLAIMS);
    for text in ["", ".", "a", "a.b", "a.b.c.d", "a.b.c.d.e", &format!("{token}."), &format!(".{token}")] {
        check(&keys, text, Err(TokenError::Parts.into()));
    }
    check(&keys, "..", Err(TokenError::EmptyPart(TokenPart::Header).into()));
    check(&keys, &format!("{}..AA", b64("{}")), Err(TokenError::EmptyPart(TokenPart::Payload).into()));

    let padded = |spaces: usize| {
        Signer::secret().token(r#"{"alg":"HS256"}"#, &format!("{CLAIMS}{}", " ".repeat(spaces)))
    };
    let spaces = (TOKEN_LEN_BYTES_MAX - padded(0).len()) / 4 * 3;
    let longest = padded(spaces);
    assert!(longest.len() <= TOKEN_LEN_BYTES_MAX && longest.len() > TOKEN_LEN_BYTES_MAX - 4);
    check(&keys, &longest, Ok(()));
    let over = padded(spaces + 3);
    let too_large = TokenError::TooLarge { len_bytes: over.len(), limit: TOKEN_LEN_BYTES_MAX };
    check(&keys, &over, Err(too_large.into()));
    let huge = "a".repeat(100_000_000);
    let too_large = TokenError::TooLarge { len_bytes: huge.len(), limit: TOKEN_LEN_BYTES_MAX };
    assert_eq!(parse_token(&huge).map(|_| ()), Err(too_large));
}

#[test]
fn every_truncation_and_every_changed_byte_is_refused() {
    let keys = key_set(&jwks());
    for (signer, alg) in [(Signer::secret(), "HS256"), (Signer::Ed25519, "EdDSA"), (Signer::P256, "ES256")] {
        let token = signer.token(&format!(r#"{{"alg":"{alg}"}}"#), CLAIMS);
        check(&keys, &token, Ok(()));
        for end in 0..token.len() {
            assert!(auth(&keys, &Policy::default(), &token[..end], NOW).is_err(), "{alg} cut at {end}");
        }
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(auth(&keys, &Policy::default(), &changed, NOW).is_err(), "{alg} changed at {at}");
        }
    }
}

#[test]
fn bearer_is_one_token_whatever_the_case_of_the_scheme() {
    for header in ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c ", "bEARER a.b.c"] {
        assert_eq!(bearer_token(header), Ok("a.b.c"), "{header}");
    }
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "a.b.c",
        "Basic YTpi",
        "Bearer a.b.c, Bearer d.e.f",
        "Bearer a b",
        "Bearer\ta.b.c",
        "Bearer a.b.c\t",
        " Bearer a.b.c",
        "Bearera.b.c",
    ] {
        assert_eq!(bearer_token(header), Err(TokenError::NotBearer), "{header}");
    }
}

/// What goes to the log holds no token, no claim and no key.
#[test]
fn errors_and_debug_show_nothing_secret() {
    let secret = "a secret that is long enough to be one";
    let set = KeySet::from_secret(secret).unwrap();
    let token = Signer::Hmac(vec![9; 32]).token(r#"{"alg":"HS256","kid":"unique-kid"}"#, CLAIMS);
    let error = auth(&set, &Policy::default(), &token, NOW).unwrap_err();
    let parsed = parse_token(&token).unwrap();
    let shown = format!("{set:?} {error:?} {error} {parsed:?}");
    for part in token.split('.').chain([secret, "joe", "unique-kid", "97, 32"]) {
        assert!(!shown.contains(part), "{shown}");
    }
    let all = key_set(&jwks());
    let shown = format!("{all:?}");
    for part in [SECRET_JWK_K, &rsa_n(), P256_X, ED25519_X] {
        assert!(!shown.contains(part), "{shown}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_token_or_an_error(text in "\\PC{0,200}") {
        let _ = parse_token(&text);
        let _ = bearer_token(&text);
        let _ = KeySet::parse(&text, JwksOrigin::Fetched);
    }

    /// One token has one text: what parses is the only spelling of its parts.
    #[test]
    fn parsed_token_has_one_spelling(
        header in prop::sample::select(vec![r#"{"alg":"HS256"}"#, r#"{"alg":"EdDSA","kid":"k"}"#, "{}", "x"]),
        payload in prop::collection::vec(any::<u8>(), 0..100),
        signature in prop::collection::vec(any::<u8>(), 0..100),
        noise in prop::option::of((any::<prop::sample::Index>(), any::<char>())),
    ) {
        let mut text = format!("{}.{}.{}", b64(header), b64(&payload), b64(&signature));
        if let Some((at, c)) = noise {
            text.insert(at.index(text.len()), c);
        }
        if let Ok(token) = parse_token(&text) {
            let input = std::str::from_utf8(token.signing_input()).unwrap();
            prop_assert_eq!(format!("{input}.{}", b64(token.signature())), text);
        }
    }
}
