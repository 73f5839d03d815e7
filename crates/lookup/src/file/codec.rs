//! Decompressing pages.
//!
//! The codecs are called directly, not through the `parquet` crate, because the length that a header states must bound
//! what is written, whatever the compressed bytes say: gzip and framed LZ4 would otherwise grow without end.

use std::io::Read;

use bytes::Bytes;
use parquet::basic::Compression;

use crate::file::error::Cause;

/// Decompresses `stored` to exactly `plain_len` bytes. The caller has checked `plain_len` against its limit.
pub(crate) fn decompress(codec: Compression, stored: &Bytes, plain_len: usize) -> Result<Bytes, Cause> {
    if codec == Compression::UNCOMPRESSED {
        return exact("no codec", stored.clone(), plain_len);
    }
    if plain_len == 0 {
        return Ok(Bytes::new());
    }
    let mut plain = vec![0; plain_len];
    let (name, written) = match codec {
        Compression::SNAPPY => ("snappy", snap::raw::Decoder::new().decompress(stored, &mut plain).ok()),
        Compression::GZIP(_) => ("gzip", gzip(stored, &mut plain)),
        Compression::ZSTD(_) => ("zstd", zstd(stored, &mut plain)),
        Compression::LZ4_RAW => ("lz4_raw", lz4_flex::block::decompress_into(stored, &mut plain).ok()),
        Compression::LZ4 => ("lz4", lz4(stored, &mut plain)),
        Compression::BROTLI(_) => return Err(Cause::unsupported("codec", "brotli")),
        Compression::LZO => return Err(Cause::unsupported("codec", "lzo")),
        Compression::UNCOMPRESSED => ("no codec", None),
    };
    match written {
        Some(written) if written == plain_len => Ok(Bytes::from(plain)),
        _ => Err(Cause::Compression { codec: name }),
    }
}

fn exact(codec: &'static str, bytes: Bytes, plain_len: usize) -> Result<Bytes, Cause> {
    if bytes.len() == plain_len { Ok(bytes) } else { Err(Cause::Compression { codec }) }
}

/// Fills `plain` and looks for one more byte: a longer stream is not the page that the header describes.
fn fill(mut reader: impl Read, plain: &mut [u8]) -> Option<usize> {
    reader.read_exact(plain).ok()?;
    matches!(reader.read(&mut [0]), Ok(0)).then_some(plain.len())
}

fn gzip(stored: &[u8], plain: &mut [u8]) -> Option<usize> {
    fill(flate2::read::MultiGzDecoder::new(stored), plain)
}

fn zstd(stored: &[u8], plain: &mut [u8]) -> Option<usize> {
    let mut decompressor = zstd::bulk::Decompressor::new().ok()?;
    decompressor.decompress_to_buffer(stored, plain).ok()
}

/// `LZ4` of the format is deprecated because three framings go by its name: Hadoop's, which most writers mean, LZ4's
/// own frames and bare blocks. Spec: "Compression", LZ4.
fn lz4(stored: &[u8], plain: &mut [u8]) -> Option<usize> {
    hadoop_lz4(stored, plain)
        .or_else(|| fill(lz4_flex::frame::FrameDecoder::new(stored), plain))
        .or_else(|| lz4_flex::block::decompress_into(stored, plain).ok())
}

/// Hadoop's framing: any number of blocks, each after its plain and its stored length (32 bits, big-endian).
fn hadoop_lz4(mut stored: &[u8], plain: &mut [u8]) -> Option<usize> {
    let mut written = 0usize;
    while !stored.is_empty() {
        let (plain_len, rest) = stored.split_first_chunk::<4>()?;
        let (stored_len, rest) = rest.split_first_chunk::<4>()?;
        let plain_len = usize::try_from(u32::from_be_bytes(*plain_len)).ok()?;
        let stored_len = usize::try_from(u32::from_be_bytes(*stored_len)).ok()?;
        let (block, rest) = rest.split_at_checked(stored_len)?;
        let space = plain.get_mut(written..written.checked_add(plain_len)?)?;
        if lz4_flex::block::decompress_into(block, space).ok()? != plain_len {
            return None;
        }
        written += plain_len;
        stored = rest;
    }
    Some(written)
}
