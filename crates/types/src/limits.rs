//! The limits of the contract that more than one crate must agree on. A limit that only one crate knows lives there.

/// Longest namespace, in bytes (a DNS name's length).
pub const NAMESPACE_LEN_BYTES_MAX: usize = 253;

/// Longest type, in bytes.
pub const TYPE_LEN_BYTES_MAX: usize = 64;

/// Longest id, in bytes of UTF-8.
pub const ID_LEN_BYTES_MAX: usize = 1024;

/// Largest record, in bytes of the JSON that is sent to a stream. A row in a Durable Object's database holds 2 MB
/// (2,097,152 bytes); the rest is left for the ledger's own columns.
pub const RECORD_LEN_BYTES_MAX: usize = 1_900_000;

/// Largest `metadata` object, in bytes of its JSON text as the caller wrote it.
pub const METADATA_LEN_BYTES_MAX: usize = 16 * 1024;

/// Deepest nesting of arrays and objects inside a record, the record's own object counted.
pub const JSON_DEPTH_MAX: usize = 128;

/// Most line errors that an answer lists; the counts stay exact.
pub const LINE_ERRORS_MAX: usize = 100;

/// Tenant default: records a request.
pub const RECORDS_PER_REQUEST_DEFAULT: u64 = 1_000;

/// Tenant default: decompressed bytes a request.
pub const REQUEST_LEN_BYTES_DEFAULT: u64 = 10 * 1024 * 1024;

/// Tenant default: requests a minute and namespace (fixed window).
pub const REQUESTS_PER_MINUTE_DEFAULT: u64 = 100;
