//! Tables by hand: every kind of delete, evolved schemas and specs, and the rows that a reader should see.

pub(crate) mod avro;
pub(crate) mod parquet;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use firn_iceberg::{metadata::TableMetadata, schema::PrimitiveType, transform::Transform, value::Literal};
use roaring::RoaringTreemap;
use serde_json::{Value as Json, json};

use self::{
    avro::{
        Codec, MANIFEST_ENTRY, MANIFEST_FILE, array, bytes, container, long, optional, partition_value, v1,
    },
    parquet::{FileColumn, Ids, Index, Layout},
};
use crate::lake::Lake;

/// A row by field ids; a column that is not there is null.
pub(crate) type Row = BTreeMap<i32, Literal>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) ty: PrimitiveType,
    pub(crate) initial_default: Option<Literal>,
}

/// A partition spec: source column and transform of each field.
pub(crate) type Spec = Vec<(i32, &'static str)>;

#[derive(Clone, Debug)]
struct DataFile {
    location: String,
    len_bytes: usize,
    spec_id: usize,
    partition: Vec<Option<Literal>>,
    sequence_number: i64,
    /// As written: a column that the file lacks is not there.
    rows: Vec<Row>,
    columns: Vec<Column>,
    deleted: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
enum DeleteKind {
    Positions { referenced: Option<String>, paths: (String, String) },
    Vector { referenced: String, offset: usize, len_bytes: usize },
    Equalities { ids: Vec<i32> },
}

#[derive(Clone, Debug)]
struct DeleteFile {
    location: String,
    len_bytes: usize,
    spec_id: usize,
    partition: Vec<Option<Literal>>,
    sequence_number: i64,
    record_count: usize,
    kind: DeleteKind,
}

/// Files that share a manifest: sequence number, spec, and content as manifest lists number it.
type Group = (i64, usize, i64);

/// Partition of a file, and its entry after status and sequence numbers.
type Entries = Vec<(Vec<Option<Literal>>, Vec<u8>)>;

/// A table under construction.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) format_version: u8,
    pub(crate) codec: Codec,
    pub(crate) layout: Layout,
    /// What stands before every object key to make it a location.
    pub(crate) prefix: String,
    schemas: Vec<Vec<Column>>,
    specs: Vec<Spec>,
    sequence_number: i64,
    data: Vec<DataFile>,
    deletes: Vec<DeleteFile>,
    lake: Lake,
    next_file: usize,
}

/// Where a table is, unless a test says otherwise.
const LAKE: &str = "s3://lake/";

/// Length of a truncated bound, in characters.
const BOUND_LEN: usize = 4;

impl Table {
    pub(crate) fn new(format_version: u8, columns: Vec<Column>, spec: Spec) -> Self {
        Self {
            format_version,
            codec: Codec::Deflate,
            layout: Layout { page_row_count: 3, group_row_count: 10, index: Index::Page, ids: Ids::Written },
            prefix: LAKE.to_owned(),
            schemas: vec![columns],
            specs: vec![spec],
            sequence_number: 0,
            data: Vec::new(),
            deletes: Vec::new(),
            lake: Lake::default(),
            next_file: 0,
        }
    }

    pub(crate) fn schema(&self) -> &[Column] {
        self.schemas.last().unwrap()
    }

    /// Makes a new current schema.
    pub(crate) fn evolve(&mut self, change: impl FnOnce(&mut Vec<Column>)) {
        let mut columns = self.schema().to_vec();
        change(&mut columns);
        self.schemas.push(columns);
    }

    /// Makes a new current spec.
    pub(crate) fn repartition(&mut self, spec: Spec) {
        self.specs.push(spec);
    }

    /// The snapshot of what was done before ends, another begins.
    pub(crate) fn commit(&mut self) {
        // v1 knows none.
        self.sequence_number += i64::from(self.format_version > 1);
    }

    fn store(&mut self, kind: &str, extension: &str, object: bytes::Bytes) -> (String, usize) {
        self.next_file += 1;
        let name = format!("{kind}-{:05}.{extension}", self.next_file);
        let len_bytes = object.len();
        self.lake.objects.insert(format!("generated/data/{name}"), object);
        (format!("{}generated/data/{name}", self.prefix), len_bytes)
    }

    fn partition_of(&self, spec_id: usize, row: &Row) -> Vec<Option<Literal>> {
        let of = |(source, transform): &(i32, &str)| {
            row.get(source).and_then(|v| Transform::parse(transform).apply(v))
        };
        self.specs[spec_id].iter().map(of).collect()
    }

    /// Adds rows: a file for each partition.
    pub(crate) fn append(&mut self, rows: &[Row]) {
        let spec_id = self.specs.len() - 1;
        let mut partitions: Vec<(Vec<Option<Literal>>, Vec<Row>)> = Vec::new();
        for row in rows {
            let partition = self.partition_of(spec_id, row);
            match partitions.iter_mut().find(|(of, _)| *of == partition) {
                Some((_, rows)) => rows.push(row.clone()),
                None => partitions.push((partition, vec![row.clone()])),
            }
        }
        for (partition, rows) in partitions {
            let columns = self.schema().to_vec();
            let object = write_rows(&columns, &rows, self.layout);
            let (location, len_bytes) = self.store("rows", "parquet", object);
            let (sequence_number, deleted) = (self.sequence_number, BTreeSet::new());
            self.data.push(DataFile {
                location,
                len_bytes,
                spec_id,
                partition,
                sequence_number,
                rows,
                columns,
                deleted,
            });
        }
    }

    /// Takes a data file out of the table.
    #[allow(dead_code, reason = "for the follower's tests, which share this")]
    pub(crate) fn remove(&mut self, data_idx: usize) {
        self.data.remove(data_idx);
    }

    /// Key of a data file, without the bucket.
    #[allow(dead_code, reason = "for the follower's tests, which share this")]
    pub(crate) fn data_key(&self, data_idx: usize) -> String {
        self.data[data_idx].location.strip_prefix("s3://lake/").unwrap().to_owned()
    }

    pub(crate) fn data_count(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn row_count(&self, data_idx: usize) -> usize {
        self.data[data_idx].rows.len()
    }

    /// Deletes rows of one data file by a position delete file.
    pub(crate) fn delete_positions(
        &mut self,
        data_idx: usize,
        positions: &BTreeSet<u64>,
        is_referenced: bool,
    ) {
        let data = self.data[data_idx].clone();
        let paths = vec![Some(Literal::String(data.location.clone())); positions.len()];
        let positions_column = positions.iter().map(|p| Some(Literal::Long(*p as i64))).collect();
        let columns = [
            FileColumn {
                field_id: 2_147_483_546,
                name: "file_path".into(),
                ty: PrimitiveType::String,
                values: paths,
            },
            FileColumn {
                field_id: 2_147_483_545,
                name: "pos".into(),
                ty: PrimitiveType::Long,
                values: positions_column,
            },
        ];
        let object = parquet::write(&columns, Layout { ids: Ids::Written, ..self.layout });
        let (location, len_bytes) = self.store("positions", "parquet", object);
        let path = data.location.clone();
        let kind = DeleteKind::Positions {
            referenced: is_referenced.then(|| path.clone()),
            paths: (path.clone(), path),
        };
        let (spec_id, partition, sequence_number) = (data.spec_id, data.partition, self.sequence_number);
        let record_count = positions.len();
        self.deletes.push(DeleteFile {
            location,
            len_bytes,
            spec_id,
            partition,
            sequence_number,
            record_count,
            kind,
        });
        self.data[data_idx].deleted.extend(positions);
    }

    /// Deletes rows of one data file by a deletion vector, which takes over what was deleted of it before.
    pub(crate) fn delete_by_vector(&mut self, data_idx: usize, positions: &BTreeSet<u64>) {
        self.data[data_idx].deleted.extend(positions);
        let data = self.data[data_idx].clone();
        let bitmaps: RoaringTreemap = data.deleted.iter().copied().collect();
        let mut checked = vec![0xd1, 0xd3, 0x39, 0x64];
        bitmaps.serialize_into(&mut checked).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(&checked);
        let blob =
            [&(checked.len() as u32).to_be_bytes(), checked.as_slice(), &crc.sum().to_be_bytes()].concat();
        let offset = 4;
        let footer = puffin_footer(&data.location, offset, blob.len(), data.deleted.len());
        let file = [b"PFA1".as_slice(), &blob, &footer].concat();
        let (location, len_bytes) = self.store("vectors", "puffin", file.into());
        let referenced = data.location.clone();
        self.deletes
            .retain(|d| !matches!(&d.kind, DeleteKind::Vector { referenced: r, .. } if *r == referenced));
        let kind = DeleteKind::Vector { referenced, offset, len_bytes: blob.len() };
        let (spec_id, partition, sequence_number) = (data.spec_id, data.partition, self.sequence_number);
        let record_count = data.deleted.len();
        self.deletes.push(DeleteFile {
            location,
            len_bytes,
            spec_id,
            partition,
            sequence_number,
            record_count,
            kind,
        });
    }

    /// Deletes the rows that equal one of `values` in these columns: of the partition of `like`, or of all where the
    /// current spec has no fields.
    pub(crate) fn delete_equal(&mut self, ids: &[i32], values: &[Row], like: &Row) {
        let spec_id = self.specs.len() - 1;
        let partition = self.partition_of(spec_id, like);
        let columns: Vec<Column> = ids.iter().map(|id| self.any_column(*id)).collect();
        let object = write_rows(&columns, values, self.layout);
        let (location, len_bytes) = self.store("equal", "parquet", object);
        let sequence_number = self.sequence_number;
        let is_global = self.specs[spec_id].is_empty();
        let defaults: Vec<Column> = columns;
        for data in &mut self.data {
            let applies = data.sequence_number < sequence_number
                && (is_global
                    || (data.spec_id == spec_id && widened(&data.partition) == widened(&partition)));
            if !applies {
                continue;
            }
            for (position, row) in data.rows.iter().enumerate() {
                let stored =
                    project(row, &data.columns, &data.partition, &self.specs[data.spec_id], &defaults);
                if values.iter().any(|v| ids.iter().all(|id| stored.get(id) == v.get(id))) {
                    data.deleted.insert(position as u64);
                }
            }
        }
        let kind = DeleteKind::Equalities { ids: ids.to_vec() };
        let record_count = values.len();
        self.deletes.push(DeleteFile {
            location,
            len_bytes,
            spec_id,
            partition,
            sequence_number,
            record_count,
            kind,
        });
    }

    /// A column of the newest schema that has it.
    fn any_column(&self, id: i32) -> Column {
        self.schemas.iter().rev().flatten().find(|c| c.id == id).unwrap().clone()
    }

    /// Every live row under the current schema: its rank among rows of a key, and its values.
    pub(crate) fn live_rows(&self) -> Vec<((i64, String, u64), Row)> {
        let mut live = Vec::new();
        for data in &self.data {
            for (position, row) in data.rows.iter().enumerate() {
                if !data.deleted.contains(&(position as u64)) {
                    let spec = &self.specs[data.spec_id];
                    let row = project(row, &data.columns, &data.partition, spec, self.schema());
                    let key = data.location.strip_prefix(self.prefix.as_str()).unwrap().to_owned();
                    live.push(((data.sequence_number, key, position as u64), row));
                }
            }
        }
        live
    }

    /// Writes manifests, manifest list and metadata. Every second manifest repeats its sequence numbers, the others
    /// leave them to be inherited.
    pub(crate) fn finish(mut self) -> (Lake, Arc<TableMetadata>) {
        let mut groups: BTreeMap<Group, Entries> = BTreeMap::new();
        for data in &self.data {
            let group = groups.entry((data.sequence_number, data.spec_id, 0)).or_default();
            group.push((data.partition.clone(), self.data_entry(data)));
        }
        for delete in &self.deletes {
            let group = groups.entry((delete.sequence_number, delete.spec_id, 1)).or_default();
            group.push((delete.partition.clone(), delete_entry(delete)));
        }
        let is_v1 = self.format_version == 1;
        let mut manifests = Vec::new();
        for (idx, ((sequence_number, spec_id, content), entries)) in groups.into_iter().enumerate() {
            let (partitions, entries): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
            let explicit = (idx % 2 == 0).then(|| long(sequence_number));
            let count = entries.len() as i64;
            let (status, added, existing) = if explicit.is_some() { (0, 0, count) } else { (1, count, 0) };
            let mut head = [long(status), optional(Some(long(1)))].concat();
            if !is_v1 {
                head.extend([optional(explicit.clone()), optional(explicit)].concat());
            }
            let entries: Vec<Vec<u8>> = entries.into_iter().map(|e| [head.clone(), e].concat()).collect();
            let file = self.manifest(spec_id, content, &entries);
            let name = format!("generated/metadata/m{idx}.avro");
            let location = bytes(format!("{}{name}", self.prefix).as_bytes());
            let mut of = [location, long(file.len() as i64), long(spec_id as i64)].concat();
            if !is_v1 {
                of.extend([content, sequence_number, sequence_number].map(long).concat());
            }
            of.extend([1, added, existing, 0, 0, 0, 0].map(long).concat());
            of.extend(optional(Some(summaries(&partitions))));
            manifests.push(of);
            self.lake.objects.insert(name, file.into());
        }
        let version = self.format_version.to_string();
        let schema = if is_v1 { v1(MANIFEST_FILE) } else { MANIFEST_FILE.to_owned() };
        let list = container(&schema, &[("format-version", &version)], self.codec, &manifests);
        self.lake.objects.insert("generated/metadata/list.avro".into(), list.into());
        let text = self.metadata_json().to_string();
        self.lake.objects.insert("generated/metadata/v1.metadata.json".into(), text.clone().into());
        (self.lake, Arc::new(TableMetadata::parse(text.as_bytes()).unwrap()))
    }

    fn manifest(&self, spec_id: usize, content: i64, entries: &[Vec<u8>]) -> Vec<u8> {
        let mut schema = MANIFEST_ENTRY.replace("PARTITION", &self.partition_fields(spec_id));
        if self.format_version == 1 {
            schema = v1(&schema);
        }
        let (version, spec_text) = (self.format_version.to_string(), spec_id.to_string());
        let schema_json = self.schema_json(self.schemas.len() - 1).to_string();
        let spec_json = self.spec_json(spec_id)["fields"].to_string();
        let header = [
            ("format-version", version.as_str()),
            ("content", if content == 1 { "deletes" } else { "data" }),
            ("schema", &schema_json),
            ("partition-spec", &spec_json),
            ("partition-spec-id", &spec_text),
        ];
        container(&schema, &header, self.codec, entries)
    }

    fn data_entry(&self, data: &DataFile) -> Vec<u8> {
        let mut counts = Vec::new();
        let mut nulls = Vec::new();
        let mut bounds = (Vec::new(), Vec::new());
        for column in &data.columns {
            let values: Vec<&Literal> = data.rows.iter().filter_map(|row| row.get(&column.id)).collect();
            let id = || long(column.id.into());
            counts.push([id(), long(data.rows.len() as i64)].concat());
            nulls.push([id(), long((data.rows.len() - values.len()) as i64)].concat());
            let ordered = |a: &&&Literal, b: &&&Literal| a.compare(b).unwrap();
            if let (Some(min), Some(max)) = (values.iter().min_by(ordered), values.iter().max_by(ordered)) {
                let (lower, upper) = truncated_bounds(min, max);
                bounds.0.push([id(), bytes(&lower)].concat());
                bounds.1.extend(upper.map(|upper| [id(), bytes(&upper)].concat()));
            }
        }
        let stats = [counts, nulls, bounds.0, bounds.1].map(|pairs| optional(Some(array(&pairs)))).concat();
        let mut entry = if self.format_version == 1 { Vec::new() } else { long(0) };
        entry.extend(
            [
                bytes(data.location.as_bytes()),
                bytes(b"PARQUET"),
                partition(&data.partition),
                long(data.rows.len() as i64),
                long(data.len_bytes as i64),
                stats,
            ]
            .concat(),
        );
        if self.format_version == 1 {
            entry.extend(optional(Some(long(0))));
        } else {
            let none = || optional(None);
            entry.extend([none(), optional(Some(long(0))), none(), none(), none()].concat());
        }
        entry
    }

    /// Avro fields of a spec's partition.
    fn partition_fields(&self, spec_id: usize) -> String {
        let fields = self.specs[spec_id].iter().enumerate().map(|(idx, (source, transform))| {
            let ty = match (Transform::parse(transform), self.any_column(*source).ty) {
                (Transform::Identity | Transform::Truncate(_), PrimitiveType::String) => "string",
                (Transform::Identity | Transform::Truncate(_), PrimitiveType::Long) => "long",
                _ => "int",
            };
            let (name, id) = (partition_name(spec_id, idx), partition_id(spec_id, idx));
            format!(r#"{{"name": "{name}", "type": ["null", "{ty}"], "field-id": {id}}}"#)
        });
        fields.collect::<Vec<_>>().join(", ")
    }

    fn schema_json(&self, idx: usize) -> Json {
        let field = |c: &Column| {
            let ty = match c.ty {
                PrimitiveType::Int => "int",
                PrimitiveType::Long => "long",
                _ => "string",
            };
            let mut field = json!({"id": c.id, "name": c.name, "required": false, "type": ty});
            if let Some(default) = &c.initial_default {
                field["initial-default"] = literal_json(default);
                field["write-default"] = literal_json(default);
            }
            field
        };
        let fields: Vec<Json> = self.schemas[idx].iter().map(field).collect();
        json!({"type": "struct", "schema-id": idx, "fields": fields})
    }

    fn spec_json(&self, spec_id: usize) -> Json {
        let field = |(idx, (source, transform)): (usize, &(i32, &str))| {
            json!({"source-id": source, "field-id": partition_id(spec_id, idx), "transform": transform,
                "name": partition_name(spec_id, idx)})
        };
        let fields: Vec<Json> = self.specs[spec_id].iter().enumerate().map(field).collect();
        json!({"spec-id": spec_id, "fields": fields})
    }

    fn metadata_json(&self) -> Json {
        let last_column_id = self.schemas.iter().flatten().map(|c| c.id).max();
        let mut metadata = json!({
            "format-version": self.format_version, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
            "location": format!("{}generated", self.prefix), "last-sequence-number": self.sequence_number, "last-updated-ms": 1,
            "last-column-id": last_column_id, "current-schema-id": self.schemas.len() - 1,
            "schemas": (0..self.schemas.len()).map(|idx| self.schema_json(idx)).collect::<Vec<_>>(),
            "partition-specs": (0..self.specs.len()).map(|id| self.spec_json(id)).collect::<Vec<_>>(),
            "default-spec-id": self.specs.len() - 1, "last-partition-id": 1000 + 10 * self.specs.len(),
            "sort-orders": [{"order-id": 0, "fields": []}], "default-sort-order-id": 0,
            "properties": {}, "current-snapshot-id": 1, "refs": {"main": {"snapshot-id": 1, "type": "branch"}},
            "snapshots": [{"snapshot-id": 1, "sequence-number": self.sequence_number, "timestamp-ms": 1,
                "schema-id": self.schemas.len() - 1, "summary": {"operation": "append"},
                "manifest-list": format!("{}generated/metadata/list.avro", self.prefix)}],
        });
        if self.format_version == 1 {
            metadata["snapshots"][0].as_object_mut().unwrap().remove("sequence-number");
            metadata["schema"] = metadata["schemas"][self.schemas.len() - 1].clone();
        }
        if self.format_version >= 3 {
            metadata["next-row-id"] = json!(0);
            metadata["snapshots"][0]["first-row-id"] = json!(0);
            metadata["snapshots"][0]["added-rows"] = json!(0);
        }
        if self.layout.ids == Ids::LeftOut {
            let names = |id: i32| -> BTreeSet<&str> {
                self.schemas.iter().flatten().filter(|c| c.id == id).map(|c| c.name.as_str()).collect()
            };
            let ids: BTreeSet<i32> = self.schemas.iter().flatten().map(|c| c.id).collect();
            let mapping: Vec<Json> =
                ids.iter().map(|id| json!({"field-id": id, "names": names(*id)})).collect();
            metadata["properties"]["schema.name-mapping.default"] = json!(Json::from(mapping).to_string());
        }
        metadata
    }
}

fn delete_entry(delete: &DeleteFile) -> Vec<u8> {
    let none = optional(None);
    let path_bounds =
        |path: &str| optional(Some(array(&[[long(2_147_483_546), bytes(path.as_bytes())].concat()])));
    let (content, format, bounds, ids, tail) = match &delete.kind {
        DeleteKind::Positions { referenced, paths } => {
            let bounds = [path_bounds(&paths.0), path_bounds(&paths.1)].concat();
            let referenced = optional(referenced.as_ref().map(|r| bytes(r.as_bytes())));
            (1, "PARQUET", bounds, none.clone(), [referenced, none.clone(), none.clone()].concat())
        }
        DeleteKind::Vector { referenced, offset, len_bytes } => {
            let place = [*offset, *len_bytes].map(|n| optional(Some(long(n as i64)))).concat();
            let tail = [optional(Some(bytes(referenced.as_bytes()))), place].concat();
            (1, "PUFFIN", [none.clone(), none.clone()].concat(), none.clone(), tail)
        }
        DeleteKind::Equalities { ids } => {
            let ids: Vec<Vec<u8>> = ids.iter().map(|id| long((*id).into())).collect();
            let tail = [none.clone(), none.clone(), none.clone()].concat();
            (2, "PARQUET", [none.clone(), none.clone()].concat(), optional(Some(array(&ids))), tail)
        }
    };
    [
        long(content),
        bytes(delete.location.as_bytes()),
        bytes(format.as_bytes()),
        partition(&delete.partition),
        long(delete.record_count as i64),
        long(delete.len_bytes as i64),
        none.clone(),
        none.clone(),
        bounds,
        ids,
        none,
        tail,
    ]
    .concat()
}

fn literal_json(literal: &Literal) -> Json {
    match literal {
        Literal::Int(v) => json!(v),
        Literal::Long(v) => json!(v),
        Literal::String(s) => json!(s),
        other => panic!("{other:?}"),
    }
}

fn partition_name(spec_id: usize, idx: usize) -> String {
    format!("p{spec_id}_{idx}")
}

fn partition_id(spec_id: usize, idx: usize) -> usize {
    1000 + 10 * spec_id + idx
}

fn partition(values: &[Option<Literal>]) -> Vec<u8> {
    values.iter().map(|value| partition_value(value.as_ref())).collect::<Vec<_>>().concat()
}

fn widen(literal: &Literal) -> Literal {
    match literal {
        Literal::Int(v) => Literal::Long((*v).into()),
        other => other.clone(),
    }
}

/// A partition whose column was promoted since keeps its values.
fn widened(partition: &[Option<Literal>]) -> Vec<Option<Literal>> {
    partition.iter().map(|value| value.as_ref().map(widen)).collect()
}

fn summaries(partitions: &[Vec<Option<Literal>>]) -> Vec<u8> {
    let field_count = partitions.first().map_or(0, Vec::len);
    let summary = |idx: usize| {
        let values: Vec<&Literal> = partitions.iter().filter_map(|p| p[idx].as_ref()).collect();
        // Files from before and after a promotion share a manifest.
        let ordered = |a: &&&Literal, b: &&&Literal| widen(a).compare(&widen(b)).unwrap();
        let bound = |value: Option<&&Literal>| optional(value.map(|v| bytes(&v.encode())));
        let contains_null = u8::from(values.len() < partitions.len());
        let (min, max) = (values.iter().min_by(ordered), values.iter().max_by(ordered));
        [vec![contains_null], optional(Some(vec![0])), bound(min), bound(max)].concat()
    };
    array(&(0..field_count).map(summary).collect::<Vec<_>>())
}

/// Bounds as writers cut them: text after some characters, the upper one raised; left out where it cannot be raised.
fn truncated_bounds(min: &Literal, max: &Literal) -> (Vec<u8>, Option<Vec<u8>>) {
    let (Literal::String(min), Literal::String(max)) = (min, max) else {
        return (min.encode(), Some(max.encode()));
    };
    let lower: String = min.chars().take(BOUND_LEN).collect();
    if max.chars().count() <= BOUND_LEN {
        return (lower.into_bytes(), Some(max.clone().into_bytes()));
    }
    let mut upper: Vec<char> = max.chars().take(BOUND_LEN).collect();
    let raised = upper.pop().and_then(|last| char::from_u32(u32::from(last) + 1));
    upper.extend(raised);
    let upper: String = upper.into_iter().collect();
    (lower.into_bytes(), raised.map(|_| upper.into_bytes()))
}

fn write_rows(columns: &[Column], rows: &[Row], layout: Layout) -> bytes::Bytes {
    let column = |c: &Column| FileColumn {
        field_id: c.id,
        name: c.name.clone(),
        ty: c.ty,
        values: rows.iter().map(|row| row.get(&c.id).cloned()).collect(),
    };
    parquet::write(&columns.iter().map(column).collect::<Vec<_>>(), layout)
}

/// A row of a file under other columns.
fn project(row: &Row, of: &[Column], partition: &[Option<Literal>], spec: &Spec, onto: &[Column]) -> Row {
    let value = |column: &Column| {
        if of.iter().any(|c| c.id == column.id) {
            return row.get(&column.id).cloned().and_then(|v| v.promote(column.ty));
        }
        let identity = spec.iter().zip(partition).find(|((id, t), _)| *id == column.id && *t == "identity");
        identity.map_or_else(|| column.initial_default.clone(), |(_, v)| v.clone()?.promote(column.ty))
    };
    onto.iter().filter_map(|column| Some((column.id, value(column)?))).collect()
}

fn puffin_footer(referenced: &str, offset: usize, len_bytes: usize, cardinality: usize) -> Vec<u8> {
    let blob = json!({"type": "deletion-vector-v1", "fields": [2_147_483_645_i64], "snapshot-id": -1,
        "sequence-number": -1, "offset": offset, "length": len_bytes,
        "properties": {"referenced-data-file": referenced, "cardinality": cardinality.to_string()}});
    let payload = json!({"blobs": [blob]}).to_string().into_bytes();
    let len = (payload.len() as u32).to_le_bytes();
    [b"PFA1".as_slice(), &payload, &len, &[0; 4], b"PFA1"].concat()
}
