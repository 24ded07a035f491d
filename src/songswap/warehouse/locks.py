"""Locks of transactions that only we take, and that may be waited for longer than others."""

import psycopg

from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import limits, ms

_SQL = statements("locks.sql")

# Any numbers; they only have to be the same for all.
_LOADS = 7_317_530  # stands in watch.sql too
_MIGRATIONS = 7_317_529


def lock_loads(connection: psycopg.Connection) -> None:
    """Be the only load until the end of the transaction.

    What one has looked up as missing, no other inserts meanwhile. All who insert into the
    platform's tables wait for it.

    Raises:
        psycopg.errors.LockNotAvailable: other loads took too long.
    """
    _lock(connection, _LOADS)


def lock_migrations(connection: psycopg.Connection) -> None:
    """Be the only migration until the end of the transaction; raises as `lock_loads`."""
    _lock(connection, _MIGRATIONS)


def _lock(connection: psycopg.Connection, number: int) -> None:
    within = limits()
    about = {"number": number, "turn": ms(within.turn_s), "lock": ms(within.lock_s)}
    connection.execute(_SQL["lock"], about)
