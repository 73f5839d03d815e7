#![no_main]

#[path = "../checks/parquet_footer.rs"]
mod checks;
#[path = "../checks/parquet_read.rs"]
mod parquet_read;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
