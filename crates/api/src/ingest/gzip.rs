//! A gzip body (RFC 1952) as the stream of its content, with bounded memory.
//!
//! Deflate gives at most 1,032 bytes for one. So the input is fed in slices that cannot give more than a buffer, and
//! a body that expands like a bomb ends early: text and JSON stay below 100 : 1, NDJSON of equal lines too.

use std::io::Write;

use bytes::{Buf, Bytes, BytesMut};
use flate2::write::MultiGzDecoder;

use crate::ports::{Body, BodyError};

/// Compressed bytes decoded at once: they give at most 264 KiB, about what a read of the network gives.
const SLICE_LEN_BYTES: usize = 256;

/// Content gathered before it is handed on; a slice may carry it over by 264 KiB.
const BUFFER_LEN_BYTES: usize = 256 * 1024;

/// Most bytes of content for one compressed byte, counted over the whole body so far.
pub const RATIO_MAX: u64 = 200;

/// Content that is taken whatever its ratio: a small body of equal lines is no bomb.
pub const RATIO_FREE_LEN_BYTES: u64 = 1024 * 1024;

/// The content of a gzip body. Several members in a row are one content (RFC 1952 §2.2).
#[derive(Debug)]
pub struct GzipBody<B> {
    inner: B,
    decoder: MultiGzDecoder<Vec<u8>>,
    /// Compressed bytes that were read and not decoded yet.
    rest: Bytes,
    compressed_len_bytes: u64,
    content_len_bytes: u64,
    is_ended: bool,
}

impl<B: Body> GzipBody<B> {
    /// Decodes `inner`.
    pub fn new(inner: B) -> Self {
        Self {
            inner,
            decoder: MultiGzDecoder::new(Vec::new()),
            rest: Bytes::new(),
            compressed_len_bytes: 0,
            content_len_bytes: 0,
            is_ended: false,
        }
    }

    fn decode_slice(&mut self, slice: &[u8]) -> Result<(), BodyError> {
        self.compressed_len_bytes = self.compressed_len_bytes.saturating_add(slice.len() as u64);
        self.decoder.write_all(slice).map_err(|error| BodyError::Encoding(error.to_string()))
    }

    fn take_content(&mut self, content: &mut BytesMut) -> Result<(), BodyError> {
        let decoded = self.decoder.get_mut();
        self.content_len_bytes = self.content_len_bytes.saturating_add(decoded.len() as u64);
        content.extend_from_slice(decoded);
        decoded.clear();
        let allowed = self.compressed_len_bytes.saturating_mul(RATIO_MAX).max(RATIO_FREE_LEN_BYTES);
        if self.content_len_bytes > allowed {
            return Err(BodyError::Expands { ratio_max: RATIO_MAX });
        }
        Ok(())
    }
}

impl<B: Body> Body for GzipBody<B> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let mut content = BytesMut::new();
        while content.len() < BUFFER_LEN_BYTES && !self.is_ended {
            if self.rest.is_empty() {
                if let Some(bytes) = self.inner.next().await? {
                    self.rest = bytes;
                    continue;
                }
                self.is_ended = true;
                if self.compressed_len_bytes > 0 {
                    self.decoder.try_finish().map_err(|error| BodyError::Encoding(error.to_string()))?;
                }
            } else {
                let slice = self.rest.split_to(self.rest.remaining().min(SLICE_LEN_BYTES));
                self.decode_slice(&slice)?;
            }
            self.take_content(&mut content)?;
        }
        Ok(if content.is_empty() { None } else { Some(content.freeze()) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

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
            assert!(bytes.len() <= BUFFER_LEN_BYTES + SLICE_LEN_BYTES * 1_032);
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
