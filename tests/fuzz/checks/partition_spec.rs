//! Partition specs, as table metadata holds them: fields are those of the text, and no transform fails for any value.
//!
//! Input: the JSON text of the fields.

use firn_iceberg::{
    manifest_list::ManifestFile,
    metadata::TableMetadata,
    prune::{KeyPredicate, Pruning},
    value::Literal,
};
use serde_json::Value as Json;

pub(crate) fn check(input: &[u8]) {
    let Ok(fields) = serde_json::from_slice::<Json>(input) else { return };
    let text = format!(
        r#"{{"format-version":2,"table-uuid":"u","location":"l","last-sequence-number":0,"last-updated-ms":0,
        "last-column-id":2,"current-schema-id":0,"schemas":[{{"type":"struct","schema-id":0,"fields":[
        {{"id":1,"name":"a","required":false,"type":"string"}},{{"id":2,"name":"b","required":false,"type":"long"}}]}}],
        "default-spec-id":0,"partition-specs":[{{"spec-id":0,"fields":{fields}}}],"last-partition-id":1000,
        "default-sort-order-id":0,"sort-orders":[{{"order-id":0,"fields":[]}}]}}"#
    );
    let Ok(metadata) = TableMetadata::parse(text.as_bytes()) else { return };
    let spec = metadata.partition_spec(0).expect("it was read");
    assert_eq!(Some(spec.fields.len()), fields.as_array().map(Vec::len));
    for (field, json) in spec.fields.iter().zip(fields.as_array().into_iter().flatten()) {
        assert_eq!(Some(field.name.as_str()), json["name"].as_str());
        for literal in [
            Literal::Int(i32::MIN),
            Literal::Long(i64::MAX),
            Literal::Decimal { unscaled: i128::MIN, scale: 38 },
            Literal::Date(i32::MIN),
            Literal::Time(-1),
            Literal::Timestamp(i64::MIN),
            Literal::TimestamptzNs(i64::MAX),
            Literal::String("雪 snow".into()),
            Literal::Uuid([7; 16]),
            Literal::Binary(vec![0xff; 5]),
        ] {
            let _ = field.transform.apply(&literal);
        }
    }
    let everything = KeyPredicate::default();
    assert_eq!(everything.prune_manifest(&ManifestFile::inline("m"), spec), Pruning::MightMatch);
}
