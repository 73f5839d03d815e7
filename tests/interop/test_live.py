"""PyIceberg, DuckDB and `inspect` read the tables of a running Firn in place.

FIRN_ORIGIN is its origin; FIRN_CATALOG_PATH is what lies between the origin and `/v1`, if anything does.
"""

import urllib.error
import urllib.request

import pytest

from checks import check_data_files, check_shape
from lakes import ENGINES, NAMESPACE
from rows import comparable

TABLES = ["artifacts_preview", "artifacts_build", "artifacts_bulk"]


@pytest.fixture(params=TABLES)
def table(request, live_lake):
    if request.param not in live_lake.tables():
        pytest.skip(f"nothing was written to {request.param} yet")
    return request.param


def test_catalog_lists_tables_of_the_streams_only(live_lake):
    assert live_lake.catalog.list_namespaces() == [(NAMESPACE,)]
    tables = live_lake.tables()
    assert tables and set(tables) <= set(TABLES)
    for name in tables:
        assert live_lake.catalog.table_exists((NAMESPACE, name))
    assert not live_lake.catalog.table_exists((NAMESPACE, "no_such_table"))


def test_engines_read_the_same_rows(live_lake, table):
    found = {
        engine: sorted(map(comparable, read(live_lake, table)), key=lambda row: (row["ns"], row["version"], row["id"]))
        for engine, read in ENGINES.items()
    }
    assert found["pyiceberg"] == found["duckdb"] == found["inspect"]
    snapshot = live_lake.pyiceberg(table).current_snapshot()
    if snapshot:
        assert len(found["duckdb"]) == int(snapshot.summary["total-records"])


def test_table_has_the_shape_of_the_contract(live_lake, table):
    check_shape(live_lake.pyiceberg(table))


def test_data_files_are_what_their_manifests_say(live_lake, table):
    check_data_files(live_lake.pyiceberg(table))


def test_catalog_refuses_writes(live_lake, table):
    request = urllib.request.Request(
        f"{live_lake.uri}/v1/namespaces/{NAMESPACE}/tables/{table}", method="DELETE"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    refused.value.close()
    assert refused.value.code in (405, 406)
