//! Half of a measurement: a module that uses all of `firn-types`, against `size-without`, which uses only what that
//! crate stands on and every Worker links anyway (`serde_json`, chrono). `scripts/build --sizes` compares them.

use std::hint::black_box;

use firn_types::{
    error::{ErrorCode, LineErrorCode},
    key::ArtifactKey,
    mode::Mode,
    representation::Representation,
    schema::{COLUMNS, column_named},
    tenant::TenantConfig,
    time::Micros,
    version::{Version, VersionClock},
    visibility::Visibility,
};

mod base;

#[expect(unsafe_code, reason = "an export is what keeps the linker from dropping everything")]
#[unsafe(no_mangle)]
extern "C" fn used(len_bytes: usize) -> usize {
    let text = base::text(len_bytes);
    let parts = ArtifactKey::parse(&text, &text, &text).map_err(|error| error.to_string());
    let config = TenantConfig::parse(&text).map_err(|error| error.to_string());
    let words: usize = ErrorCode::ALL.iter().map(|c| c.as_str().len() + c.title().len()).sum::<usize>()
        + LineErrorCode::ALL.iter().map(|c| c.as_str().len() + c.meaning().len()).sum::<usize>()
        + COLUMNS.iter().map(|c| c.name.len()).sum::<usize>();
    let at = Micros::parse_rfc3339(&text).unwrap_or_default();
    let kinds = (Mode::parse(&text), Visibility::parse(&text), Representation::split_extension(&text));
    let version = VersionClock::default().next(at);
    let rest = (version, Version::new(1), column_named(&text), at.to_http_date());
    let _ = black_box((parts, config));
    black_box((kinds, rest));
    base::used(&text) + words + at.to_rfc3339().len()
}
