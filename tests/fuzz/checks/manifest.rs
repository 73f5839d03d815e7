//! Manifests: Avro container, schema and records. What was read is about the columns that were asked for, and an empty
//! key prunes no file.
//!
//! Input: a byte that chooses the partition spec, and the file.

use firn_iceberg::{
    manifest::{Manifest, StatsOf},
    manifest_list::ManifestFile,
    partition::{PartitionField, PartitionSpec},
    prune::{KeyPredicate, KeyTerm, Pruning},
    schema::PrimitiveType,
    transform::Transform,
    value::Literal,
};

pub(crate) fn check(input: &[u8]) {
    let Some((choice, file)) = input.split_first() else { return };
    let field = |source_id, field_id, name: &str, transform| PartitionField {
        source_id: Some(source_id),
        field_id,
        name: name.to_owned(),
        transform,
    };
    // The specs of the tables in tests/fixtures/iceberg.
    let fields = match choice % 3 {
        0 => Vec::new(),
        1 => vec![field(1, 1_000, "ns", Transform::Identity), field(2, 1_001, "type", Transform::Identity)],
        _ => vec![
            field(3, 1_000, "id_bucket", Transform::Bucket(4)),
            field(1, 1_001, "ns_trunc", Transform::Truncate(2)),
        ],
    };
    let spec = PartitionSpec { spec_id: 0, fields };
    let of = ManifestFile::inline("m");
    let all = Manifest::parse(file, &of, &spec, StatsOf::All);
    let some = Manifest::parse(file, &of, &spec, StatsOf::Fields(&[1]));
    let (Ok(all), Ok(some)) = (&all, &some) else {
        // Statistics that are not asked for may be broken.
        assert!(all.is_err());
        return;
    };
    assert_eq!(all.entries.len(), some.entries.len());
    assert!(all.live().count() <= all.entries.len() && all.memory_len_bytes() >= some.memory_len_bytes());
    let everything = KeyPredicate::default();
    let value = Literal::String("alpha.dev".into());
    let key = KeyPredicate { terms: vec![KeyTerm { field_id: 1, ty: PrimitiveType::String, value }] };
    for (entry, of_some) in all.entries.iter().zip(&some.entries) {
        assert!(of_some.file.stats_of(2).is_none());
        assert_eq!(everything.prune_file(&entry.file, &spec), Pruning::MightMatch);
        assert_eq!(key.prune_file(&entry.file, &spec), key.prune_file(&of_some.file, &spec));
        let _ = key.prune_equality_deletes(&entry.file);
    }
}
