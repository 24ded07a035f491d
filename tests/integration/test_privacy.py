"""docs/privacy.md has every table of a migrated database, and what the test of marks expects.

`dags/test_marks.py` looks for the marks themselves.
"""

import gzip
import os
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime

import psycopg
from marked_columns import COLUMNS
from marks import MARKS, kinds_in
from places import COLUMNS as ALL_COLUMNS
from privacy_page import documented, kinds, rows

from songswap.transform.handover.readme import readme
from songswap.warehouse.sql import statements

UNSEARCHED = {
    "Logs of services",
    "Receipts",
    "Exports handed over",
    "Dumps and backups",
    "Redis",
}
"""Places that `dags/test_marks.py` has none of: they are made of others, or are outside."""

SEARCHED = {
    *("S3: raw responses", "S3: rows of exports", "S3: inbox of exports"),
    *("Spool", "Broken spool files", "Working files of imports"),
    *("Logs of tasks", "Log of the warehouse's server", "Terminals of operators"),
    "Other tables of Airflow's database",
    *("Discord", "Other alert services", "Metrics", "Page: snapshot", "Page: a user"),
}


def test_each_table_has_one_row(warehouse_dsn: str) -> None:
    """No table is missing, and none is documented that does not exist."""
    with psycopg.connect(warehouse_dsn) as connection:
        found = connection.execute(ALL_COLUMNS).fetchall()
    tables = {table if schema == "public" else f"{schema}.{table}" for schema, table, _ in found}
    places = Counter(place for row in rows() for place in row.places)
    assert [place for place, times in places.items() if times > 1] == []
    own = {place for place in places if not place.startswith("airflow.")}
    assert own - SEARCHED - UNSEARCHED == tables
    assert own >= SEARCHED | UNSEARCHED


def test_rows_of_tables_have_the_kinds_of_their_columns() -> None:
    """The table of the docs, and what the columns may have in the test of marks."""
    by_table: defaultdict[str, set[str]] = defaultdict(set)
    for column, of_column in COLUMNS.items():
        by_table[column.rpartition(".")[0]] |= of_column
    tables = {place: of_place for place, of_place in documented().items() if place not in SEARCHED}
    assert {place: of_place for place, of_place in tables.items() if place not in UNSEARCHED} == {
        place: by_table[place] for place in tables if place not in UNSEARCHED
    }


def test_what_is_not_handed_over_is_named_in_the_zip() -> None:
    """Each place that knows a user is read for the zip, or its README says that it is not."""
    handed = b" ".join(statements("user_data.sql").values()).decode()
    text = " ".join(readme(17, datetime.now(UTC), {}, 0, "bucket", 90).decode().split()).lower()
    places = [place for place, of_place in documented().items() if "user id" in of_place]
    assert len(places) > 30
    unnamed = [
        place
        for place in [*places, "Dumps and backups", "Exports handed over"]
        if not re.search(rf"\b{re.escape(place)}\b", handed)
        if place.removeprefix("S3: ").lower() not in text
    ]
    assert unnamed == []


def test_marks_are_found_also_in_what_is_packed() -> None:
    """In any case, in a gzip within other bytes, and in one of which the end is missing."""
    packed = gzip.compress(b'{"name": "QzName 1"}' * 100) + os.urandom(9_000)
    cut = gzip.compress(b'{"name": "QzName 1"}' * 100 + os.urandom(9_000).hex().encode())[:6_000]
    assert b"QzName" not in packed + cut
    assert kinds_in(b"nothing of anybody") == set()
    assert kinds_in(b"the E-mail of QZMAIL1@example.com") == {"e-mail"}
    assert kinds_in(b"page" + packed + b"page") == {"name"}
    assert kinds_in(b"page" + cut) == {"name"}
    assert kinds_in(b"\x1f\x8b\x08 is no gzip") == set()


def test_kinds_are_explained() -> None:
    """Each that has marks, but for the platform's secrets, which are in no place."""
    assert kinds() == MARKS.keys() - {"secret"}
