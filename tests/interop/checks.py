"""What holds of every table that Firn writes, whatever is in it."""

import io
import struct

import pyarrow.parquet

from rows import COLUMNS, CONTENT, WITH_STATISTICS, micros

MICROS_PER_DAY = 86_400_000_000


def check_shape(table):
    """The schema, the partition spec and the sort order are those of the contract."""
    fields = table.schema().fields
    assert [field.name for field in fields] == COLUMNS
    assert [field.field_id for field in fields] == list(range(1, len(COLUMNS) + 1))
    assert [field.name for field in fields if field.required] == WITH_STATISTICS
    assert table.format_version == 2
    assert str(table.spec().fields) == f"({partition_field()},)" or str(table.spec().fields[0]) == partition_field()
    assert len(table.spec().fields) == 1
    assert table.sort_order().is_unsorted


def partition_field():
    return f"1000: __ingest_ts_day: day({len(COLUMNS)})"


def check_data_files(table):
    """Each data file is what its manifest entry says, lies in its partition, and is made for point reads."""
    entries = [task.file for task in table.scan().plan_files()]
    for data_file in entries:
        with table.io.new_input(data_file.file_path).open() as stream:
            content = stream.read()
        assert data_file.file_size_in_bytes == len(content)
        check_data_file(data_file, content)
    return len(entries)


def check_data_file(data_file, content):
    parquet = pyarrow.parquet.ParquetFile(io.BytesIO(content))
    metadata = parquet.metadata
    assert data_file.record_count == metadata.num_rows
    assert parquet.schema_arrow.names == COLUMNS
    check_layout(metadata)
    table = parquet.read(WITH_STATISTICS)
    columns = {name: table.column(name).to_pylist() for name in WITH_STATISTICS}
    ingest_ts = [micros(instant) for instant in columns["__ingest_ts"]]
    assert {data_file.partition[0]} == {instant // MICROS_PER_DAY for instant in ingest_ts}
    check_bounds(data_file, columns | {"__ingest_ts": ingest_ts})


def check_layout(metadata):
    """zstd, an offset index everywhere, statistics and a column index of the key columns only."""
    leaves = [metadata.schema.column(idx).path.split(".")[0] for idx in range(metadata.num_columns)]
    assert leaves == COLUMNS
    for group_idx in range(metadata.num_row_groups):
        group = metadata.row_group(group_idx)
        for column_idx, name in enumerate(COLUMNS):
            chunk = group.column(column_idx)
            assert chunk.compression == "ZSTD", name
            assert chunk.has_offset_index, name
            assert chunk.has_column_index == (name in WITH_STATISTICS), name
            has_bounds = chunk.is_stats_set and chunk.statistics.has_min_max
            assert has_bounds == (name in WITH_STATISTICS), name
            assert not (chunk.has_dictionary_page and name in CONTENT), name


def check_bounds(data_file, columns):
    """Bounds and counts are declared of the key columns alone, and they hold."""
    ids = {COLUMNS.index(name) + 1: name for name in WITH_STATISTICS}
    for declared in (data_file.column_sizes, data_file.value_counts, data_file.null_value_counts):
        assert set(declared) == set(ids)
    assert set(data_file.value_counts.values()) == {data_file.record_count}
    assert set(data_file.null_value_counts.values()) == {0}
    assert set(data_file.lower_bounds) == set(ids)
    assert set(data_file.upper_bounds) <= set(ids)
    for field_id, name in ids.items():
        lower, upper = data_file.lower_bounds[field_id], data_file.upper_bounds.get(field_id)
        values = columns[name]
        if isinstance(values[0], str):
            values = [value.encode() for value in values]
            assert lower <= min(values)
            assert upper is None or upper >= max(values)
        else:
            assert (min(values), max(values)) == (struct.unpack("<q", lower)[0], struct.unpack("<q", upper)[0])
