#![no_main]

#[path = "../checks/tenant_config.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
