//! Files as objects: the key is the path.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

use bytes::Bytes;
use firn_store::read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind};
use firn_types::object::{ByteRange, ObjectKey};

/// The files of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileRead;

impl ObjectRead for FileRead {
    async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
        let failed = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreErrorKind::NotFound,
                _ => StoreErrorKind::Unavailable,
            };
            StoreError { kind, key: key.clone(), source: Some(Box::new(error)) }
        };
        let (mut file, object_len_bytes) = open(key).map_err(failed)?;
        let wanted = match range {
            ByteRange::Range(range) if range.is_empty() || range.end > object_len_bytes => {
                return Err(StoreError::new(StoreErrorKind::RangeInvalid { object_len_bytes }, key));
            }
            ByteRange::Range(range) => range.clone(),
            ByteRange::Tail { len_bytes } => object_len_bytes.saturating_sub(*len_bytes)..object_len_bytes,
        };
        let asked_len_bytes = wanted.end - wanted.start;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(wanted.start)).map_err(failed)?;
        file.take(asked_len_bytes).read_to_end(&mut bytes).map_err(failed)?;
        let found_len_bytes = bytes.len() as u64;
        if found_len_bytes < asked_len_bytes {
            return Err(StoreError::new(StoreErrorKind::ShortRead { asked_len_bytes, found_len_bytes }, key));
        }
        Ok(ObjectBytes { bytes: Bytes::from(bytes), offset: wanted.start, object_len_bytes, etag: None })
    }
}

#[expect(clippy::disallowed_methods, reason = "a native tool")]
fn open(key: &ObjectKey) -> io::Result<(File, u64)> {
    let file = File::open(key.as_str())?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((file, metadata.len()))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use firn_store::conformance;
    use futures::executor::block_on;

    use super::*;

    /// Puts a folder before every key.
    struct Below(PathBuf);

    impl Below {
        fn path(&self, key: &ObjectKey) -> PathBuf {
            self.0.join(key.as_str())
        }
    }

    impl ObjectRead for Below {
        async fn read(&self, key: &ObjectKey, range: &ByteRange) -> Result<ObjectBytes, StoreError> {
            FileRead.read(&ObjectKey::new(self.path(key).to_str().unwrap()), range).await
        }
    }

    #[test]
    fn files_conform() {
        let folder = std::env::temp_dir().join(format!("firn-inspect-files-{}", std::process::id()));
        let store = Below(folder.clone());
        for (key, bytes) in conformance::objects() {
            fs::create_dir_all(store.path(&key).parent().unwrap()).unwrap();
            fs::write(store.path(&key), bytes).unwrap();
        }
        for (claim, outcome) in block_on(conformance::run(&store)) {
            assert_eq!(outcome, Ok(()), "{claim}");
        }
        let folder_as_object = block_on(store.read(&ObjectKey::new("conformance"), &ByteRange::Range(0..1)));
        assert_eq!(folder_as_object.unwrap_err().kind, StoreErrorKind::Unavailable);
        fs::remove_dir_all(folder).unwrap();
    }
}
