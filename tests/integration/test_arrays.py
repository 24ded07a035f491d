"""Lists as parameters of statements: the server gets the values that were sent."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from songswap.warehouse.connection import connect

ID = "4uLU6hMCjMI75M1A2tKUQC"
MOMENT = datetime(2026, 11, 27, 3, 4, 5, 678_000, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.sampled_from(
    ["", "NULL", "null", " ", "a,b", "{}", '"', '","', "\\", "\n", "é", "it's"]
)


@pytest.fixture
def connection(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    with connect(warehouse_dsn) as connection:
        yield connection


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.tuples(st.just("text[]"), st.lists(TEXTS)),
        st.tuples(st.just("text[]"), st.lists(TEXTS | st.none())),
        st.tuples(st.just("bigint[]"), st.lists(st.integers(-(2**63), 2**63 - 1))),
        st.tuples(
            st.just("timestamptz[]"),
            st.lists(st.datetimes(datetime(1, 1, 2), timezones=st.just(UTC))),  # noqa: DTZ001
        ),
    )
)
def test_values_arrive(connection: psycopg.Connection, sent: tuple[str, list[Any]]) -> None:
    """Texts of any characters, also those that mean something in PostgreSQL's syntax of arrays,
    numbers and times arrive as they were sent."""
    type_, values = sent
    row = connection.execute(f"SELECT %s::{type_}".encode(), [values]).fetchone()
    assert row == (values,)


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
