"""Writes the tables of the comparison that another engine would have written, with PyIceberg.

    python tables.py FOLDER NAMESPACES BATCHES ROWS

FOLDER becomes the bucket. All tables hold the same rows: BATCHES appends of NAMESPACES files of ROWS rows each,
partitioned by ns, sorted by type and id. Prints JSON: where their metadata lies, and some keys with what a lookup must find.

* `default`: as PyIceberg writes by default; no page index, statistics of every column.
* `indexed`: with a page index, small pages, and statistics of the key's columns alone.
* `manifests`: the data files of `indexed`, each in a manifest of its own.
"""

import hashlib
import json
import pathlib
import random
import sys

import pyarrow as pa
import pyiceberg.io.pyarrow as writing
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.transforms import IdentityTransform

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from foreign_tables import COLUMNS, KEY, BucketIO, Committer, schema_of

CONTENT_LEN_BYTES = (1_500, 4_500)
WITH_STATISTICS = ["ns", "type", "id", "version", "__ingest_ts"]
INGEST_TS = 1_780_000_000_000_000
TYPES = ["page", "post"]

# Pages as crates/lake writes them: 8 KiB of small columns; a page of content holds a few values. PyArrow knows one size
# for all columns, and looks at it after each batch of values.
INDEXED = {"write_page_index": True, "write_statistics": WITH_STATISTICS, "data_page_size": 8 * 1024,
           "write_batch_size": 4, "use_dictionary": ["ns", "type", "visibility", "owner_iss", "owner_org", "mode"]}
METRICS_OF_KEYS = {"write.metadata.metrics.default": "none",
                   **{f"write.metadata.metrics.column.{name}": "truncate(16)" for name in WITH_STATISTICS}}


def words(chance, len_bytes):
    """Text that a codec makes about a third of."""
    vocabulary = ["".join(chance.choices("abcdefghijklmnoprstuvw", k=chance.randint(2, 9))) for _ in range(3_000)]
    return " ".join(chance.choices(vocabulary, k=len_bytes // 6))


class Rows:
    """The rows of a batch, by position: namespace after namespace, type after type, id after id."""

    def __init__(self, namespaces, rows):
        self.namespaces, self.rows = namespaces, rows
        self.chance = random.Random(7)
        self.text = words(self.chance, 4_000_000)

    def batch(self, number, schema):
        places = [(ns, row) for ns in range(self.namespaces) for row in range(self.rows)]
        columns = {
            "ns": [namespace(ns) for ns, _ in places],
            "type": [TYPES[row * len(TYPES) // self.rows] for _, row in places],
            "id": [identifier(number, row) for _, row in places],
            "version": [INGEST_TS + number * 10_000_000 + place for place in range(len(places))],
            "visibility": ["public"] * len(places),
            "owner_iss": ["https://issuer.example"] * len(places),
            "owner_org": [f"org-{ns % 5}" for ns, _ in places],
            "owner_sub": [f"user-{(ns * 31 + row) % 97}" for ns, row in places],
            "deleted": [None] * len(places),
            "ts": [INGEST_TS + place for place in range(len(places))],
            "hash": [self.chance.randbytes(32).hex() for _ in places],
            "mode": ["bulk"] * len(places),
            "markdown": [self.content(identifier(number, row)) for _, row in places],
            "__ingest_ts": [INGEST_TS + number * 1_000_000] * len(places),
        }
        columns["size_bytes"] = [len(text) for text in columns["markdown"]]
        array = lambda field: pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(len(places), field.type)
        return pa.Table.from_arrays([array(field) for field in schema], schema=schema)

    def content(self, title):
        length = self.chance.randint(*CONTENT_LEN_BYTES)
        start = self.chance.randrange(len(self.text) - length)
        return f"# {title}\n\n{self.text[start:start + length]}"


def namespace(number):
    return f"team-{number:03}.example"


def identifier(batch, row):
    return f"guide/{batch:02}/{row:06}-how-it-is-done"


class OneManifestEach(_FastAppendFiles):
    """An append whose data files get a manifest each."""

    def _manifests(self):
        manifests = []
        for file in self._added_data_files:
            with self.new_manifest_writer(self._transaction.table_metadata.spec()) as writer:
                writer.add(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=self._snapshot_id, data_file=file))
            manifests.append(writer.to_manifest_file())
        return manifests


def new_table(committer, name, properties):
    schema = schema_of(COLUMNS, 1)
    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "ns"))
    order = SortOrder(*(SortField(source_id=idx, transform=IdentityTransform()) for idx in (2, 3)))
    return committer.create(name, schema, spec, order, properties)


def append_indexed(table, data):
    """Appends with PyArrow's options that PyIceberg has no properties for."""
    original = writing._get_parquet_writer_kwargs
    writing._get_parquet_writer_kwargs = lambda properties: original(properties) | INDEXED
    try:
        table.append(data)
    finally:
        writing._get_parquet_writer_kwargs = original


def keep_in_own_manifests(table, of):
    """Makes `table` of the data files of another, each in a manifest of its own."""
    files = [entry.data_file for manifest in of.current_snapshot().manifests(of.io)
             for entry in manifest.fetch_manifest_entry(of.io)]
    with table.transaction() as transaction:
        append = OneManifestEach(operation=Operation.APPEND, transaction=transaction, io=table.io)
        for file in files:
            append.append_data_file(file)
        append.commit()


def samples(data, rows_per_file, count):
    """Rows spread over a batch, as every client must find them; and others of the same file: one in other pages, one beside."""
    chance = random.Random(count)
    key_at = lambda place: {name: data[name][place].as_py() for name in KEY}
    for place in sorted(chance.sample(range(data.num_rows), count)):
        start = place - place % rows_per_file
        far = start + (place - start + rows_per_file // 2) % rows_per_file
        yield {"key": key_at(place), "far": key_at(far), "beside": key_at(place ^ 1),
               "version": str(data["version"][place].as_py()),
               "sha256": hashlib.sha256(data["markdown"][place].as_py().encode()).hexdigest()}


def main():
    folder, *numbers = sys.argv[1:]
    namespaces, batches, rows_per_file = map(int, numbers)
    BucketIO.folder = pathlib.Path(folder)
    committer = Committer()
    default = new_table(committer, "default", {})
    indexed = new_table(committer, "indexed", METRICS_OF_KEYS)
    schema = schema_to_pyarrow(default.schema(), include_field_ids=False)
    rows = Rows(namespaces, rows_per_file)
    found = []
    for number in range(batches):
        data = rows.batch(number, schema)
        default.append(data)
        append_indexed(indexed, data)
        found.extend(samples(data, rows_per_file, 3))
    manifests = new_table(committer, "manifests", METRICS_OF_KEYS)
    keep_in_own_manifests(manifests, indexed)
    tables = {"default": default, "indexed": indexed, "manifests": manifests}
    print(json.dumps({"tables": {name: table.metadata_location for name, table in tables.items()}, "rows": found}))


if __name__ == "__main__":
    main()
