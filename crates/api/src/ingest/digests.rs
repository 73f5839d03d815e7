//! Digests of a body by its lines, for idempotency (design.md §3): the same lines give the same digests, wherever the
//! body was cut on its way.

use firn_ndjson::{digest::Sha256, frame::Line};

/// Lines gathered before they are hashed: a call of the runtime's hash costs as much as 4 KB of it.
const BLOCK_LEN_BYTES: usize = 16 * 1024;

/// Hashes lines as they come, twice: since the last chunk, and from the first.
pub(super) struct BodyDigests<H> {
    block: Vec<u8>,
    chunk: H,
    body: H,
}

impl<H: Sha256> BodyDigests<H> {
    /// With two fresh hashes.
    pub(super) fn new(chunk: H, body: H) -> Self {
        Self { block: Vec::with_capacity(BLOCK_LEN_BYTES), chunk, body }
    }

    /// Adds a line. Of one over the limit only the length is known.
    pub(super) fn push(&mut self, line: &Line<'_>) {
        match line {
            Line::Whole { bytes, .. } => {
                self.block.extend_from_slice(bytes);
            }
            Line::TooLarge { len_bytes, .. } => {
                self.block.extend_from_slice(len_bytes.to_string().as_bytes());
            }
        }
        // No line holds one, so no two lists of lines look alike.
        self.block.push(b'\n');
        if self.block.len() >= BLOCK_LEN_BYTES {
            self.flush();
        }
    }

    /// The digest since the last chunk; `fresh` begins the next.
    pub(super) fn close_chunk(&mut self, fresh: H) -> [u8; 32] {
        self.flush();
        std::mem::replace(&mut self.chunk, fresh).finish(&[])
    }

    /// The digest of all lines.
    pub(super) fn finish(mut self) -> [u8; 32] {
        self.flush();
        self.body.finish(&[])
    }

    fn flush(&mut self) {
        self.chunk.update(&self.block);
        self.body.update(&self.block);
        self.block.clear();
    }
}
