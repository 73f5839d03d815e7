"""PyIceberg's side of the comparison: a lookup for every line on standard input, its answer as a line on standard output.

    python pyiceberg_client.py ORIGIN

A line is JSON, `{held, table, key}`: a state, the location of a table's metadata, the key's columns. `nothing` parses the
metadata anew; `metadata` keeps the table from the lookup before. What else PyIceberg keeps is its own affair.
Connections and the S3 client stay; a fresh process has neither.
"""

import hashlib
import json
import sys
import time

from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.expressions import And, EqualTo
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import clear_manifest_cache
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table

RIGHTS = ["version", "visibility", "owner_iss", "owner_org", "owner_sub", "deleted", "expires_at", "ts"]


class Lookups:
    def __init__(self, origin):
        self.io = PyArrowFileIO({"s3.endpoint": origin, "s3.region": "auto", "s3.anonymous": "true"})
        self.tables = {}

    def table(self, location, held):
        if held == "nothing":
            clear_manifest_cache()
            self.tables.pop(location, None)
        if location not in self.tables:
            metadata = FromInputFile.table_metadata(self.io.new_input(location))
            self.tables[location] = Table(("lake", "table"), metadata, location, self.io, NoopCatalog("none"))
        return self.tables[location]

    def find(self, location, key, held):
        is_key = And(*(EqualTo(name, value) for name, value in key.items()))
        scan = self.table(location, held).scan(row_filter=is_key, selected_fields=(*RIGHTS, "markdown"))
        rows = scan.to_arrow().to_pylist()
        return max(rows, key=lambda row: row["version"], default=None)


def main():
    lookups = Lookups(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.perf_counter()
        row = lookups.find(asked["table"], asked["key"], asked["held"])
        millis = (time.perf_counter() - began) * 1_000
        answer = {"millis": millis, "row": None}
        if row is not None:
            digest = hashlib.sha256(row["markdown"].encode()).hexdigest()
            rights = {name: row[name] for name in RIGHTS[1:5]}
            answer["row"] = {"version": str(row["version"]), "sha256": digest, **rights}
        print(json.dumps(answer), flush=True)


main()
