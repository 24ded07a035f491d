"""Connections to the warehouse, whose waits end and whose errors say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.session import AsyncSession, Session
from songswap.warehouse.timeouts import Limits

_POOL_SIZE = 2
"""Enough for the short transactions of many token exchanges."""

_POOL_WAIT_S = 10


@contextmanager
def connect(dsn: str, limits: Limits | None = None) -> Iterator[psycopg.Connection]:
    """Open a connection for the block; the caller begins transactions.

    Args:
        limits: how long it may wait; the usual limits if None.

    Raises:
        WarehouseUnavailable: PostgreSQL refused the connection, or it was lost.
        WarehouseBusy: others held locks for too long.
        SchemaOutdated: a table is missing.
        WarehouseRefused: any other error of PostgreSQL.
    """
    with translate_errors(), Session.connect(dsn, autocommit=True, limits=limits) as connection:
        yield connection


async def connect_async(dsn: str) -> psycopg.AsyncConnection:
    """Open a connection for coroutines, which the caller closes; errors are psycopg's own.

    `songswap.warehouse.error_translation` turns them into ours.
    """
    return await AsyncSession.connect(dsn, autocommit=True)


class _PooledSession(AsyncSession):
    """A session of a pool; ``refusals`` has the error of the last attempt to open one, if any."""

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:
        refusals: list[psycopg.Error] = options["refusals"]
        try:
            session = await super().connect(conninfo, autocommit=options["autocommit"])
        except psycopg.Error as error:
            refusals[:] = [error]
            raise
        refusals.clear()
        return session


class _Pool(AsyncConnectionPool[psycopg.AsyncConnection]):
    """A pool whose timeout raises the error that kept it from opening a session."""

    def __init__(self, dsn: str) -> None:
        self._refusals: list[psycopg.Error] = []
        super().__init__(
            dsn,
            connection_class=_PooledSession,
            kwargs={"autocommit": True, "refusals": self._refusals},
            min_size=0,
            max_size=_POOL_SIZE,
            timeout=_POOL_WAIT_S,
            open=False,
        )

    async def getconn(self, timeout: float | None = None) -> psycopg.AsyncConnection:
        try:
            return await super().getconn(timeout)
        except PoolTimeout as error:
            raise (self._refusals or [error])[0] from None


def pool(dsn: str) -> AsyncConnectionPool:
    """Return a pool of such connections, to be opened by the caller.

    It raises the server's error where it has no connection in time.
    """
    return _Pool(dsn)
