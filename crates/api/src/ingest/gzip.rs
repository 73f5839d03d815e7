//! A gzip body (RFC 1952) as the stream of its content, with bounded memory.
//!
//! Deflate gives at most 1,032 bytes for one, so a body that expands like a bomb ends early: text and JSON stay below
//! 100 : 1, NDJSON of equal lines too.
//!
//! Inflating is miniz's. The frame around it is read here, because the libraries that read it bring 16 KB of checksum
//! tables that no compression makes smaller, a fourteenth of what an ingest Worker may weigh.

use std::fmt;

use bytes::{Buf, Bytes};
use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};
use miniz_oxide::{
    DataFormat, MZError, MZFlush, MZStatus,
    inflate::stream::{InflateState, inflate},
};

use super::gzip_header::{Header, HeaderFault};
use crate::ports::{Body, BodyError};

/// Most content that is handed on at once; about what a read of the network gives.
const BUFFER_LEN_BYTES: usize = 256 * 1024;

/// Most bytes of content for one compressed byte, counted over the whole body so far.
pub const RATIO_MAX: u64 = 200;

/// Content that is taken whatever its ratio: a small body of equal lines is no bomb.
pub const RATIO_FREE_LEN_BYTES: u64 = 1024 * 1024;

/// CRC-32 and length of the content (RFC 1952 §2.3.1).
const TRAILER_LEN_BYTES: usize = 8;

static CRC_32: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// The content of a gzip body. Several members in a row are one content (RFC 1952 §2.2).
pub struct GzipBody<B> {
    inner: B,
    /// Compressed bytes that were read and not decoded yet.
    rest: Bytes,
    part: Part,
    compressed_len_bytes: u64,
    content_len_bytes: u64,
    is_ended: bool,
}

/// The part of a member that comes next.
enum Part {
    Header(Header),
    Content(Box<Content>),
    Trailer { expected: [u8; TRAILER_LEN_BYTES], taken: usize },
}

struct Content {
    state: InflateState,
    digest: Digest<'static, u32, Table<1>>,
    /// Modulo 2^32, as the trailer has it.
    len_bytes: u32,
    /// The output was full, so more of it may come without input.
    may_have_more: bool,
}

impl Content {
    fn new() -> Box<Self> {
        let state = InflateState::new(DataFormat::Raw);
        Box::new(Self { state, digest: CRC_32.digest(), len_bytes: 0, may_have_more: false })
    }
}

impl<B> fmt::Debug for GzipBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipBody").field("content_len_bytes", &self.content_len_bytes).finish_non_exhaustive()
    }
}

impl<B: Body> GzipBody<B> {
    /// Decodes `inner`.
    pub fn new(inner: B) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            part: Part::Header(Header::default()),
            compressed_len_bytes: 0,
            content_len_bytes: 0,
            is_ended: false,
        }
    }

    /// Decodes some of the rest; gives how much of `output` it filled.
    fn decode(&mut self, output: &mut [u8]) -> Result<usize, BodyError> {
        match &mut self.part {
            Part::Header(header) => {
                let byte = self.rest.get_u8();
                if header.push(byte).map_err(|fault: HeaderFault| broken(fault.what()))? {
                    self.part = Part::Content(Content::new());
                }
                Ok(0)
            }
            Part::Content(content) => {
                let result = inflate(&mut content.state, &self.rest, output, MZFlush::None);
                self.rest.advance(result.bytes_consumed);
                let decoded = output.get(..result.bytes_written).unwrap_or_default();
                content.digest.update(decoded);
                #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32, and an output is shorter")]
                let decoded_len_bytes = decoded.len() as u32;
                content.len_bytes = content.len_bytes.wrapping_add(decoded_len_bytes);
                content.may_have_more = decoded.len() == output.len();
                match result.status {
                    // No progress: all that was there is decoded.
                    Ok(MZStatus::Ok) | Err(MZError::Buf) => {}
                    Ok(MZStatus::StreamEnd) => self.part = trailer(content),
                    Ok(MZStatus::NeedDict) | Err(_) => return Err(broken("the compressed data is broken")),
                }
                Ok(result.bytes_written)
            }
            Part::Trailer { expected, taken } => {
                if expected.get(*taken) != Some(&self.rest.get_u8()) {
                    return Err(broken("checksum or length is not the content's"));
                }
                *taken += 1;
                if *taken == TRAILER_LEN_BYTES {
                    self.part = Part::Header(Header::default());
                }
                Ok(0)
            }
        }
    }

    /// Whether nothing can be decoded without another read.
    fn is_drained(&self) -> bool {
        self.rest.is_empty() && !matches!(&self.part, Part::Content(content) if content.may_have_more)
    }

    async fn read(&mut self) -> Result<(), BodyError> {
        if let Some(bytes) = self.inner.next().await? {
            self.compressed_len_bytes = self.compressed_len_bytes.saturating_add(bytes.len() as u64);
            self.rest = bytes;
            return Ok(());
        }
        self.is_ended = true;
        match &self.part {
            Part::Header(header) if header.is_untouched() => Ok(()),
            _ => Err(broken("the body ends inside a gzip member")),
        }
    }

    fn check_ratio(&self) -> Result<(), BodyError> {
        let taken_len_bytes = self.compressed_len_bytes.saturating_sub(self.rest.len() as u64);
        let allowed = taken_len_bytes.saturating_mul(RATIO_MAX).max(RATIO_FREE_LEN_BYTES);
        if self.content_len_bytes > allowed {
            Err(BodyError::Expands { ratio_max: RATIO_MAX })
        } else {
            Ok(())
        }
    }
}

fn trailer(content: &Content) -> Part {
    let mut expected = [0; TRAILER_LEN_BYTES];
    let (checksum, len_bytes) = expected.split_at_mut(TRAILER_LEN_BYTES / 2);
    checksum.copy_from_slice(&content.digest.clone().finalize().to_le_bytes());
    len_bytes.copy_from_slice(&content.len_bytes.to_le_bytes());
    Part::Trailer { expected, taken: 0 }
}

fn broken(what: &str) -> BodyError {
    BodyError::Encoding(what.to_owned())
}

impl<B: Body> Body for GzipBody<B> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let mut content = vec![0; BUFFER_LEN_BYTES];
        let mut len_bytes = 0;
        while len_bytes < BUFFER_LEN_BYTES && !self.is_ended {
            if self.is_drained() {
                self.read().await?;
            } else {
                let output = content.get_mut(len_bytes..).unwrap_or_default();
                let decoded_len_bytes = self.decode(output)?;
                len_bytes += decoded_len_bytes;
                self.content_len_bytes = self.content_len_bytes.saturating_add(decoded_len_bytes as u64);
                self.check_ratio()?;
            }
        }
        content.truncate(len_bytes);
        Ok(if content.is_empty() { None } else { Some(content.into()) })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, io::Write};

    use flate2::{Compression, write::GzEncoder};
    use futures::executor::block_on;

    use super::*;

    struct Parts(VecDeque<Bytes>);

    impl Body for Parts {
        async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
            Ok(self.0.pop_front())
        }
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(compressed: &[u8], part_len_bytes: usize) -> Result<Vec<u8>, BodyError> {
        let parts = compressed.chunks(part_len_bytes).map(Bytes::copy_from_slice).collect();
        let mut body = GzipBody::new(Parts(parts));
        let mut content = Vec::new();
        while let Some(bytes) = block_on(body.next())? {
            assert!(bytes.len() <= BUFFER_LEN_BYTES);
            content.extend_from_slice(&bytes);
        }
        Ok(content)
    }

    fn text(len_bytes: usize) -> Vec<u8> {
        (0..len_bytes).map(|i| b"etaoin shrdlu"[(i * i + i / 7) % 13]).collect()
    }

    #[test]
    fn content_does_not_depend_on_where_the_body_is_cut() {
        let content = text(700_000);
        let compressed = gzip(&content);
        for part_len_bytes in [1, 17, 4_096, 1 << 20] {
            assert_eq!(decode(&compressed, part_len_bytes), Ok(content.clone()), "{part_len_bytes}");
        }
    }

    #[test]
    fn members_in_a_row_are_one_content_and_an_empty_body_is_empty() {
        assert_eq!(decode(&[gzip(b"ab"), gzip(b""), gzip(b"cd")].concat(), 3), Ok(b"abcd".to_vec()));
        assert_eq!(decode(b"", 3), Ok(Vec::new()));
    }

    #[test]
    fn every_truncation_and_every_corrupt_checksum_is_an_error() {
        let compressed = gzip(&text(5_000));
        for len_bytes in 1..compressed.len() {
            let result = decode(&compressed[..len_bytes], 512);
            assert!(matches!(result, Err(BodyError::Encoding(_))), "{len_bytes}: {result:?}");
        }
        let mut corrupt = compressed.clone();
        let checksum_idx = corrupt.len() - 6;
        corrupt[checksum_idx] ^= 1;
        assert!(matches!(decode(&corrupt, 512), Err(BodyError::Encoding(_))));
        assert!(matches!(decode(b"{\"ns\":1}", 512), Err(BodyError::Encoding(_))));
    }

    #[test]
    fn bomb_ends_early() {
        let bomb = gzip(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(decode(&bomb, 4_096), Err(BodyError::Expands { ratio_max: RATIO_MAX }));
        let small = gzip(&vec![b' '; 1 << 20]);
        assert_eq!(decode(&small, 4_096).map(|content| content.len()), Ok(1 << 20));
    }
}
