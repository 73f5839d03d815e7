"""Rows as they are sent to a stream, and what every engine must read of them."""

import datetime
import json

COLUMNS = [
    "ns", "type", "id", "version", "visibility", "owner_iss", "owner_org", "owner_sub", "deleted", "expires_at", "ts",
    "hash", "size_bytes", "mode", "ingest_id", "blob_digest", "blob_size_bytes", "blob_content_type", "blob_key",
    "signature", "signature_key_id", "metadata", "markdown", "mdx", "html", "esm", "dts", "css", "mdast", "hast",
    "estree", "tsast", "frontmatter", "dependencies", "exports", "__ingest_ts",
]
TIMESTAMPS = ["expires_at", "ts", "__ingest_ts"]
WITH_STATISTICS = ["ns", "type", "id", "version", "__ingest_ts"]
CONTENT = COLUMNS[COLUMNS.index("markdown"):COLUMNS.index("__ingest_ts")]

TEXTS = [
    "", " ", "plain", "雪と氷河", "한국어 텍스트", "👩‍👩‍👧‍👦 🏔️", "e\u0301 combining", "עברית", "line\nbreak\ttab \"quote\" \\ back",
    "\u0000 zero", "\ufeff mark", "\U0010ffff", "a" * 20_000,
]
INSTANTS = [
    "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2026-11-20T10:00:00.123456+02:00",
    "9999-12-31T23:59:59.999999Z", 1_700_000_000_000_001,
]
LISTS = [None, [], [""], ["a", "雪", ""], ["x"] * 300]


def every_kind_of_row():
    """Rows that hold every text, instant and list in some column, every column with and without a value."""
    rows = [row_of(number) for number in range(120)]
    rows.append({"ns": "a", "type": "t", "id": "only-what-is-required", "version": 121})
    rows.append({"ns": "a", "type": "t", "id": "🗻" * 256, "version": 2**53 - 1, "html": "é" * 900_000})
    rows.append({"ns": "z" * 253, "type": "T" * 64, "id": "\U0010ffff" * 32, "version": -(2**63), "size_bytes": 2**63 - 1})
    return rows


def row_of(number):
    row = {"ns": f"ns-{number % 3}", "type": "page", "id": f"docs/{TEXTS[number % 9]}/{number}", "version": number + 1}
    for idx, column in enumerate(COLUMNS[4:-1]):
        pick = number * 7 + idx * 3
        if pick % 4 == 0:
            continue
        if column in TIMESTAMPS:
            row[column] = INSTANTS[pick % len(INSTANTS)]
        elif column in ("size_bytes", "blob_size_bytes"):
            row[column] = [0, -1, 2**53 - 1, 2**63 - 1][pick % 4]
        elif column == "deleted":
            row[column] = pick % 3 == 0
        elif column in ("dependencies", "exports"):
            row[column] = LISTS[pick % len(LISTS)]
        else:
            row[column] = TEXTS[pick % len(TEXTS)]
    return row


def ndjson(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def expected(row, ingest_ts):
    """The row as [`comparable`] makes it of what an engine read."""
    values = {column: row.get(column) for column in COLUMNS} | {"__ingest_ts": ingest_ts}
    for column in TIMESTAMPS:
        if isinstance(values[column], str):
            values[column] = micros(values[column])
    return values


def comparable(row):
    """A row that an engine read, with instants as microseconds, whatever the engine makes of them."""
    instants = {column: micros(row[column]) for column in TIMESTAMPS if row[column] is not None}
    return row | instants


def micros(instant):
    if isinstance(instant, str):
        instant = datetime.datetime.fromisoformat(instant)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (instant - epoch) // datetime.timedelta(microseconds=1)
