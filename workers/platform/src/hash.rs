//! SHA-256 by the runtime.
//!
//! The runtime's is 7 times as fast a byte as the `sha2` crate is in wasm. A call costs about 2 µs of JavaScript, so
//! content of less than half a kilobyte would be faster here; but not by what a second implementation takes of the module.

use firn_ndjson::digest::Sha256;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(module = "/src/hash.js")]
extern "C" {
    fn sha256(bytes: &[u8], digest: &mut [u8]);

    #[derive(Debug)]
    type Hash;

    fn begin() -> Hash;

    #[wasm_bindgen(method)]
    fn update(this: &Hash, bytes: &[u8]);

    #[wasm_bindgen(method)]
    fn digest(this: &Hash) -> Uint8Array;
}

/// [`Sha256`] by the runtime.
#[derive(Debug, Default)]
pub struct HostSha256(Option<Hash>);

impl Sha256 for HostSha256 {
    fn update(&mut self, bytes: &[u8]) {
        self.0.get_or_insert_with(begin).update(bytes);
    }

    fn finish(self, last: &[u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        match self.0 {
            None => sha256(last, &mut digest),
            Some(hash) => {
                hash.update(last);
                hash.digest().copy_to(&mut digest);
            }
        }
        digest
    }
}
