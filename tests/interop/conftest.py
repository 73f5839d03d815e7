"""The tools of the tests: tables written by `write_table` into a folder, and served by `serve_lake`."""

import json
import os
import pathlib
import subprocess

import pytest

from lakes import Catalog, Folder

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUCKET = "firn-lake"


@pytest.fixture(scope="session")
def tools():
    """Paths of the examples of crates/lake, built if they are not.

    All examples, not only those: with the whole workspace's features cargo finds what the native tests have built.
    """
    command = ["cargo", "build", "-q", "--locked", "--examples", "--message-format=json"]
    built = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}


@pytest.fixture(scope="session")
def write_table(tools):
    """Writes NDJSON as a table into a folder; gives the metadata's locations, commit by commit."""

    def write(folder, table, ndjson, *options):
        command = [tools["write_table"], str(folder), table, *options]
        done = subprocess.run(command, input=ndjson, check=True, stdout=subprocess.PIPE)
        return done.stdout.decode().split()

    return write


@pytest.fixture(scope="session")
def serve_lake(tools):
    """Serves folders until the session ends; gives the catalog's URI."""
    servers = []

    def serve(folder, mount):
        command = [tools["serve_lake"], str(folder), BUCKET, "--mount", mount]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        servers.append(server)
        ready, origin = server.stdout.readline().split()
        assert ready == "ready"
        return origin + mount

    yield serve
    for server in servers:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.fixture(scope="session", params=["folder", "catalog"])
def make_lake(request, tmp_path_factory, write_table, serve_lake):
    """Makes a lake of one table, to be read out of its folder or through a catalog."""

    def make(table, ndjson, *options):
        folder = tmp_path_factory.mktemp("lake")
        if request.param == "folder":
            write_table(folder, table, ndjson, *options)
            return Folder(folder)
        write_table(folder, table, ndjson, "--root", f"s3://{BUCKET}", *options)
        return Catalog(serve_lake(folder, "/$.lake"))

    return make


@pytest.fixture(scope="session")
def live_lake():
    """The catalog of a running Firn."""
    origin = os.environ.get("FIRN_ORIGIN")
    if not origin:
        pytest.skip("FIRN_ORIGIN is not set: there is no running Firn to read from")
    return Catalog(origin.rstrip("/") + os.environ.get("FIRN_CATALOG_PATH", ""))
