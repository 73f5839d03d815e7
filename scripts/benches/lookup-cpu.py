"""Writes the table that scripts/benches/lookup-cpu.mjs looks up in, with PyIceberg.

    python lookup-cpu.py FOLDER

FOLDER becomes the bucket. 200 files of 200 rows, in four appends (so four manifests of 50 files), partitioned by ns and
sorted by type and id, with a page index, small pages, and statistics of the key's columns alone. Prints JSON: where the
metadata lies, and for each append one key whose ns can be any of the namespaces, with another far from it in the file.
"""

import json
import pathlib
import random
import sys

import pyarrow as pa
import pyiceberg.io.pyarrow as writing
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))
from foreign_tables import COLUMNS, BucketIO, Committer, schema_of

NAMESPACES, APPENDS, ROWS = 50, 4, 200
CONTENT_LEN_BYTES = 3_000
NOW = 1_780_000_000_000_000
WITH_STATISTICS = ["ns", "type", "id", "version", "__ingest_ts"]

# Pages as crates/lake writes them: 8 KiB of small columns, a few values of content. PyArrow knows one size for all
# columns, and looks at it after each batch of values.
PAGES = {"write_page_index": True, "write_statistics": WITH_STATISTICS, "data_page_size": 8 * 1024,
         "write_batch_size": 4, "use_dictionary": ["ns", "type", "visibility", "owner_iss", "owner_org", "mode"]}
PROPERTIES = {"write.metadata.metrics.default": "none",
              **{f"write.metadata.metrics.column.{name}": "truncate(16)" for name in WITH_STATISTICS}}


def namespace(number):
    return f"team-{number:03}.example"


def key(append, row):
    return {"type": "page" if row < ROWS // 2 else "post", "id": f"guide/{append:02}/{row:06}-how-it-is-done"}


def rows_of(append, chance, text):
    for number in range(NAMESPACES):
        for row in range(ROWS):
            start = chance.randrange(len(text) - CONTENT_LEN_BYTES)
            version = NOW + (append * NAMESPACES + number) * ROWS + row
            yield {"ns": namespace(number), **key(append, row), "version": version, "visibility": "public",
                   "owner_iss": "https://issuer.example", "owner_org": "o1", "owner_sub": f"user-{row % 7}",
                   "deleted": False, "ts": NOW, "hash": f"{chance.getrandbits(256):064x}", "mode": "build",
                   "size_bytes": CONTENT_LEN_BYTES, "ingest_id": f"{chance.getrandbits(64):x}", "__ingest_ts": NOW,
                   "markdown": text[start:start + CONTENT_LEN_BYTES]}


def main(folder):
    BucketIO.folder = pathlib.Path(folder)
    chance = random.Random(7)
    words = ["".join(chance.choices("abcdefghijklmnoprstuvw", k=chance.randint(2, 9))) for _ in range(3_000)]
    text = " ".join(chance.choices(words, k=600_000))
    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "ns"))
    order = SortOrder(*(SortField(source_id=source, transform=IdentityTransform()) for source in (2, 3)))
    table = Committer().create("indexed", schema_of(COLUMNS, 1), spec, order, PROPERTIES)
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    # PyIceberg has no properties for these options of PyArrow's.
    original = writing._get_parquet_writer_kwargs
    writing._get_parquet_writer_kwargs = lambda properties: original(properties) | PAGES
    for append in range(APPENDS):
        table.append(pa.Table.from_pylist(list(rows_of(append, chance, text)), schema=schema))
    samples = [{"key": key(append, 17 + append), "far": key(append, 117 + append)} for append in range(APPENDS)]
    namespaces = [namespace(number) for number in range(NAMESPACES)]
    print(json.dumps({"metadata": table.metadata_location, "namespaces": namespaces, "samples": samples}))


main(*sys.argv[1:])
