//! Manifest lists: Avro container, schema and records. What was read takes about as much memory as it says, and a key
//! prunes no manifest that it cannot know.
//!
//! Input: the file.

use firn_iceberg::{
    manifest_list::ManifestList,
    partition::{PartitionField, PartitionSpec},
    prune::{KeyPredicate, KeyTerm, Pruning},
    schema::PrimitiveType,
    transform::Transform,
    value::Literal,
};

pub(crate) fn check(input: &[u8]) {
    let Ok(list) = ManifestList::parse(input) else { return };
    assert!(list.memory_len_bytes() >= list.manifests.len());
    let field = |name: &str, transform| PartitionField {
        source_id: Some(1),
        field_id: 1_000,
        name: name.to_owned(),
        transform,
    };
    let spec = PartitionSpec {
        spec_id: 0,
        fields: vec![
            field("identity", Transform::Identity),
            field("cut", Transform::Truncate(2)),
            field("void", Transform::Void),
        ],
    };
    let (everything, mut key) = (KeyPredicate::default(), KeyPredicate::default());
    key.terms.push(KeyTerm {
        field_id: 1,
        ty: PrimitiveType::String,
        value: Literal::String("alpha.dev".into()),
    });
    for manifest in &list.manifests {
        let is_empty = manifest.live_file_count == Some(0);
        assert_eq!(everything.prune_manifest(manifest, &spec) == Pruning::CannotMatch, is_empty);
        let pruned = key.prune_manifest(manifest, &spec);
        assert!(!manifest.partitions.is_empty() || is_empty || pruned == Pruning::MightMatch);
    }
}
