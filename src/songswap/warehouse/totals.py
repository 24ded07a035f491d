"""What all runs and imports counted since the beginning: totals that only grow."""

from typing import NamedTuple

import psycopg

from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_SQL = statements("totals.sql")


class Totals(NamedTuple):
    """Sums by the name of the count."""

    runs: dict[str, int]
    imports: dict[str, int]


@retried
def add(connection: psycopg.Connection, run_id: str) -> None:
    """Add what the steps of a run counted to the totals, each count once however often it is done.

    Runs that ended without this, because they were killed, are added with it.
    """
    with connection.transaction():
        rows = connection.execute(_SQL["lock_runs"], {"run_id": run_id})
        connection.execute(_SQL["add"], {"run_ids": [found for (found,) in rows]})


def read(connection: psycopg.Connection) -> Totals:
    """Return the totals of all counts there have been."""
    return Totals(
        dict(connection.execute(_SQL["of_runs"]).fetchall()),
        dict(connection.execute(_SQL["of_imports"]).fetchall()),
    )


def seconds_of_steps(connection: psycopg.Connection, run_id: str) -> dict[str, float]:
    """Return how many seconds after the start of a run each of its steps had ended."""
    return dict(connection.execute(_SQL["seconds_of_steps"], {"run_id": run_id}).fetchall())
