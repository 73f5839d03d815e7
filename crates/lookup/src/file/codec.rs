//! Decompressing pages.
//!
//! The codecs are called directly, not through the `parquet` crate, because the length that a header states must bound
//! what is written, whatever the compressed bytes say: gzip and framed LZ4 would otherwise grow without end.

use std::io::Read;

use bytes::Bytes;
use parquet::basic::Compression;

use crate::file::error::Cause;

/// *Unsupported* for codecs that [`decompress`] does not know: no writer of lakes uses them, and brotli alone would add
/// more to a Worker than everything else here.
pub(crate) fn check_codec(codec: Compression) -> Result<(), Cause> {
    match codec {
        Compression::BROTLI(_) | Compression::LZO => Err(Cause::unsupported("codec", codec)),
        _ => Ok(()),
    }
}

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
        Compression::UNCOMPRESSED | Compression::BROTLI(_) | Compression::LZO => {
            return Err(Cause::unsupported("codec", codec));
        }
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::basic::{BrotliLevel, GzipLevel, ZstdLevel};

    use super::*;

    const PLAIN: &[u8] = b"the same words, the same words, and once more the same words";

    fn gzip_of(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn hadoop(blocks: &[&[u8]]) -> Vec<u8> {
        let mut framed = Vec::new();
        for plain in blocks {
            let block = lz4_flex::block::compress(plain);
            framed.extend(u32::try_from(plain.len()).unwrap().to_be_bytes());
            framed.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            framed.extend(block);
        }
        framed
    }

    fn lz4_frame_of(plain: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn codecs_give_exactly_the_stated_length() {
        let (front, back) = PLAIN.split_at(20);
        let stored = [
            (Compression::UNCOMPRESSED, PLAIN.to_vec()),
            (Compression::SNAPPY, snap::raw::Encoder::new().compress_vec(PLAIN).unwrap()),
            (Compression::GZIP(GzipLevel::default()), gzip_of(PLAIN)),
            (Compression::GZIP(GzipLevel::default()), [gzip_of(front), gzip_of(back)].concat()),
            (Compression::ZSTD(ZstdLevel::default()), zstd::bulk::compress(PLAIN, 1).unwrap()),
            (Compression::LZ4_RAW, lz4_flex::block::compress(PLAIN)),
            (Compression::LZ4, hadoop(&[PLAIN])),
            (Compression::LZ4, hadoop(&[front, back])),
            (Compression::LZ4, lz4_frame_of(PLAIN)),
            (Compression::LZ4, lz4_flex::block::compress(PLAIN)),
        ];
        for (codec, stored) in stored {
            let stored = Bytes::from(stored);
            assert_eq!(decompress(codec, &stored, PLAIN.len()).as_deref(), Ok(PLAIN), "{codec}");
            for wrong_len in [PLAIN.len() - 1, PLAIN.len() + 1] {
                let error = decompress(codec, &stored, wrong_len).unwrap_err();
                assert!(matches!(error, Cause::Compression { .. }), "{codec}: {error}");
            }
            for len in 0..stored.len() {
                // A frame may lack its end mark and still hold everything.
                let cut = decompress(codec, &stored.slice(..len), PLAIN.len());
                assert!(cut.is_err() || cut.is_ok_and(|plain| plain == PLAIN), "{codec} {len}");
            }
        }
    }

    #[test]
    fn bomb_stops_at_the_stated_length() {
        let bomb = Bytes::from(gzip_of(&vec![0; 10_000_000]));
        assert!(bomb.len() < 20_000);
        decompress(Compression::GZIP(GzipLevel::default()), &bomb, 100).unwrap_err();
    }

    #[test]
    fn codecs_that_no_writer_of_lakes_needs_are_unsupported() {
        for codec in [Compression::BROTLI(BrotliLevel::default()), Compression::LZO] {
            for outcome in [check_codec(codec), decompress(codec, &Bytes::from_static(b"x"), 1).map(drop)] {
                assert!(matches!(outcome, Err(Cause::Unsupported { .. })), "{outcome:?}");
            }
        }
    }
}
