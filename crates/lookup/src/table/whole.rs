//! Reading a whole object whose length is only guessed: its tail, and what the tail did not reach.

use bytes::{Bytes, BytesMut};
use firn_types::object::{ByteRange, ObjectKey};

use super::error::TableError;
use crate::need::{Need, Role, Step, Supplied};

/// Longest manifest list or manifest: what the reader of either would refuse anyway.
pub(crate) const WHOLE_LEN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A read of one object.
#[derive(Debug)]
pub(crate) struct WholeObject {
    object: ObjectKey,
    role: Role,
    tail: Option<Supplied>,
}

impl WholeObject {
    /// A read, and its first need. `guess_len_bytes` should be a little over the object's length.
    pub(crate) fn new(object: ObjectKey, role: Role, guess_len_bytes: u64) -> (Self, Need) {
        let len_bytes = guess_len_bytes.clamp(1, WHOLE_LEN_BYTES_MAX);
        let need = Need { object: object.clone(), range: ByteRange::Tail { len_bytes }, role };
        (Self { object, role, tail: None }, need)
    }

    /// The object.
    pub(crate) fn object(&self) -> &ObjectKey {
        &self.object
    }

    /// Takes the answer to the need before.
    pub(crate) fn step(&mut self, supplied: Supplied) -> Result<Step<Bytes>, TableError> {
        let Some(tail) = self.tail.take() else {
            let limit = WHOLE_LEN_BYTES_MAX;
            if supplied.object_len_bytes > limit {
                let (object, found) = (self.object.clone(), supplied.object_len_bytes);
                return Err(TableError::Limit { object, what: "length in bytes", found, limit });
            }
            if supplied.offset == 0 {
                return Ok(Step::Done(supplied.bytes));
            }
            let range = ByteRange::Range(0..supplied.offset);
            self.tail = Some(supplied);
            return Ok(Step::Need(vec![Need { object: self.object.clone(), range, role: self.role }]));
        };
        let mut joined = BytesMut::with_capacity(supplied.bytes.len() + tail.bytes.len());
        joined.extend_from_slice(&supplied.bytes);
        joined.extend_from_slice(&tail.bytes);
        Ok(Step::Done(joined.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(whole: &'static [u8], need: &Need) -> Supplied {
        let len = whole.len() as u64;
        let range = match &need.range {
            ByteRange::Range(range) => range.clone(),
            ByteRange::Tail { len_bytes } => len.saturating_sub(*len_bytes)..len,
        };
        let place = |offset: u64| usize::try_from(offset).unwrap();
        let bytes = Bytes::from_static(&whole[place(range.start)..place(range.end)]);
        Supplied { bytes, offset: range.start, object_len_bytes: len }
    }

    #[test]
    fn object_longer_than_the_guess_takes_one_more_read() {
        let whole = b"0123456789";
        for (guess, reads) in [(0, 2), (1, 2), (9, 2), (10, 1), (11, 1), (u64::MAX, 1)] {
            let (mut read, need) = WholeObject::new(ObjectKey::new("o"), Role::Manifest, guess);
            let mut answers = vec![answer(whole, &need)];
            let bytes = loop {
                match read.step(answers.last().unwrap().clone()).unwrap() {
                    Step::Need(needs) => answers.push(answer(whole, &needs[0])),
                    Step::Done(bytes) => break bytes,
                }
            };
            assert_eq!((bytes.as_ref(), answers.len()), (whole.as_slice(), reads), "{guess}");
        }
    }

    #[test]
    fn object_beyond_the_limit_is_not_read() {
        let (mut read, _) = WholeObject::new(ObjectKey::new("o"), Role::Manifest, 1);
        let object_len_bytes = WHOLE_LEN_BYTES_MAX + 1;
        let supplied =
            Supplied { bytes: Bytes::from_static(b"x"), offset: object_len_bytes - 1, object_len_bytes };
        assert!(matches!(read.step(supplied), Err(TableError::Limit { .. })));
    }
}
