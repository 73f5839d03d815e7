#![no_main]

#[path = "../checks/partition_spec.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
