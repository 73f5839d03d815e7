//! Signing and checking with crates, in the place of the platform.
//!
//! The keys are the published examples of RFC 7515 (A.1 secret, A.2 RSA, A.3 P-256) and RFC 8037 (A.1 Ed25519).

use std::{
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::Verifier;
use firn_auth::{
    claims::Policy,
    identity::Identity,
    key::{Key, KeyMaterial},
    key_set::{JwksOrigin, KeySet},
    verify::{AuthError, CryptoError, CryptoStep, SignatureCheck, authenticate},
};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer as _;
use rsa::{BigUint, pkcs1v15, traits::PublicKeyParts};
use sha2::Sha256;

pub(crate) const SECRET_JWK_K: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
pub(crate) const RSA_P: &str = "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc";
pub(crate) const RSA_Q: &str = "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc";
pub(crate) const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
pub(crate) const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const P256_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
pub(crate) const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const ED25519_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

static RSA: LazyLock<rsa::RsaPrivateKey> = LazyLock::new(|| {
    let number = |text| BigUint::from_bytes_be(&unb64(text));
    rsa::RsaPrivateKey::from_p_q(number(RSA_P), number(RSA_Q), BigUint::from(65_537_u32)).unwrap()
});

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn unb64(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The RSA key's modulus, as its JWK holds it.
pub(crate) fn rsa_n() -> String {
    b64(RSA.n().to_bytes_be())
}

/// Who signs.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    Hmac(Vec<u8>),
    Rsa,
    P256,
    Ed25519,
    /// Not a signature: these bytes.
    Bytes(Vec<u8>),
}

impl Signer {
    pub(crate) fn secret() -> Self {
        Self::Hmac(unb64(SECRET_JWK_K))
    }

    pub(crate) fn sign(&self, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Hmac(secret) => Hmac::<Sha256>::new_from_slice(secret)
                .unwrap()
                .chain_update(input)
                .finalize()
                .into_bytes()
                .to_vec(),
            Self::Rsa => {
                use rsa::signature::{SignatureEncoding, Signer};
                pkcs1v15::SigningKey::<rsa::sha2::Sha256>::new(RSA.clone()).sign(input).to_vec()
            }
            Self::P256 => {
                let key = p256::ecdsa::SigningKey::from_slice(&unb64(P256_D)).unwrap();
                let signature: p256::ecdsa::Signature = key.sign(input);
                signature.to_bytes().to_vec()
            }
            Self::Ed25519 => {
                let seed: [u8; 32] = unb64(ED25519_D).try_into().unwrap();
                ed25519_dalek::SigningKey::from_bytes(&seed).sign(input).to_vec()
            }
            Self::Bytes(bytes) => bytes.clone(),
        }
    }

    /// A token with this header and these claims, written as they are.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign(input.as_bytes());
        format!("{input}.{}", b64(signature))
    }
}

/// All four keys, each with a kid.
pub(crate) fn jwks() -> String {
    format!(
        r#"{{"keys":[
            {{"kty":"oct","kid":"h","alg":"HS256","k":"{SECRET_JWK_K}"}},
            {{"kty":"RSA","kid":"r","use":"sig","n":"{}","e":"AQAB"}},
            {{"kty":"EC","kid":"e","crv":"P-256","x":"{P256_X}","y":"{P256_Y}"}},
            {{"kty":"OKP","kid":"o","crv":"Ed25519","x":"{ED25519_X}"}}
        ]}}"#,
        rsa_n()
    )
}

pub(crate) fn key_set(jwks: &str) -> KeySet {
    KeySet::parse(jwks, JwksOrigin::Configured).unwrap()
}

/// Checks signatures as the platform does: with the key's own algorithm.
#[derive(Debug)]
pub(crate) struct RustCrypto;

impl SignatureCheck for RustCrypto {
    async fn verify(&self, key: &Key, input: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
        assert_eq!(signature.len(), key.signature_len_bytes());
        let import = |what: &str| CryptoError { step: CryptoStep::Import, message: what.to_owned() };
        Ok(match key.material() {
            KeyMaterial::Secret(secret) => Hmac::<Sha256>::new_from_slice(secret)
                .unwrap()
                .chain_update(input)
                .verify_slice(signature)
                .is_ok(),
            KeyMaterial::Rsa { n, e, .. } => {
                use rsa::signature::Verifier;
                let number = |text| BigUint::from_bytes_be(&unb64(text));
                let public = rsa::RsaPublicKey::new(number(n), number(e)).map_err(|_| import("RSA"))?;
                let signature = pkcs1v15::Signature::try_from(signature).unwrap();
                pkcs1v15::VerifyingKey::<rsa::sha2::Sha256>::new(public).verify(input, &signature).is_ok()
            }
            KeyMaterial::P256 { x, y } => {
                let point = [vec![4], unb64(x), unb64(y)].concat();
                let public =
                    p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| import("P-256"))?;
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|s| public.verify(input, &s).is_ok())
            }
            KeyMaterial::Ed25519 { x } => {
                let point: [u8; 32] = unb64(x).try_into().unwrap();
                let public =
                    ed25519_dalek::VerifyingKey::from_bytes(&point).map_err(|_| import("Ed25519"))?;
                public.verify_strict(input, &ed25519_dalek::Signature::from_slice(signature).unwrap()).is_ok()
            }
        })
    }
}

/// The result of a future that waits for nothing.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

pub(crate) fn auth(
    keys: &KeySet,
    policy: &Policy,
    token: &str,
    now_secs: i64,
) -> Result<Identity, AuthError> {
    ready(authenticate(&RustCrypto, keys, policy, token, now_secs))
}
