//! Every error code of Firn's HTTP interface, in one table (design.md §3).
//!
//! A code is stable: clients compare it. A request error is an answer of its own (`application/problem+json`,
//! RFC 9457); a line error stands in the `errors` of an ingest answer.

macro_rules! codes {
    (
        $(#[$enum_doc:meta])* $name:ident { $first:ident ($first_type:ty), $second:ident ($second_type:ty) }
        $($(#[$doc:meta])* $variant:ident => $code:literal, $a:expr, $b:expr;)*
    ) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of the README's table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            #[doc = concat!("Its ", stringify!($first), ".")]
            pub const fn $first(self) -> $first_type {
                match self { $(Self::$variant => $a,)* }
            }

            #[doc = concat!("Its ", stringify!($second), ".")]
            pub const fn $second(self) -> $second_type {
                match self { $(Self::$variant => $b,)* }
            }
        }
    };
}

codes! {
    /// Why a whole request is refused.
    ErrorCode { status(u16), title(&'static str) }
    /// The path is not one of Firn's, or its key does not follow the grammar.
    InvalidPath => "invalid_path", 400, "The path is not valid";
    /// The last segment ends in no known extension.
    UnknownExtension => "unknown_extension", 400, "The extension is not known";
    /// A query parameter is malformed or not allowed.
    InvalidQuery => "invalid_query", 400, "A query parameter is not valid";
    /// A batch of reads is not JSON of its shape, or has too many items.
    InvalidBatch => "invalid_batch", 400, "The batch is not valid";
    /// `X-Artifact-Mode` names no mode, or one the tenant does not allow.
    InvalidMode => "invalid_mode", 400, "The mode is not valid";
    /// `Idempotency-Key` is malformed.
    InvalidIdempotencyKey => "invalid_idempotency_key", 400, "The idempotency key is not valid";
    /// `Content-Length` or `If-Match` is malformed.
    InvalidHeader => "invalid_header", 400, "A header is not valid";
    /// The body ended before it was complete (client gone, declared length not reached, broken gzip).
    BodyIncomplete => "body_incomplete", 400, "The body is incomplete";
    /// Every line was rejected.
    NothingAccepted => "nothing_accepted", 400, "No record was accepted";
    /// A token is needed, or the one given does not verify.
    Unauthorized => "unauthorized", 401, "A valid token is required";
    /// The token lacks the scope.
    ScopeMissing => "scope_missing", 403, "The token lacks the scope";
    /// The token may not write the namespace.
    NamespaceForbidden => "namespace_forbidden", 403, "The token may not write this namespace";
    /// There is no such artifact or representation, or the caller may not read it.
    NotFound => "not_found", 404, "There is no such artifact";
    /// The path exists, the method does not; `Allow` lists those that do.
    MethodNotAllowed => "method_not_allowed", 405, "The method is not allowed";
    /// A request with this idempotency key is still running.
    IdempotencyInProgress => "idempotency_in_progress", 409, "A request with this key is running";
    /// `if_version` did not hold.
    VersionConflict => "version_conflict", 409, "The current version is another";
    /// The artifact was deleted or has expired.
    Gone => "gone", 410, "The artifact is gone";
    /// `If-Match` does not hold.
    PreconditionFailed => "precondition_failed", 412, "The precondition does not hold";
    /// The body is larger than the limit.
    BodyTooLarge => "body_too_large", 413, "The body is too large";
    /// The body holds more records than the limit.
    TooManyRecords => "too_many_records", 413, "The body holds too many records";
    /// `Content-Type` is not NDJSON.
    UnsupportedMediaType => "unsupported_media_type", 415, "The content type is not supported";
    /// `Content-Encoding` is neither absent, `identity` nor `gzip`.
    UnsupportedEncoding => "unsupported_encoding", 415, "The content encoding is not supported";
    /// `Range` lies outside the representation.
    RangeNotSatisfiable => "range_not_satisfiable", 416, "The range cannot be satisfied";
    /// The idempotency key was used with another body.
    IdempotencyMismatch => "idempotency_mismatch", 422, "The key was used with another body";
    /// Too many requests in this minute.
    RateLimited => "rate_limited", 429, "Too many requests";
    /// What the namespace may write in a day is written.
    QuotaSpent => "quota_spent", 429, "The quota of the day is spent";
    /// A defect of Firn's own.
    Internal => "internal", 500, "Something went wrong";
    /// The stream refused the records.
    StreamFailed => "stream_failed", 502, "The stream did not take the records";
    /// What the store holds cannot be read.
    StorageCorrupt => "storage_corrupt", 502, "Stored data cannot be read";
    /// The stream cannot be reached; try again.
    StreamUnavailable => "stream_unavailable", 503, "The stream is not available";
    /// Storage cannot be reached; try again.
    StorageUnavailable => "storage_unavailable", 503, "Storage is not available";
    /// The keys that tokens are checked with cannot be fetched; try again.
    KeysUnavailable => "keys_unavailable", 503, "Tokens cannot be checked";
    /// The tenant's or the deployment's configuration is wrong.
    ConfigurationInvalid => "configuration_invalid", 503, "The configuration is not valid";
}

codes! {
    /// Why one line of a body is rejected.
    LineErrorCode { is_retryable(bool), meaning(&'static str) }
    /// The line is not UTF-8.
    InvalidUtf8 => "invalid_utf8", false, "the line is not UTF-8";
    /// The line is not JSON (RFC 8259).
    InvalidJson => "invalid_json", false, "the line is not JSON";
    /// The line is JSON, but no object.
    NotAnObject => "not_an_object", false, "the line is not a JSON object";
    /// An object has a name twice.
    DuplicateKey => "duplicate_key", false, "an object has a name twice";
    /// Arrays and objects are nested too deeply.
    NestingTooDeep => "nesting_too_deep", false, "nesting is over 128";
    /// A number overflows a double.
    NumberOutOfRange => "number_out_of_range", false, "a number overflows a 64-bit float";
    /// A string holds half of a surrogate pair.
    LoneSurrogate => "lone_surrogate", false, "a string holds a lone surrogate";
    /// A field that Firn does not know.
    UnknownField => "unknown_field", false, "the field is not known";
    /// A field that only the server sets.
    ServerSetField => "server_set_field", false, "the server sets this field";
    /// A required field is missing.
    MissingField => "missing_field", false, "a required field is missing";
    /// A field has the wrong JSON type.
    InvalidType => "invalid_type", false, "the field has the wrong type";
    /// A field has the right type and a value outside its grammar.
    InvalidValue => "invalid_value", false, "the field's value is not allowed";
    /// The record is larger than 1,900,000 bytes.
    RecordTooLarge => "record_too_large", false, "the record is over 1,900,000 bytes";
    /// `metadata` is larger than 16 KiB.
    MetadataTooLarge => "metadata_too_large", false, "metadata is over 16 KiB";
    /// The record's namespace is not the request's.
    NamespaceMismatch => "namespace_mismatch", false, "the record's namespace is not the request's";
    /// The visibility needs a claim (`org`, `sub`) that the token lacks.
    ClaimMissing => "claim_missing", false, "the visibility needs a claim that the token lacks";
    /// `if_version` is not allowed in bulk.
    IfVersionInBulk => "if_version_in_bulk", false, "if_version is not allowed in bulk";
    /// A limit of the request was met at this line; nothing after it was read.
    LimitReached => "limit_reached", false, "a limit of the request was met here";
    /// The line was not sent, because an earlier line of an all-or-nothing request is bad.
    NotSent => "not_sent", true, "an earlier line was rejected";
    /// The chunk that held the line was not taken by the stream.
    ChunkFailed => "chunk_failed", true, "the stream did not take the line's chunk";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let mut words: Vec<&str> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        words.extend(LineErrorCode::ALL.iter().map(|c| c.as_str()));
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        // `version_conflict` may later be both; today no word is.
        assert_eq!(words.len(), count);
    }

    /// The README's tables are printed by the example `error-codes`.
    #[test]
    fn readme_lists_every_code_with_its_status_and_meaning() {
        let readme = include_str!("../../../README.md");
        for code in ErrorCode::ALL {
            let row = format!("| {} | `{}` | {} |", code.status(), code.as_str(), code.title());
            assert!(readme.contains(&row), "{row}");
        }
        for code in LineErrorCode::ALL {
            let row = format!("| `{}` | {} |", code.as_str(), code.meaning());
            assert!(readme.contains(&row), "{row}");
        }
    }
}
