//! Growing a buffer whose largest length is known.

/// First capacity: four rows of 4 KB, so that a request of a few small records does not touch a megabyte.
const CAPACITY_LEN_BYTES_MIN: usize = 16 * 1024;

/// Makes room for `additional` bytes. The capacity doubles, but goes beyond `len_bytes_max` only as far as needed.
pub(crate) fn reserve_within(buffer: &mut Vec<u8>, additional: usize, len_bytes_max: usize) {
    let needed = buffer.len().saturating_add(additional);
    if needed > buffer.capacity() {
        let doubled = buffer.capacity().saturating_mul(2).max(CAPACITY_LEN_BYTES_MIN);
        let capacity = doubled.min(len_bytes_max).max(needed);
        buffer.reserve_exact(capacity - buffer.len());
    }
}
