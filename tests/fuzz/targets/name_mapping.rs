#![no_main]

#[path = "../checks/name_mapping.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
