//! NDJSON bytes to lines, validated records and bounded chunks.
