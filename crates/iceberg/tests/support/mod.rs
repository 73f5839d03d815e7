//! Avro container files made by hand: manifest lists and manifests of any version, with any codec.

use std::{fs, path::Path};

/// Avro's zigzag variable-length integer.
pub fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut out = Vec::new();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
    out
}

/// A length and so many bytes.
pub fn bytes(value: &[u8]) -> Vec<u8> {
    [long(i64::try_from(value.len()).unwrap()), value.to_vec()].concat()
}

/// A container file with one block for each of `blocks`: the count of its values, and their bytes as compressed.
pub fn container(schema: &str, codec: &str, blocks: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let sync = [7_u8; 16];
    let mut file = b"Obj\x01".to_vec();
    file.extend(long(2));
    for (key, value) in [("avro.schema", schema), ("avro.codec", codec)] {
        file.extend(bytes(key.as_bytes()));
        file.extend(bytes(value.as_bytes()));
    }
    file.extend(long(0));
    file.extend(sync);
    for (count, data) in blocks {
        file.extend(long(i64::try_from(*count).unwrap()));
        file.extend(bytes(data));
        file.extend(sync);
    }
    file
}

/// A file of one of the fixture tables.
pub fn fixture(table: &str, suffix: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/iceberg")
        .join(table)
        .join("metadata");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("snap-") == (suffix == "list")
    });
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Metadata of one of the fixture tables.
pub fn metadata(table: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/iceberg");
    fs::read(root.join(table).join("metadata.json")).unwrap()
}
