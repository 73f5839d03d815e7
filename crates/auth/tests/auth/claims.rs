//! The claims of a token that is signed as it should be.

use firn_auth::{
    claims::{ClaimError, LIST_LEN_MAX, NAME_LEN_BYTES_MAX, Policy, PolicyError},
    identity::{Identity, NsPattern, Scope},
    verify::AuthError,
};
use firn_types::key::Namespace;

use crate::crypto::{Signer, auth, jwks, key_set};

const NOW: i64 = 1_900_000_000;

fn read(policy: &Policy, claims: &str) -> Result<Identity, ClaimError> {
    let token = Signer::secret().token(r#"{"alg":"HS256"}"#, claims);
    auth(&key_set(&jwks()), policy, &token, NOW).map_err(|error| match error {
        AuthError::Claims(error) => error,
        other => panic!("{other}"),
    })
}

#[track_caller]
fn check(claims: &str, expected: Result<(), ClaimError>) {
    assert_eq!(read(&Policy::default(), claims).map(|_| ()), expected, "{claims}");
}

/// Claims that are fine, and these.
#[track_caller]
fn check_with(more: &str, expected: Result<(), ClaimError>) {
    check(&format!(r#"{{"iss":"i","exp":{},{more}}}"#, NOW + 1), expected);
}

#[test]
fn dates_are_taken_with_a_minute_of_leeway() {
    let exp = |secs: i64| format!(r#"{{"iss":"i","exp":{}}}"#, NOW + secs);
    check(&exp(0), Ok(()));
    check(&exp(-59), Ok(()));
    check(&exp(-60), Err(ClaimError::Expired));
    check(&exp(-1_000_000), Err(ClaimError::Expired));
    check_with(&format!(r#""nbf":{}"#, NOW + 60), Ok(()));
    check_with(&format!(r#""nbf":{}"#, NOW + 61), Err(ClaimError::NotYetValid));
    check_with(&format!(r#""iat":{}"#, NOW + 60), Ok(()));
    check_with(&format!(r#""iat":{}"#, NOW + 61), Err(ClaimError::IssuedInFuture));
    check_with(r#""nbf":0,"iat":0"#, Ok(()));
}

#[test]
fn date_is_a_number_in_range() {
    check(r#"{"iss":"i"}"#, Err(ClaimError::Missing("exp")));
    for exp in ["null", "\"2000000000\"", "[]", "-1", "1e300", "1e999", "9007199254740993000", "true"] {
        check(&format!(r#"{{"iss":"i","exp":{exp}}}"#), Err(ClaimError::WrongType("exp")));
    }
    for exp in ["1900000000.5", "1.9e9", "9007199254740992"] {
        check(&format!(r#"{{"iss":"i","exp":{exp}}}"#), Ok(()));
    }
    check(r#"{"iss":"i","exp":0}"#, Err(ClaimError::Expired));
    check_with(r#""nbf":"0""#, Err(ClaimError::WrongType("nbf")));
    check_with(r#""iat":{}"#, Err(ClaimError::WrongType("iat")));
}

#[test]
fn claims_are_an_object_with_unique_names() {
    for claims in ["null", "[]", "1", "\"x\"", "{", "{}{}", "x"] {
        check(claims, Err(ClaimError::NotAnObject));
    }
    check(r#"{"iss":"i","exp":2000000000,"exp":1}"#, Err(ClaimError::DuplicateName));
    check_with(r#""sub":"a","sub":"b""#, Err(ClaimError::DuplicateName));
    check_with(r#""sub":"a","\u0073ub":"b""#, Err(ClaimError::DuplicateName));
    check_with(r#""other":1,"other":1"#, Err(ClaimError::DuplicateName));
    check_with(r#""other":{"a":1,"a":{}},"nested":[[[]]]"#, Ok(()));
}

#[test]
fn issuer_is_required_and_one_of_those_allowed() {
    check(r#"{"exp":2000000000}"#, Err(ClaimError::Missing("iss")));
    check(r#"{"iss":"","exp":2000000000}"#, Err(ClaimError::Empty("iss")));
    check(r#"{"iss":["i"],"exp":2000000000}"#, Err(ClaimError::WrongType("iss")));
    let policy = Policy::parse("https://a.example/, https://b.example", "").unwrap();
    for (iss, expected) in [
        ("https://a.example/", Ok(())),
        ("https://b.example", Ok(())),
        ("https://a.example", Err(ClaimError::Issuer)),
        ("https://B.example", Err(ClaimError::Issuer)),
        ("https://c.example", Err(ClaimError::Issuer)),
    ] {
        let claims = format!(r#"{{"iss":"{iss}","exp":2000000000}}"#);
        assert_eq!(read(&policy, &claims).map(|_| ()), expected, "{iss}");
    }
}

/// A restriction that is written wrong must not become none.
#[test]
fn policy_names_what_it_restricts() {
    assert_eq!(Policy::parse("", ""), Ok(Policy::default()));
    for text in [",", " ", "\n", ", ,"] {
        assert_eq!(Policy::parse(text, ""), Err(PolicyError::NamesNone("issuers")));
        assert_eq!(Policy::parse("i", text), Err(PolicyError::NamesNone("audiences")));
    }
    let too_long = PolicyError::TooLong { list: "issuers", len_bytes: 513, limit: 512 };
    assert_eq!(Policy::parse(&"x".repeat(513), ""), Err(too_long));
    assert_eq!(Policy::parse("a,b\n\tc", "d"), Policy::parse("a b c", " d "));
}

#[test]
fn audience_is_checked_where_one_is_configured() {
    let policy = Policy::parse("", "firn other").unwrap();
    let with = |aud: &str| read(&policy, &format!(r#"{{"iss":"i","exp":2000000000{aud}}}"#)).map(|_| ());
    assert_eq!(with(r#","aud":"firn""#), Ok(()));
    assert_eq!(with(r#","aud":["x","other"]"#), Ok(()));
    assert_eq!(with(""), Err(ClaimError::Missing("aud")));
    assert_eq!(with(r#","aud":"Firn""#), Err(ClaimError::Audience));
    assert_eq!(with(r#","aud":"firn other""#), Err(ClaimError::Audience));
    assert_eq!(with(r#","aud":[]"#), Err(ClaimError::Audience));
    assert_eq!(with(r#","aud":["x","y"]"#), Err(ClaimError::Audience));
    assert_eq!(with(r#","aud":{"firn":1}"#), Err(ClaimError::WrongType("aud")));
    assert_eq!(with(r#","aud":["firn",1]"#), Err(ClaimError::WrongType("aud")));
    assert_eq!(with(r#","aud":null"#), Err(ClaimError::WrongType("aud")));
    check_with(r#""aud":"anyone""#, Ok(()));
}

#[test]
fn names_are_texts_with_a_limited_length() {
    for claim in ["sub", "org"] {
        check_with(&format!(r#""{claim}":"""#), Err(ClaimError::Empty(claim)));
        for value in ["null", "1", "[\"a\"]", "\"\\ud800\""] {
            check_with(&format!(r#""{claim}":{value}"#), Err(ClaimError::WrongType(claim)));
        }
        check_with(&format!(r#""{claim}":"{}""#, "é".repeat(NAME_LEN_BYTES_MAX / 2)), Ok(()));
        let (len_bytes, limit) = (NAME_LEN_BYTES_MAX + 1, NAME_LEN_BYTES_MAX);
        check_with(
            &format!(r#""{claim}":"{}""#, "x".repeat(len_bytes)),
            Err(ClaimError::TooLong { claim, len_bytes, limit }),
        );
    }
}

#[test]
fn lists_have_a_limited_length() {
    let list = |count: usize| vec![r#""a""#; count].join(",");
    for claim in ["ns", "roles"] {
        check_with(&format!(r#""{claim}":[{}]"#, list(LIST_LEN_MAX)), Ok(()));
        let (count, limit) = (LIST_LEN_MAX + 1, LIST_LEN_MAX);
        check_with(
            &format!(r#""{claim}":[{}]"#, list(count)),
            Err(ClaimError::TooMany { claim, count, limit }),
        );
        check_with(&format!(r#""{claim}":{{}}"#), Err(ClaimError::WrongType(claim)));
        check_with(&format!(r#""{claim}":["a",null]"#), Err(ClaimError::WrongType(claim)));
    }
    check_with(r#""roles":"admin""#, Err(ClaimError::WrongType("roles")));
    check_with(r#""ns":["a.do","*.b.do","*"]"#, Ok(()));
    check_with(r#""ns":["a.do","b do"]"#, Err(ClaimError::NsPattern { entry_idx: 1 }));
    check_with(r#""ns":"""#, Err(ClaimError::NsPattern { entry_idx: 0 }));
    check_with(r#""scope":1"#, Err(ClaimError::WrongType("scope")));
}

#[test]
fn identity_is_what_the_claims_say() {
    let identity = read(
        &Policy::default(),
        r#"{"iss":"https://i","org":"acme","sub":"u-1","roles":["dev"],"ns":["App.do","*.x.do"],
            "scope":"openid artifacts:write  artifacts:read","exp":2e9,"email":"a@b.c"}"#,
    )
    .unwrap();
    assert_eq!(identity.issuer, "https://i");
    assert_eq!(identity.org.as_deref(), Some("acme"));
    assert_eq!(identity.sub.as_deref(), Some("u-1"));
    assert_eq!(identity.roles, ["dev"]);
    let ns = |text| Namespace::parse(text).unwrap();
    assert_eq!(identity.namespaces, [NsPattern::Exact(ns("app.do")), NsPattern::Below(ns("x.do"))]);
    assert!(identity.may_write(&ns("app.do")) && identity.may_write(&ns("y.x.do")));
    assert!(!identity.may_write(&ns("x.do")) && !identity.is_admin(&ns("app.do")));

    let bare = read(&Policy::default(), r#"{"iss":"i","exp":2e9}"#).unwrap();
    assert_eq!((bare.org, bare.sub, bare.roles.len(), bare.namespaces.len()), (None, None, 0, 0));
    assert!(Scope::ALL.iter().all(|scope| !bare.scopes.allow(*scope)));

    let lists =
        read(&Policy::default(), r#"{"iss":"i","exp":2e9,"ns":"A.do","scope":["artifacts:admin","x"]}"#)
            .unwrap();
    assert_eq!(lists.single_namespace(), Some(&ns("a.do")));
    assert!(lists.is_admin(&ns("a.do")));
}
