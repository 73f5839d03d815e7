//! Several readers that ask at the same time, as one wave.

use std::collections::HashMap;

use firn_types::object::{ByteRange, ObjectKey};

use super::error::TableError;
use crate::need::{Need, Supplied};

/// The needs of several readers. What two of them need is asked for once.
#[derive(Debug)]
pub(crate) struct Wave<Reader> {
    needs: Vec<Need>,
    known: HashMap<(ObjectKey, ByteRange), usize>,
    /// Who asked, and where the answers are among [`Self::needs`].
    asked: Vec<(Reader, Vec<usize>)>,
}

impl<Reader> Default for Wave<Reader> {
    fn default() -> Self {
        Self { needs: Vec::new(), known: HashMap::new(), asked: Vec::new() }
    }
}

impl<Reader> Wave<Reader> {
    /// Adds the needs of a reader.
    pub(crate) fn ask(&mut self, reader: Reader, needs: Vec<Need>) {
        let places = needs.into_iter().map(|need| {
            let next = self.needs.len();
            let place = *self.known.entry((need.object.clone(), need.range.clone())).or_insert(next);
            if place == next {
                self.needs.push(need);
            }
            place
        });
        let places = places.collect();
        self.asked.push((reader, places));
    }

    /// Whether nobody asked for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// All needs, for the driver.
    pub(crate) fn needs(&self) -> Vec<Need> {
        self.needs.clone()
    }

    /// Gives the answers to those who asked, in the order in which they asked.
    pub(crate) fn answer(self, supplied: &[Supplied]) -> Result<Vec<(Reader, Vec<Supplied>)>, TableError> {
        let (expected, found) = (self.needs.len(), supplied.len());
        if expected != found {
            return Err(TableError::Answers { expected, found });
        }
        let pick = |places: Vec<usize>| places.into_iter().filter_map(|p| supplied.get(p).cloned()).collect();
        Ok(self.asked.into_iter().map(|(reader, places)| (reader, pick(places))).collect())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::need::Role;

    fn need(object: &str, end: u64) -> Need {
        Need { object: ObjectKey::new(object), range: ByteRange::Range(0..end), role: Role::Footer }
    }

    #[test]
    fn what_two_readers_need_is_asked_for_once() {
        let mut wave = Wave::default();
        wave.ask(4, vec![need("a", 1), need("b", 2)]);
        wave.ask(7, vec![need("b", 2), need("b", 3), need("a", 1)]);
        let needs = wave.needs();
        assert_eq!(needs, [need("a", 1), need("b", 2), need("b", 3)]);
        let supplied: Vec<Supplied> =
            (0..3).map(|offset| Supplied { bytes: Bytes::new(), offset, object_len_bytes: 0 }).collect();
        let answers = wave.answer(&supplied).unwrap();
        let offsets: Vec<(usize, Vec<u64>)> =
            answers.iter().map(|(who, got)| (*who, got.iter().map(|s| s.offset).collect())).collect();
        assert_eq!(offsets, [(4, vec![0, 1]), (7, vec![1, 2, 0])]);
    }

    #[test]
    fn missing_answer_is_an_error() {
        let mut wave = Wave::default();
        wave.ask((), vec![need("a", 1)]);
        assert!(matches!(wave.answer(&[]), Err(TableError::Answers { expected: 1, found: 0 })));
    }
}
