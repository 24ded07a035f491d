"""Lists as parameters of statements: the server gets the values that were sent."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from songswap.warehouse.connection import connect

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
