#![no_main]

#[path = "../checks/parquet_index.rs"]
mod checks;
#[path = "../checks/parquet_read.rs"]
#[expect(dead_code, reason = "other targets read by the schema of the file")]
mod parquet_read;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::check(input));
