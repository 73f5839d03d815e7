//! What the Workers share of the platform, each a thin adapter to a trait of the core.

mod body;
mod bucket;
#[cfg(feature = "content")]
mod catalog;
mod convert;
mod crypto;
#[cfg(feature = "content")]
mod edge;
mod hash;
mod keys;
mod kv;
mod ledger;
mod purge;
mod service;
mod settings;
mod tenants;
mod timer;

pub use body::RequestBody;
pub use bucket::R2Read;
#[cfg(feature = "content")]
pub use catalog::{CatalogFetch, ReplyBody, post_json};
#[cfg(feature = "content")]
pub use convert::send_stored;
pub use convert::{forward, log_problem, read_head, send_response};
pub use crypto::WebCrypto;
#[cfg(feature = "content")]
pub use edge::{EdgeCopies, StoredBody};
pub use hash::HostSha256;
pub use keys::{DeploymentKeys, PlatformFetch, token_rules};
pub use kv::Kv;
pub use ledger::{Objects, call_ledger};
pub use purge::{call_purge, queue_purge};
pub use service::post;
pub use settings::Setting;
pub use tenants::tenant_config;
pub use timer::Timer;

use firn_api::ports::Clock;
use firn_types::time::Micros;

/// The runtime's clock. In production it stands still between two I/O operations of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Micros {
        let millis = js_sys::Date::now();
        #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds, far below 2^53")]
        Micros::from_millis(millis as i64)
    }
}

/// A random identifier (UUID v4).
pub fn random_id() -> String {
    random_uuid()
}

#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    fn random_uuid() -> String;
}
