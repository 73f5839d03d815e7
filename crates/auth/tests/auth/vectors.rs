//! The examples of the RFCs, byte for byte: our reading of the format is everyone's.

use firn_auth::{
    claims::{ClaimError, Policy},
    key::Key,
    verify::AuthError,
};

use crate::crypto::{RSA_P, auth, jwks, key_set};

/// RFC 7515 A.1.1; line breaks and spaces of the RFC included.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const EXP: i64 = 1_300_819_380;

const TOKENS: [(&str, &str); 3] = [
    ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    (
        "eyJhbGciOiJSUzI1NiJ9",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
];

#[test]
fn examples_of_rfc_7515_verify_until_they_expire() {
    let keys = key_set(&jwks());
    for (header, signature) in TOKENS {
        let token = format!("{header}.{CLAIMS}.{signature}");
        let identity = auth(&keys, &Policy::default(), &token, EXP).unwrap();
        assert_eq!(identity.issuer, "joe");
        assert_eq!((identity.org, identity.sub), (None, None));
        let late = auth(&keys, &Policy::default(), &token, EXP + 60);
        assert_eq!(late, Err(AuthError::Claims(ClaimError::Expired)));
    }
}

/// RFC 8037 A.4 signs a sentence, not claims: that it is the claims that refuse shows that the signature held.
#[test]
fn example_of_rfc_8037_verifies() {
    let keys = key_set(&jwks());
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let not_claims = Err(AuthError::Claims(ClaimError::NotAnObject));
    assert_eq!(auth(&keys, &Policy::default(), token, 0), not_claims);
}

#[test]
fn a_key_is_taken_as_the_rfc_writes_it() {
    let keys = key_set(&jwks());
    let public: Vec<String> = keys.keys().iter().filter_map(Key::to_public_jwk).collect();
    assert!(
        public[0]
            .starts_with(r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddx"#)
    );
    assert!(public[0].ends_with(r#"","e":"AQAB"}"#));
    assert_eq!(
        public[1],
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
    );
    assert_eq!(
        public[2],
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    );
    assert_eq!(public.len(), 3);
    assert!(!public.concat().contains(RSA_P));
}
