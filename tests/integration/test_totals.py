"""Totals of all runs: each count once, whatever happens to the run that counted it."""

from collections.abc import Iterator
from threading import Barrier, Thread

import psycopg
import pytest
from factories import MakePlatform

from songswap.clock import utc_now
from songswap.pipelines import hourly_load
from songswap.warehouse import runs, totals
from songswap.warehouse.connection import connect
from songswap.warehouse.runs import StepKey

LOAD = StepKey("load")


@pytest.fixture
def connection(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to a warehouse without runs."""
    with connect(warehouse_dsn) as opened:
        yield opened


def counted(connection: psycopg.Connection, run_id: str, **counts: int) -> None:
    """Let a step of a run count something more."""
    runs.start(connection, run_id, utc_now())
    runs.add_counts(connection, run_id, LOAD, counts)


def of_runs(connection: psycopg.Connection) -> dict[str, int]:
    """The totals of the runs."""
    return totals.read(connection).runs


def test_repeated_summary_adds_nothing(connection: psycopg.Connection) -> None:
    counted(connection, "a", plays=5, tracks=2)
    for _ in range(3):
        totals.add(connection, "a")
    assert of_runs(connection) == {"plays": 5, "tracks": 2}


def test_continued_run_adds_what_is_new(connection: psycopg.Connection) -> None:
    """A run whose tasks are cleared goes on counting from where it was."""
    counted(connection, "a", plays=5)
    totals.add(connection, "a")
    counted(connection, "a", plays=3, gaps=1)
    totals.add(connection, "a")
    assert of_runs(connection) == {"plays": 8, "gaps": 1}


def test_killed_run_is_added_with_the_next(connection: psycopg.Connection) -> None:
    """Not one that goes on: it adds itself."""
    counted(connection, "killed", plays=5)
    runs.fail_running(connection, "killed", "It was killed.", utc_now())
    counted(connection, "running", plays=100)
    counted(connection, "next", plays=1)
    totals.add(connection, "next")
    assert of_runs(connection) == {"plays": 6}
    totals.add(connection, "running")
    assert of_runs(connection) == {"plays": 106}


def test_totals_outlive_the_rows_of_runs(connection: psycopg.Connection) -> None:
    counted(connection, "a", plays=5)
    totals.add(connection, "a")
    connection.execute("DELETE FROM songswap.steps")
    connection.execute("DELETE FROM songswap.runs")
    counted(connection, "b", plays=2)
    totals.add(connection, "b")
    assert of_runs(connection) == {"plays": 7}


def test_runs_that_end_at_once_are_added_once_each(
    connection: psycopg.Connection, warehouse_dsn: str
) -> None:
    """Also a run that two tries of the same task summarise."""
    for run_id in ("a", "b"):
        counted(connection, run_id, **{f"count_{number}": 1 for number in range(40)})
    barrier = Barrier(6)

    def add(run_id: str) -> None:
        with connect(warehouse_dsn) as own:
            barrier.wait()
            totals.add(own, run_id)

    threads = [Thread(target=add, args=(run_id,)) for run_id in "ababab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert of_runs(connection) == {f"count_{number}": 2 for number in range(40)}


def test_totals_of_loads_are_those_of_the_tables(make_platform: MakePlatform) -> None:
    """Two hours, the second summarised twice: as many plays as there are rows."""
    platform = make_platform(users=4)
    platform.load()
    platform.advance(hours=1)
    platform.load()
    with connect(platform.settings.warehouse_dsn) as connection:
        [run_id] = connection.execute("SELECT max(run_id) FROM songswap.runs").fetchone() or [""]
        before = of_runs(connection)
        hourly_load.summarise(platform.settings, run_id, platform.clock)
        assert of_runs(connection) == before
        assert before["plays"] == platform.history().total() > 0
        assert before["tracks"] == platform.rows('SELECT count(*) FROM "Tracks"')[0][0]
        polls = "calls recently-played "
        calls = sum(number for name, number in before.items() if name.startswith(polls))
        assert calls == platform.calls()["recently-played"]
