#![no_main]

#[path = "../checks/deletion_vector.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
