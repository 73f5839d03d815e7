"""PyIceberg, DuckDB and `inspect` read what crates/lake writes, out of a folder and through its catalog."""

import datetime

import pytest

from checks import check_data_files, check_shape
from lakes import ENGINES
from rows import comparable, every_kind_of_row, expected, micros, ndjson

TABLE = "artifacts_build"
START = datetime.datetime(2026, 1, 31, 23, 59, 58, 123456, tzinfo=datetime.timezone.utc)
COMMITS = 7
ROWS = every_kind_of_row()
PER_COMMIT = -(-len(ROWS) // COMMITS)


@pytest.fixture(scope="module")
def lake(make_lake):
    """The rows in several commits, a second apart and over a midnight; one of them merges manifests."""
    return make_lake(TABLE, ndjson(ROWS), "--commits", str(COMMITS), "--ingest-ts", START.isoformat())


def ingest_ts(row_idx):
    return micros(START) + row_idx // PER_COMMIT * 1_000_000


@pytest.mark.parametrize("engine", ENGINES)
def test_every_value_of_every_row_is_read(lake, engine):
    found = {row["version"]: comparable(row) for row in ENGINES[engine](lake, TABLE)}
    assert len(found) == len(ROWS)
    for row_idx, row in enumerate(ROWS):
        assert found[row["version"]] == expected(row, ingest_ts(row_idx))


def test_table_has_the_shape_of_the_contract(lake):
    check_shape(lake.pyiceberg(TABLE))


def test_data_files_are_what_their_manifests_say(lake):
    assert check_data_files(lake.pyiceberg(TABLE)) == COMMITS


def test_rows_lie_in_the_partition_of_their_day(lake):
    table = lake.pyiceberg(TABLE)
    partitions = {row["partition"]["__ingest_ts_day"]: row for row in table.inspect.partitions().to_pylist()}
    assert set(partitions) == {datetime.date(2026, 1, 31), datetime.date(2026, 2, 1)}
    assert partitions[datetime.date(2026, 1, 31)]["record_count"] == 2 * PER_COMMIT
    assert partitions[datetime.date(2026, 1, 31)]["file_count"] == 2


def test_day_and_key_prune_files(lake):
    table = lake.pyiceberg(TABLE)

    def planned(condition):
        return len(list(table.scan(row_filter=condition).plan_files()))

    assert planned("__ingest_ts < '2026-02-01T00:00:00+00:00'") == 2
    # Its own file, and the last one, whose extremes lie around every version.
    assert planned("version = 1") == 2
    assert planned("ns = '~'") == 0
    connection, name = lake.duckdb(TABLE)
    with connection:
        plan = connection.execute(f"EXPLAIN ANALYZE SELECT html FROM {name} WHERE version = 1").fetchone()[1]
    assert "Total Files Read: 2" in plan


def test_each_snapshot_can_be_read(lake):
    table = lake.pyiceberg(TABLE)
    snapshots = table.snapshots()
    assert len(snapshots) == COMMITS
    for idx, snapshot in enumerate(snapshots):
        count = min((idx + 1) * PER_COMMIT, len(ROWS))
        assert table.scan(snapshot_id=snapshot.snapshot_id).count() == count
        assert snapshot.summary["total-records"] == str(count)
        assert snapshot.summary["total-data-files"] == str(idx + 1)
        assert snapshot.summary["firn.stream"] == TABLE
        assert snapshot.summary["firn.committed-sequence"] == str(count)
        assert snapshot.sequence_number == idx + 1
        assert snapshot.parent_snapshot_id == (snapshots[idx - 1].snapshot_id if idx else None)
    assert [entry.snapshot_id for entry in table.history()] == [s.snapshot_id for s in snapshots]
    assert table.current_snapshot() == snapshots[-1]


def test_merged_manifest_keeps_what_its_files_inherited(lake):
    table = lake.pyiceberg(TABLE)
    manifests = table.inspect.manifests().to_pylist()
    assert any(manifest["existing_data_files_count"] > 1 for manifest in manifests)
    entries = table.inspect.entries().to_pylist()
    sequence_of = {s.snapshot_id: s.sequence_number for s in table.snapshots()}
    assert sorted(entry["sequence_number"] for entry in entries) == list(range(1, COMMITS + 1))
    for entry in entries:
        assert entry["sequence_number"] == sequence_of[entry["snapshot_id"]]
        assert entry["file_sequence_number"] == entry["sequence_number"]


@pytest.mark.parametrize("engine", ENGINES)
def test_empty_table_is_read_as_no_rows(make_lake, engine):
    lake = make_lake("artifacts_bulk", b"")
    assert ENGINES[engine](lake, "artifacts_bulk") == []
    check_shape(lake.pyiceberg("artifacts_bulk"))


@pytest.mark.parametrize("engine", ENGINES)
def test_many_commits_stay_readable(make_lake, engine):
    rows = [{"ns": "n", "type": "t", "id": str(number), "version": number} for number in range(150)]
    lake = make_lake("artifacts_preview", ndjson(rows), "--commits", "150", "--step-seconds", "3600")
    found = ENGINES[engine](lake, "artifacts_preview")
    assert sorted(row["version"] for row in found) == list(range(150))
    table = lake.pyiceberg("artifacts_preview")
    assert len(table.current_snapshot().manifests(table.io)) <= 10
    assert len(table.snapshots()) == 60
    assert len(table.metadata.metadata_log) == 20
