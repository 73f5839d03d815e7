//! Block codecs of Avro files.
//!
//! Spec: "Required Codecs" and "Optional Codecs".

use std::fmt::Display;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::error::{Error, Part};

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all.
    Null,
    /// Raw deflate (RFC 1951).
    Deflate,
    /// Snappy, with a CRC-32 of the content behind it.
    Snappy,
    /// Zstandard.
    Zstandard,
}

/// First guess of how much a block grows. Manifests repeat paths, so they compress well.
const GROWTH_GUESS: usize = 8;

/// Smallest buffer to guess: the block size that writers aim at (16,000 bytes in Java) and some.
const GUESS_LEN_BYTES_MIN: usize = 32 * 1024;

impl Codec {
    /// Reads the value of `avro.codec`.
    pub(crate) fn parse(name: &[u8], part: Part) -> Result<Self, Error> {
        match name {
            b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => Err(Error::unsupported(part, "codec", &String::from_utf8_lossy(other))),
        }
    }
}

/// Decompresses the blocks of a file. Some writers make a block of every entry, so that what a decompressor allocates
/// would cost more than its work: one is kept for all of them.
#[derive(Debug)]
pub(crate) struct Blocks {
    codec: Codec,
    part: Part,
    inflater: Option<Decompress>,
    content: Vec<u8>,
}

impl Blocks {
    /// For the blocks of one file.
    pub(crate) const fn new(codec: Codec, part: Part) -> Self {
        Self { codec, part, inflater: None, content: Vec::new() }
    }

    /// The content of a block; fails where it is longer than `limit`.
    pub(crate) fn decompress<'a>(&'a mut self, block: &'a [u8], limit: usize) -> Result<&'a [u8], Error> {
        let part = self.part;
        match self.codec {
            Codec::Null => {
                Error::check_limit(part, WHAT, block.len(), limit)?;
                return Ok(block);
            }
            Codec::Deflate => {
                let inflater = self.inflater.get_or_insert_with(|| Decompress::new(false));
                inflater.reset(false);
                inflate(inflater, block, &mut self.content, limit, part)?;
            }
            Codec::Snappy => self.content = unsnap(block, limit, part)?,
            Codec::Zstandard => self.content = unzstd(block, limit, part)?,
        }
        Ok(&self.content)
    }
}

const WHAT: &str = "decompressed length in bytes";

fn broken(part: Part, cause: &(impl Display + ?Sized)) -> Error {
    Error::invalid(part, "compressed block", cause, "a block of the file's codec")
}

fn guess(block: &[u8], limit: usize) -> usize {
    block.len().saturating_mul(GROWTH_GUESS).max(GUESS_LEN_BYTES_MIN).min(limit)
}

fn inflate(
    inflater: &mut Decompress,
    block: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
    part: Part,
) -> Result<(), Error> {
    out.clear();
    out.reserve(guess(block, limit));
    loop {
        let (read, written) = (inflater.total_in(), out.len());
        let input = usize::try_from(read).ok().and_then(|read| block.get(read..)).unwrap_or_default();
        let status = inflater
            .decompress_vec(input, out, FlushDecompress::None)
            .map_err(|cause| broken(part, &cause))?;
        Error::check_limit(part, WHAT, out.len(), limit)?;
        if status == Status::StreamEnd {
            break;
        }
        if out.len() == out.capacity() {
            // One byte over the limit is room enough to find out that the content is longer.
            out.reserve(out.len().min(limit + 1 - out.len()).max(1));
        } else if out.len() == written && inflater.total_in() == read {
            return Err(broken(part, "cut off"));
        }
    }
    let rest =
        usize::try_from(inflater.total_in()).ok().and_then(|read| block.get(read..)).unwrap_or_default();
    check_adler_prefix(rest, out, part)
}

/// Writers in Python make a zlib stream and cut off its header and last byte, so three bytes of its Adler-32 stay
/// behind the deflate stream. Where exactly those are left they are a checksum that costs nothing to keep.
fn check_adler_prefix(rest: &[u8], content: &[u8], part: Part) -> Result<(), Error> {
    let [a, b, c] = *rest else {
        return Ok(());
    };
    let found = adler32(content);
    let expected = u32::from_be_bytes([a, b, c, 0]);
    if found & 0xffff_ff00 == expected {
        return Ok(());
    }
    Err(Error::Checksum { part, found: found & 0xffff_ff00, expected })
}

/// RFC 1950 §8.2.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    // The most bytes of 255 after which the second sum still fits 32 bits.
    const RUN: usize = 5_552;
    let (mut a, mut b) = (1_u32, 0_u32);
    for run in bytes.chunks(RUN) {
        for byte in run {
            a += u32::from(*byte);
            b += a;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    (b << 16) | a
}

fn unsnap(block: &[u8], limit: usize, part: Part) -> Result<Vec<u8>, Error> {
    let Some((data, expected)) = block.split_last_chunk::<4>() else {
        return Err(broken(part, "shorter than its checksum"));
    };
    let len_bytes = snap::raw::decompress_len(data).map_err(|cause| broken(part, &cause))?;
    Error::check_limit(part, WHAT, len_bytes, limit)?;
    let out = snap::raw::Decoder::new().decompress_vec(data).map_err(|cause| broken(part, &cause))?;
    let mut crc = Crc::new();
    crc.update(&out);
    let (found, expected) = (crc.sum(), u32::from_be_bytes(*expected));
    if found != expected {
        return Err(Error::Checksum { part, found, expected });
    }
    Ok(out)
}

/// The frame need not name its length, so the buffer grows until the content fits or the limit is met.
fn unzstd(block: &[u8], limit: usize, part: Part) -> Result<Vec<u8>, Error> {
    let mut inflater = zstd::bulk::Decompressor::new().map_err(|cause| broken(part, &cause))?;
    let mut capacity = guess(block, limit);
    loop {
        match inflater.decompress(block, capacity) {
            Ok(content) => return Ok(content),
            Err(cause) if capacity >= limit => return Err(over_limit_or_broken(&cause, limit, part)),
            Err(cause) if !is_too_small(&cause) => return Err(broken(part, &cause)),
            Err(_) => capacity = capacity.saturating_mul(4).min(limit),
        }
    }
}

/// The library says "too small" in words only.
fn is_too_small(cause: &std::io::Error) -> bool {
    cause.to_string().contains("too small")
}

fn over_limit_or_broken(cause: &std::io::Error, limit: usize, part: Part) -> Error {
    if is_too_small(cause) {
        let (found, limit) = (limit as u64 + 1, limit as u64);
        return Error::LimitExceeded { part, what: WHAT, found, limit };
    }
    broken(part, cause)
}
