"""SQL over a running Firn: see scripts/query."""

import argparse
import sys

from lakes import Catalog

# History, resends and tombstones are rows like any other to an engine; this is what a reader of Firn sees.
CURRENT_ROWS = """
CREATE TEMP VIEW artifacts AS
SELECT * FROM ({union})
QUALIFY row_number() OVER (PARTITION BY ns, type, id ORDER BY version DESC NULLS LAST) = 1
    AND NOT coalesce(deleted, false) AND coalesce(expires_at > now(), true)
"""


def main():
    parser = argparse.ArgumentParser(prog="scripts/query", description=__doc__)
    parser.add_argument("--origin", default="http://localhost:8787")
    parser.add_argument("sql")
    given = parser.parse_args()
    try:
        catalog = Catalog(given.origin)
        tables = catalog.tables()
    except Exception as error:  # The message is for a person at a prompt; the kind of failure does not matter.
        sys.exit(f"error: {given.origin} has no catalog: {error}")
    if not tables:
        sys.exit("error: nothing was flushed yet; there are no tables")
    connection, _ = catalog.duckdb(tables[0])
    union = " UNION ALL ".join(f"SELECT * FROM lake.firn.{table}" for table in tables)
    connection.execute(CURRENT_ROWS.format(union=union))
    result = connection.sql(given.sql)
    if result is not None:
        result.show()


main()
