#![no_main]

#[path = "../checks/table_metadata.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
