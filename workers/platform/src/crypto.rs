//! Signatures by WebCrypto: nothing to link, and a constant-time HMAC.

use firn_auth::{
    key::{Alg, Key, KeyMaterial},
    verify::{CryptoError, CryptoStep, SignatureCheck},
};
use js_sys::{Array, Boolean, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::body::describe;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey)]
    fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &JsValue,
    ) -> Promise;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = verify)]
    fn verify_signature(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &Uint8Array,
        data: &Uint8Array,
    ) -> Promise;
}

/// The platform's cryptography.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebCrypto;

impl SignatureCheck for WebCrypto {
    async fn verify(&self, key: &Key, signing_input: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
        let algorithm = algorithm(key.alg());
        let usages = Array::of1(&"verify".into());
        let (format, material) = match key.material() {
            KeyMaterial::Secret(secret) => ("raw", Uint8Array::from(secret.as_slice()).into()),
            _ => ("jwk", parse_jwk(key)?),
        };
        let imported = import_key(format, &material, &algorithm, false, &usages);
        let imported =
            wasm_bindgen_futures::JsFuture::from(imported).await.map_err(failed(CryptoStep::Import))?;
        let verified = verify_signature(
            &algorithm,
            &imported,
            &Uint8Array::from(signature),
            &Uint8Array::from(signing_input),
        );
        let verified =
            wasm_bindgen_futures::JsFuture::from(verified).await.map_err(failed(CryptoStep::Verify))?;
        Ok(Boolean::from(verified).value_of())
    }
}

fn parse_jwk(key: &Key) -> Result<JsValue, CryptoError> {
    let jwk = key.to_public_jwk().unwrap_or_default();
    js_sys::JSON::parse(&jwk).map_err(failed(CryptoStep::Import))
}

fn algorithm(alg: Alg) -> JsValue {
    let (name, hash, curve) = match alg {
        Alg::Hs256 => ("HMAC", true, false),
        Alg::Rs256 => ("RSASSA-PKCS1-v1_5", true, false),
        Alg::Es256 => ("ECDSA", true, true),
        Alg::EdDsa => ("Ed25519", false, false),
    };
    let algorithm = Object::new();
    let set = |member: &str, value: &str| {
        // Setting a plain object's member cannot fail.
        let _ = Reflect::set(&algorithm, &member.into(), &value.into());
    };
    set("name", name);
    if hash {
        set("hash", "SHA-256");
    }
    if curve {
        set("namedCurve", "P-256");
    }
    algorithm.into()
}

fn failed(step: CryptoStep) -> impl Fn(JsValue) -> CryptoError {
    move |error| CryptoError { step, message: describe(&error) }
}
