"""Lists reach the server as they are, whatever is in them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from songswap.warehouse.connection import connect

ID = "4uLU6hMCjMI75M1A2tKUQC"
MOMENT = datetime(2026, 11, 27, 3, 4, 5, 678_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", [ID, "0-_a"]),
        ("text", ["one"]),
        ("text", [""]),
        ("text", ["", ID, ""]),
        ("text", ["a,b", "c"]),
        ("text", ["null", "NULL", "nullable", "Annull1ert"]),
        ("text", ['{"}', "\\", " a ", "b\tc", "d\n"]),
        ("text", ["ä", "東京", "\u3000", "🎵"]),
        ("text", [None, ID]),
        ("text", []),
        ("integer", [1, -2, 2**31 - 1]),
        ("bigint", [-(2**63), 2**63 - 1]),
        ("integer", [None, 1]),
        ("boolean", [True, False]),
        ("timestamptz", [MOMENT, MOMENT.replace(microsecond=0), MOMENT.replace(year=999)]),
        ("timestamptz", [MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))]),
        ("timestamptz", [None, MOMENT]),
        ("bytea", [b"\x00\xff", b"a,b"]),
        ("text", [["a", "b"], ["c,", ""]]),
    ],
)
def test_list_arrives_as_it_is(warehouse_dsn: str, kind: str, values: list[object]) -> None:
    """Each value, of whatever length, characters or type, and NULL beside the text "null"."""
    with connect(warehouse_dsn) as connection:
        row = connection.execute(f"SELECT %s::{kind}[]".encode(), [values]).fetchone()
    assert row == (values,)
