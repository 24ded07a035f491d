"""What is told of a standstill, and when: remembered in PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from songswap.alerts.notices import GOES_ON, STANDSTILL, Notice
from songswap.pipelines.standstills import Finding, due
from songswap.warehouse.connection import connect

START = datetime(2026, 11, 27, 10, 6, tzinfo=UTC)
AT_ONCE = Finding("The load does not end well", "Look at it.")
PATIENT = Finding("The load is paused", "Unpause it.", timedelta(minutes=8))


@pytest.fixture
def warehouse(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to a fresh warehouse."""
    with connect(warehouse_dsn) as connection:
        yield connection


def look(
    warehouse: psycopg.Connection, minutes: float, *findings: Finding, watcher: str = "dag"
) -> list[Notice]:
    """What is told at a look so many minutes after the first."""
    with warehouse.transaction():
        return due(warehouse, watcher, findings, START + timedelta(minutes=minutes))


def test_is_told_once_then_daily_and_when_it_is_over(warehouse: psycopg.Connection) -> None:
    """In between, and after its end, nothing is said."""
    assert look(warehouse, 0, AT_ONCE) == [
        Notice(STANDSTILL, "The load does not end well. Look at it.")
    ]
    day = 24 * 60
    assert [look(warehouse, minutes, AT_ONCE) for minutes in range(10, day - 30, 10)] == [[]] * 140
    assert len(look(warehouse, day - 30, AT_ONCE)) == 1
    assert look(warehouse, day - 20, AT_ONCE) == []
    over = Notice(
        GOES_ON, "This is over: The load does not end well (noticed 2026-11-27 10:06 UTC)."
    )
    assert look(warehouse, day - 10) == [over]
    assert look(warehouse, day) == []
    assert len(look(warehouse, day + 10, AT_ONCE)) == 1


def test_what_is_over_before_it_was_told_is_never_told(warehouse: psycopg.Connection) -> None:
    """A restart, or a pause of some minutes, is nobody's alarm."""
    assert look(warehouse, 0, PATIENT) == []
    assert look(warehouse, 5, PATIENT) == []
    assert look(warehouse, 7) == []
    assert look(warehouse, 9, PATIENT) == []
    assert look(warehouse, 16, PATIENT) == []
    assert look(warehouse, 17, PATIENT) == [Notice(STANDSTILL, "The load is paused. Unpause it.")]
    (over,) = look(warehouse, 27)
    assert over.sentence.endswith("(noticed 2026-11-27 10:15 UTC).")


def test_findings_do_not_hide_each_other(warehouse: psycopg.Connection) -> None:
    """Each has its own turn, and each watcher its own memory."""
    assert look(warehouse, 0, PATIENT, AT_ONCE) == look(warehouse, 0, AT_ONCE, watcher="other")
    assert [notice.kind for notice in look(warehouse, 10, PATIENT)] == [STANDSTILL, GOES_ON]
    assert [notice.kind for notice in look(warehouse, 10, watcher="other")] == [GOES_ON]


def test_transaction_that_fails_forgets_what_it_told(warehouse: psycopg.Connection) -> None:
    """It is told again by the next look."""
    with warehouse.transaction(force_rollback=True):
        assert len(due(warehouse, "dag", [AT_ONCE], START)) == 1
    assert len(look(warehouse, 10, AT_ONCE)) == 1
