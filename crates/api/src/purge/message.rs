//! What was touched, from ingest to serve and from serve to the queue: postcard's encoding behind one byte that names
//! the version. As with the ledger's protocol, Workers of two versions refuse one another rather than misread.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the message.
const VERSION: u8 = 1;

/// Something in a namespace was written, and older copies of it must go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge<'a> {
    /// The namespace.
    pub ns: &'a str,
    /// What in it.
    #[serde(borrow)]
    pub touched: Touched<'a>,
}

/// What was touched in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Touched<'a> {
    /// These artifacts, in every representation.
    Keys(#[serde(borrow)] Vec<TouchedKey<'a>>),
    /// Everything of these types.
    Types(Vec<&'a str>),
    /// Everything.
    Namespace,
}

/// One artifact of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TouchedKey<'a> {
    /// Its type.
    pub artifact_type: &'a str,
    /// Its id.
    pub id: &'a str,
}

/// Bytes that are no message of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a purge cannot be read: {0}")]
pub struct PurgeError(&'static str);

/// The bytes of a message.
///
/// # Errors
/// Never, for what is above.
pub fn encode(purge: &Purge<'_>) -> Result<Vec<u8>, PurgeError> {
    postcard::to_extend(purge, vec![VERSION]).map_err(|_| PurgeError("it cannot be written"))
}

/// The message out of its bytes.
///
/// # Errors
/// Bytes of another version, that end early, or go on.
pub fn decode(message: &[u8]) -> Result<Purge<'_>, PurgeError> {
    match message.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((purge, [])) => Ok(purge),
            Ok(_) => Err(PurgeError("it goes on after its end")),
            Err(_) => Err(PurgeError("it is broken")),
        },
        Some(_) => Err(PurgeError("another version")),
        None => Err(PurgeError("it is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were() {
        let keys = [("page", "a/雪"), ("p", "")].map(|(artifact_type, id)| TouchedKey { artifact_type, id });
        for touched in [Touched::Keys(keys.to_vec()), Touched::Types(vec!["page", "P"]), Touched::Namespace] {
            let purge = Purge { ns: "app.do", touched };
            assert_eq!(decode(&encode(&purge).unwrap()), Ok(purge));
        }
    }

    #[test]
    fn bytes_of_another_version_truncations_and_more_bytes_are_told() {
        let touched = Touched::Types(vec!["page"]);
        let bytes = encode(&Purge { ns: "app.do", touched }).unwrap();
        for len_bytes in 0..bytes.len() {
            assert!(decode(&bytes[..len_bytes]).is_err(), "{len_bytes}");
        }
        let other = [&[VERSION + 1], &bytes[1..]].concat();
        assert_eq!(decode(&other), Err(PurgeError("another version")));
        assert_eq!(decode(&[bytes.as_slice(), &[0]].concat()), Err(PurgeError("it goes on after its end")));
    }
}
