"""Tables as other engines open them: out of a folder, or through a REST catalog (a test's own, or a live one)."""

import importlib
import json
import pathlib

import duckdb
from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable

NAMESPACE = "firn"


class Folder:
    """A folder that is the bucket: locations are `file://…`."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def metadata_location(self, table):
        pointer = (self.folder / "catalog" / NAMESPACE / f"{table}.json").read_text()
        return json.loads(pointer)["metadata-location"]

    def pyiceberg(self, table):
        return StaticTable.from_metadata(self.metadata_location(table))

    def duckdb(self, table):
        """A connection, and what stands for the table in its SQL."""
        return open_duckdb(), f"iceberg_scan('{self.metadata_location(table)}')"


class Catalog:
    """A REST catalog; how its objects are read is in its own answers."""

    def __init__(self, uri):
        self.uri = uri.rstrip("/")
        self.catalog = load_catalog("lake", type="rest", uri=self.uri)

    def tables(self):
        return [name for _, name in self.catalog.list_tables(NAMESPACE)]

    def metadata_location(self, table):
        return self.pyiceberg(table).metadata_location

    def pyiceberg(self, table):
        return self.catalog.load_table((NAMESPACE, table))

    def duckdb(self, table):
        connection = open_duckdb()
        connection.execute(f"ATTACH 'lake' AS lake (TYPE iceberg, ENDPOINT '{self.uri}', AUTHORIZATION_TYPE 'none')")
        return connection, f"lake.{NAMESPACE}.{table}"


def open_duckdb():
    """DuckDB with the extensions that its wheels brought; it may download nothing."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    # iceberg needs the other two.
    for name in ("avro", "httpfs", "iceberg"):
        package = importlib.import_module(f"duckdb_extension_{name}")
        (extension,) = pathlib.Path(package.__file__).parent.rglob(f"{name}.duckdb_extension")
        connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def read_with_pyiceberg(lake, table):
    return lake.pyiceberg(table).scan().to_arrow().to_pylist()


def read_with_duckdb(lake, table):
    connection, name = lake.duckdb(table)
    with connection:
        # By way of Arrow: DuckDB's own rows would want pytz for instants.
        return connection.execute(f"SELECT * FROM {name}").to_arrow_table().to_pylist()


ENGINES = {"pyiceberg": read_with_pyiceberg, "duckdb": read_with_duckdb}
