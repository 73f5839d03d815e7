//! What is taken for a key, from an operator and from a provider.

use firn_auth::{
    key::{Alg, Key, MemberFault, NotForUs},
    key_set::{JWKS_LEN_BYTES_MAX, JwksOrigin, KEYS_MAX, KeySet, KeySetError, SkipReason, SkippedKey},
};

use crate::crypto::{ED25519_X, P256_X, P256_Y, RSA_P, SECRET_JWK_K, b64, jwks, key_set, rsa_n, unb64};

fn set_of(jwk: &str) -> String {
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}"}},{jwk}]}}"#)
}

/// An operator's mistake is an error that names it; a provider's is passed over.
#[track_caller]
fn check_fault(jwk: &str, member: &'static str, fault: MemberFault) {
    let text = set_of(jwk);
    let configured = KeySet::parse(&text, JwksOrigin::Configured).map(|_| ());
    assert_eq!(configured, Err(KeySetError::Key { key_idx: 1, member, fault }), "{jwk}");
    let reason = if jwk.contains(r#""oct""#) {
        SkipReason::PublishedSecret
    } else {
        SkipReason::Unusable { member, fault }
    };
    let fetched = KeySet::parse(&text, JwksOrigin::Fetched).unwrap();
    assert_eq!(fetched.skipped(), [SkippedKey { key_idx: 1, reason }], "{jwk}");
    assert_eq!(fetched.keys().len(), 1);
}

#[track_caller]
fn check_not_for_us(jwk: &str, reason: NotForUs) {
    for origin in [JwksOrigin::Configured, JwksOrigin::Fetched] {
        let set = KeySet::parse(&set_of(jwk), origin).unwrap();
        assert_eq!(set.skipped(), [SkippedKey { key_idx: 1, reason: SkipReason::NotForUs(reason) }], "{jwk}");
        assert_eq!(set.keys().len(), 1);
    }
}

#[test]
fn algorithm_follows_from_the_type() {
    let set = key_set(&jwks());
    let algs: Vec<Alg> = set.keys().iter().map(Key::alg).collect();
    assert_eq!(algs, [Alg::Hs256, Alg::Rs256, Alg::Es256, Alg::EdDsa]);
    let kids: Vec<Option<&str>> = set.keys().iter().map(|key| key.kid()).collect();
    assert_eq!(kids, [Some("h"), Some("r"), Some("e"), Some("o")]);
    assert_eq!(KeySet::from_secret(&"x".repeat(32)).unwrap().keys()[0].alg(), Alg::Hs256);
}

#[test]
fn keys_for_something_else_are_passed_over() {
    let n = rsa_n();
    check_not_for_us(r#"{"kty":"AKP"}"#, NotForUs::KeyType);
    check_not_for_us(r#"{"kty":"EC","crv":"P-384"}"#, NotForUs::KeyType);
    check_not_for_us(r#"{"kty":"EC","crv":"secp256k1"}"#, NotForUs::KeyType);
    check_not_for_us(r#"{"kty":"OKP","crv":"X25519"}"#, NotForUs::KeyType);
    for alg in ["RS512", "PS256", "RSA-OAEP", "none", "rs256"] {
        check_not_for_us(
            &format!(r#"{{"kty":"RSA","alg":"{alg}","n":"{n}","e":"AQAB"}}"#),
            NotForUs::Algorithm,
        );
    }
    check_not_for_us(&format!(r#"{{"kty":"RSA","use":"enc","n":"{n}","e":"AQAB"}}"#), NotForUs::Use);
    check_not_for_us(&format!(r#"{{"kty":"RSA","key_ops":["sign"],"n":"{n}","e":"AQAB"}}"#), NotForUs::Use);
    check_not_for_us(r#"{"kty":"RSA","key_ops":[]}"#, NotForUs::Use);
    let fine = format!(r#"{{"kty":"RSA","use":"sig","key_ops":["verify"],"n":"{n}","e":"AQAB","x5t":"x"}}"#);
    assert_eq!(KeySet::parse(&set_of(&fine), JwksOrigin::Fetched).unwrap().keys().len(), 2);
}

#[test]
fn broken_keys_name_index_and_member() {
    let n = rsa_n();
    for (jwk, member) in [
        ("{}".to_owned(), "kty"),
        (r#"{"kty":"RSA","e":"AQAB"}"#.to_owned(), "n"),
        (format!(r#"{{"kty":"RSA","n":"{n}"}}"#), "e"),
        (r#"{"kty":"EC"}"#.to_owned(), "crv"),
        (format!(r#"{{"kty":"EC","crv":"P-256","x":"{P256_X}"}}"#), "y"),
        (r#"{"kty":"OKP","crv":"Ed25519"}"#.to_owned(), "x"),
        (r#"{"kty":"oct"}"#.to_owned(), "k"),
    ] {
        check_fault(&jwk, member, MemberFault::Missing);
    }
    for (jwk, member) in [
        (r#"{"kty":1}"#, "kty"),
        (r#"{"kty":"RSA","alg":null}"#, "alg"),
        (r#"{"kty":"RSA","kid":1}"#, "kid"),
        (r#"{"kty":"RSA","use":["sig"]}"#, "use"),
        (r#"{"kty":"RSA","key_ops":"verify"}"#, "key_ops"),
        (r#"{"kty":"RSA","n":1}"#, "n"),
        (r#"{"kty":"EC","crv":1}"#, "crv"),
    ] {
        check_fault(jwk, member, MemberFault::WrongType);
    }
    for x in ["AA==", "+/AA", "A", " ", "é"] {
        check_fault(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#), "x", MemberFault::NotBase64Url);
    }
    check_fault(
        &format!(r#"{{"kty":"EC","crv":"P-256","x":"{P256_X}","y":"{}"}}"#, b64([0; 31])),
        "y",
        MemberFault::Length { len_bytes: 31, expected: 32 },
    );
    check_fault(
        &format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, b64([0; 33])),
        "x",
        MemberFault::Length { len_bytes: 33, expected: 32 },
    );
    check_fault(
        &format!(r#"{{"kty":"EC","crv":"P-256","alg":"RS256","x":"{P256_X}","y":"{P256_Y}"}}"#),
        "alg",
        MemberFault::Contradiction,
    );
    check_fault(
        &format!(r#"{{"kty":"oct","alg":"RS256","k":"{SECRET_JWK_K}"}}"#),
        "alg",
        MemberFault::Contradiction,
    );
    check_fault(
        &format!(r#"{{"kty":"RSA","kid":"{}","n":"{n}","e":"AQAB"}}"#, "k".repeat(257)),
        "kid",
        MemberFault::TooLong { len_bytes: 257, limit: 256 },
    );
}

#[test]
fn weak_keys_are_refused() {
    let rsa = |n: &[u8], e: &[u8]| format!(r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#, b64(n), b64(e));
    let odd = |len_bytes: usize, top: u8| {
        let mut n = vec![0xff; len_bytes];
        n[0] = top;
        n
    };
    let f4 = [1, 0, 1];
    check_fault(&rsa(&odd(128, 0xff), &f4), "n", MemberFault::Weak { bits: 1024, limit: 2048 });
    check_fault(&rsa(&odd(256, 0x7f), &f4), "n", MemberFault::Weak { bits: 2047, limit: 2048 });
    let zeros = [vec![0; 200], odd(128, 0xff)].concat();
    check_fault(&rsa(&zeros, &f4), "n", MemberFault::Weak { bits: 1024, limit: 2048 });
    check_fault(&rsa(&[0; 300], &f4), "n", MemberFault::Weak { bits: 0, limit: 2048 });
    check_fault(&rsa(&odd(1025, 1), &f4), "n", MemberFault::TooLong { len_bytes: 1025, limit: 1024 });
    let mut even = odd(256, 0xff);
    even[255] = 0xfe;
    check_fault(&rsa(&even, &f4), "n", MemberFault::Unsafe);
    for e in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 0]] {
        check_fault(&rsa(&odd(256, 0xff), e), "e", MemberFault::Unsafe);
    }
    let e = [1, 0, 0, 0, 1];
    check_fault(&rsa(&odd(256, 0xff), &e), "e", MemberFault::TooLong { len_bytes: 5, limit: 4 });
    check_fault(
        &format!(r#"{{"kty":"oct","k":"{}"}}"#, b64([7; 31])),
        "k",
        MemberFault::Weak { bits: 248, limit: 256 },
    );
    let weak = KeySet::from_secret(&"x".repeat(31));
    assert_eq!(weak, Err(KeySetError::Secret(MemberFault::Weak { bits: 248, limit: 256 })));
    let long = KeySet::from_secret(&"x".repeat(1025));
    assert_eq!(long, Err(KeySetError::Secret(MemberFault::TooLong { len_bytes: 1025, limit: 1024 })));
}

#[test]
fn leading_zero_of_a_modulus_is_dropped() {
    let n = [vec![0], unb64(&rsa_n())].concat();
    let set = key_set(&format!(r#"{{"keys":[{{"kty":"RSA","n":"{}","e":"AAEAAQ"}}]}}"#, b64(n)));
    assert_eq!(set.keys()[0].signature_len_bytes(), 256);
    assert_eq!(
        set.keys()[0].to_public_jwk().unwrap(),
        format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, rsa_n())
    );
}

#[test]
fn private_and_published_secret_keys_are_never_used() {
    let private = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}","d":"{}"}}"#, b64([1; 32]));
    check_fault(&private, "d", MemberFault::Private);
    let private = format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB","d":"{RSA_P}"}}"#, rsa_n());
    check_fault(&private, "d", MemberFault::Private);
    let fetched = KeySet::parse(&jwks(), JwksOrigin::Fetched).unwrap();
    assert_eq!(fetched.skipped(), [SkippedKey { key_idx: 0, reason: SkipReason::PublishedSecret }]);
    assert!(fetched.keys().iter().all(|key| key.alg() != Alg::Hs256));
}

#[test]
fn set_is_an_object_with_keys_within_the_limits() {
    for text in ["", "[]", "null", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(KeySet::parse(text, JwksOrigin::Configured), Err(KeySetError::NotAJwks), "{text}");
    }
    for text in [r#"{"keys":[]}"#, r#"{"keys":[{"kty":"AKP"}]}"#] {
        assert_eq!(KeySet::parse(text, JwksOrigin::Fetched), Err(KeySetError::NoUsableKey), "{text}");
    }
    for jwk in ["1", "null", "[]", r#"{"kty":"RSA","kty":"oct"}"#] {
        for origin in [JwksOrigin::Configured, JwksOrigin::Fetched] {
            assert_eq!(
                KeySet::parse(&set_of(jwk), origin),
                Err(KeySetError::NotAJwk { key_idx: 1 }),
                "{jwk}"
            );
        }
    }
    let many = |count: usize| {
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}"}}"#);
        format!(r#"{{"keys":[{}]}}"#, vec![jwk; count].join(","))
    };
    assert_eq!(key_set(&many(KEYS_MAX)).keys().len(), KEYS_MAX);
    assert_eq!(
        KeySet::parse(&many(KEYS_MAX + 1), JwksOrigin::Fetched),
        Err(KeySetError::TooManyKeys { count: KEYS_MAX + 1, limit: KEYS_MAX })
    );
    let large = format!("{}{}", jwks(), " ".repeat(JWKS_LEN_BYTES_MAX));
    assert_eq!(
        KeySet::parse(&large, JwksOrigin::Configured),
        Err(KeySetError::TooLarge { len_bytes: large.len(), limit: JWKS_LEN_BYTES_MAX })
    );
}

#[test]
fn every_truncation_of_a_set_is_an_error() {
    let text = jwks();
    for end in 0..text.trim_end().len() {
        assert!(KeySet::parse(&text[..end], JwksOrigin::Fetched).is_err(), "cut at {end}");
    }
}
