"""Writes tables as another engine would, out of the rows that engines.test.mjs made up.

    python foreign_tables.py ROWS FOLDER

ROWS is JSON, `{table: [batch, …]}`, a batch being a list of rows and an append of its own; instants are microseconds.
FOLDER becomes the bucket: a file's path below it is its key. Prints `{table: metadata location}`.
"""

import json
import pathlib
import sys
import uuid

import pyarrow as pa
from pyarrow.fs import LocalFileSystem
from pyiceberg.expressions import And, EqualTo
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO, schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.table.update import update_table_metadata
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import BooleanType, ListType, LongType, NestedField, StringType, TimestamptzType

BUCKET = "s3://firn-lake/"

# The columns of crates/types/src/schema.rs.
COLUMNS = {
    **dict.fromkeys(["ns", "type", "id"], StringType()),
    "version": LongType(),
    **dict.fromkeys(["visibility", "owner_iss", "owner_org", "owner_sub"], StringType()),
    "deleted": BooleanType(),
    **dict.fromkeys(["expires_at", "ts"], TimestamptzType()),
    "hash": StringType(),
    "size_bytes": LongType(),
    **dict.fromkeys(["mode", "ingest_id", "blob_digest"], StringType()),
    "blob_size_bytes": LongType(),
    **dict.fromkeys(["blob_content_type", "blob_key", "signature", "signature_key_id", "metadata"], StringType()),
    **dict.fromkeys(["markdown", "mdx", "html", "esm", "dts", "css"], StringType()),
    **dict.fromkeys(["mdast", "hast", "estree", "tsast", "frontmatter"], StringType()),
    **dict.fromkeys(["dependencies", "exports"], None),
    "__ingest_ts": TimestamptzType(),
}
KEY = ("ns", "type", "id")


class BucketIO(PyArrowFileIO):
    """Keeps the bucket in a folder."""

    folder = None

    def new_input(self, location):
        path = self.folder / location.removeprefix(BUCKET)
        return PyArrowFile(location=location, path=str(path), fs=LocalFileSystem())

    def new_output(self, location):
        (self.folder / location.removeprefix(BUCKET)).parent.mkdir(parents=True, exist_ok=True)
        return self.new_input(location)


class Committer:
    """The little of a catalog that a table needs in order to commit."""

    def __init__(self):
        self.io = BucketIO()

    def create(self, name, schema, spec, order, properties):
        metadata = new_table_metadata(schema, spec, order, f"{BUCKET}foreign/{name}", properties)
        return Table(("lake", name), metadata, self.store(metadata, 0), self.io, self)

    def store(self, metadata, number):
        location = f"{metadata.location}/metadata/{number:05}-{uuid.uuid4()}.metadata.json"
        ToOutputFile.table_metadata(metadata, self.io.new_output(location))
        return location

    def commit_table(self, table, requirements, updates):
        for requirement in requirements:
            requirement.validate(table.metadata)
        metadata = update_table_metadata(table.metadata, updates)
        location = self.store(metadata, len(table.metadata.metadata_log) + len(table.metadata.snapshots) + 1)
        return CommitTableResponse(metadata=metadata, **{"metadata-location": location})

    def supports_server_side_planning(self):
        return False

    def _delete_old_metadata(self, *_):
        pass


def schema_of(names, first_id):
    """Columns of these names, with ids from `first_id` on; lists get an id for their element too."""
    fields = []
    next_id = first_id
    for name in names:
        kind = COLUMNS[name]
        if kind is None:
            kind = ListType(element_id=next_id + 500, element=StringType(), element_required=False)
        fields.append(NestedField(next_id, name, kind, required=name in KEY))
        next_id += 1
    return Schema(*fields)


def arrow_of(table, rows, sort):
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    names = set(schema.names)
    data = pa.Table.from_pylist([{k: v for k, v in row.items() if k in names} for row in rows], schema=schema)
    return data.sort_by([(column, "ascending") for column in sort]) if sort else data


def append(table, batches, sort=()):
    for rows in batches:
        table.append(arrow_of(table, rows, sort))


def partitioned(committer, batches):
    """Partitioned by ns and type, sorted by id, in small row groups: what a maintained table looks like."""
    schema = schema_of(COLUMNS, 1)
    identity = lambda source, number, name: PartitionField(source, number, IdentityTransform(), name)
    spec = PartitionSpec(identity(1, 1000, "ns"), identity(2, 1001, "type"))
    order = SortOrder(SortField(source_id=3, transform=IdentityTransform()))
    properties = {"write.parquet.row-group-limit": "50", "write.parquet.page-row-limit": "20"}
    table = committer.create("partitioned", schema, spec, order, properties)
    append(table, batches, sort=KEY)
    return table


def flat(committer, batches):
    """Unpartitioned and unsorted, with other field ids, the columns the other way round, some missing, one renamed
    after the first append, one added before the last, snappy instead of zstd, and some rows deleted."""
    missing = ("__ingest_ts", "blob_digest", "signature", "owner_org", "css")
    names = [name for name in reversed(COLUMNS) if name not in missing]
    properties = {"write.parquet.compression-codec": "snappy"}
    table = committer.create("flat", schema_of(names, 100), PartitionSpec(), SortOrder(), properties)
    first, *middle, last = batches
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.rename_column("markdown", "md")
    append(table, [[{**row, "md": row.get("markdown")} for row in first]])
    with table.update_schema() as update:
        update.rename_column("md", "markdown")
    append(table, middle)
    with table.update_schema() as update:
        update.add_column("css", StringType())
    append(table, [last])
    for row in (row for batch in batches for row in batch if row["id"].startswith("erased/")):
        table.delete(And(EqualTo("ns", row["ns"]), EqualTo("id", row["id"])))
    return table


def main(rows_file, folder):
    BucketIO.folder = pathlib.Path(folder)
    batches = json.loads(pathlib.Path(rows_file).read_text())
    committer = Committer()
    made = {make.__name__: make(committer, batches[make.__name__]) for make in (partitioned, flat)}
    print(json.dumps({name: table.metadata_location for name, table in made.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
