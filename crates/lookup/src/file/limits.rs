//! The limits of reading one Parquet file. An isolate has 128 MB, shared by its concurrent requests: no file may make
//! one lookup hold more than about half of it, nor keep it busy for more than about a second.

/// Shortest tail that is read first. The footer of one row group of our 36 columns takes 3.3 KB, the page index of a
/// small one another 2.4 KB (our writer's files, measured); one with fewer rows to a page or longer bounds 7 KB
/// (`PyArrow`'s, with statistics on key columns). What is too long costs 14 µs a KiB, what is too short a wave.
pub const TAIL_LEN_BYTES_MIN: u64 = 10 * 1024;

/// The tail grows by a byte for so many of the file: footer and page index of our writer's row groups grow from 5.7 KB
/// for 0.6 MB to 13.3 KB for 2.8 MB, for which it is 15.7 KB.
pub const TAIL_GROWTH: u64 = 512;

/// Longest tail that is read first: twice what a request is worth, for the wave that it may save. Beyond it, a file has
/// so many row groups that most of the page index is of others.
pub const TAIL_LEN_BYTES_MAX: u64 = 64 * 1024;

/// A file of at most this length is read whole: what is read in vain costs less than a request (14 µs a KiB, 0.29 ms a
/// request), and everything else is then at hand.
pub const WHOLE_FILE_LEN_BYTES_MAX: u64 = 24 * 1024;

/// Longest footer. 16 MiB hold 100,000 column chunks of 160 bytes; parsed they are some four times as large.
pub const FOOTER_LEN_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Deepest nesting of Thrift structures. The format's own structures nest five levels.
pub const THRIFT_DEPTH_MAX: usize = 16;

/// Most elements of all lists of structures in one Thrift value. Parsed column chunks take some 400 bytes: 64 MB.
pub const THRIFT_STRUCTS_MAX: usize = 160_000;

/// Deepest nesting of a schema: below Iceberg's own limit of 64 types, of which each takes at most two levels here.
pub const SCHEMA_DEPTH_MAX: usize = 128;

/// Most row groups of a file: their ordinal is a 16-bit number.
pub const ROW_GROUPS_MAX: usize = 32_767;

/// Most leaf columns of a file: ten times the widest tables in use.
pub const LEAF_COLUMNS_MAX: usize = 10_000;

/// Most pages of a column chunk. A 1 GiB row group in pages of 8 KiB has 131,072; a location takes 24 bytes: 6 MB.
pub const PAGES_MAX: usize = 262_144;

/// Longest column index or offset index of one column chunk, in bytes. [`PAGES_MAX`] locations take some 15 bytes.
pub const PAGE_INDEX_LEN_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest header of a page. It holds a few numbers, and bounds that some writers do not truncate.
pub const PAGE_HEADER_LEN_BYTES_MAX: usize = 1024 * 1024;

/// Longest page, compressed or not: writers aim at 1 MiB, and a value larger than that is a page of its own. The
/// longest value that Firn stores has 1.9 MB.
pub const PAGE_LEN_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Most values of a page: a million rows in one run of a dictionary-encoded column is common, and 16 million steps of a
/// decoder take some 100 ms.
pub const PAGE_VALUES_MAX: u64 = 16 * 1024 * 1024;

/// Most values that one lookup decodes or passes over one by one: about a second.
pub const DECODED_VALUES_MAX: u64 = 128 * 1024 * 1024;

/// Most bytes that one wave asks for, and that a lookup holds of a file beside its footer.
pub const HELD_LEN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A column chunk without a page index is fetched in pieces of this length, until its rows were found. Two of them, and
/// the keys of such a file, stay within 1.2 MB in the common case of a 1 MiB row group.
pub const PIECE_LEN_BYTES: u64 = 512 * 1024;

/// Pages of the wanted columns come along with the key pages where only one range of rows can match and they have at
/// most this length: at 14 µs a KiB a wasted 8 KiB costs a third of a request, and a wave saved is 30 ms.
pub const SPECULATIVE_LEN_BYTES_MAX: u64 = 8 * 1024;

/// Pages of keys, rights and other small columns that stay with a footer, so that a later lookup in the file reads
/// content alone. Half of what the parsed footer of our 36 columns takes; the key pages of 600 rows take 3 to 6 KB.
pub const KEPT_PAGES_LEN_BYTES_MAX: u64 = 16 * 1024;

/// A full scan reads a window of rows at a time, with at most about this many bytes of pages: half of what may be held,
/// because the pages at both ends of a window hold rows of its neighbours too.
pub const SCAN_WINDOW_LEN_BYTES: u64 = HELD_LEN_BYTES_MAX / 4;

/// Most rows of a window of a full scan: 64 columns of them are 4 million cells.
pub const SCAN_WINDOW_ROWS_MAX: u64 = 65_536;

/// A page index that is not at hand is fetched where the chunks that it would narrow have at least this length: a wave
/// more is worth as many bytes as a request.
pub const INDEX_PAYS_LEN_BYTES: u64 = 32 * 1024;

/// Bloom filters are asked where key pages of at least this length would be read otherwise. A filter costs one wave and
/// 64 bytes; 32 KiB are what a request is worth.
pub const BLOOM_PAYS_LEN_BYTES: u64 = 32 * 1024;

/// Largest bloom filter: the limit that writers keep (128 MiB), though only one block of it is read.
pub const BLOOM_LEN_BYTES_MAX: u64 = 128 * 1024 * 1024;
