"""Tables as other engines open them: out of a folder, or through a REST catalog (a test's own, or a live one)."""

import functools
import importlib
import json
import pathlib
import subprocess

import duckdb
from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable

NAMESPACE = "firn"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


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

    def inspect(self, table):
        """Arguments that name the table."""
        return ["--table", str(self.folder / "catalog" / NAMESPACE / f"{table}.json")]


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

    def inspect(self, table):
        loaded = self.pyiceberg(table)
        return ["--table", loaded.metadata_location, "--endpoint", loaded.io.properties["s3.endpoint"]]


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


def read_with_inspect(lake, table):
    """With Firn's own reader; instants are text."""
    command = [inspect_tool(), "scan", *lake.inspect(table)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.splitlines()]


@functools.cache
def inspect_tool():
    """Path of the tool, built if it is not; with all other tools, as `conftest.py` builds all examples."""
    command = ["cargo", "build", "-q", "--locked", "--bins", "--message-format=json"]
    built = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "inspect")


ENGINES = {"pyiceberg": read_with_pyiceberg, "duckdb": read_with_duckdb, "inspect": read_with_inspect}
