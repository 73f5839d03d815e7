"""Prints key, version and hash of every row of every table of a running Firn as a line of JSON: python lake_rows.py ORIGIN"""

import json
import sys

from pyiceberg.catalog import load_catalog

COLUMNS = ("ns", "type", "id", "version", "hash")


def main(origin):
    catalog = load_catalog("firn", type="rest", uri=origin)
    for name in catalog.list_tables("firn"):
        rows = catalog.load_table(name).scan(selected_fields=COLUMNS).to_arrow()
        for row in rows.to_pylist():
            print(json.dumps(row))


main(*sys.argv[1:])
