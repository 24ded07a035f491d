"""Advisory locks, for which a session may wait longer than for rows."""

import psycopg

from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import limits, ms

_SQL = statements("locks.sql")

# Any numbers, as long as all processes have the same.
_LOADS = 7_317_530  # also in watch.sql
_MIGRATIONS = 7_317_529


def lock_loads(connection: psycopg.Connection) -> None:
    """Take the lock of all loads until the end of the transaction.

    Every load takes it before it inserts into the platform's tables, so that rows which one load
    has found missing are not inserted by another.

    Raises:
        psycopg.errors.LockNotAvailable: other loads took too long.
    """
    _lock(connection, _LOADS)


def lock_migrations(connection: psycopg.Connection) -> None:
    """Take the lock of migrations until the end of the transaction; raises as `lock_loads`."""
    _lock(connection, _MIGRATIONS)


def _lock(connection: psycopg.Connection, number: int) -> None:
    within = limits()
    params = {"number": number, "turn": ms(within.turn_s), "lock": ms(within.lock_s)}
    connection.execute(_SQL["lock"], params)
