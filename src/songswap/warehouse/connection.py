"""Connections to the warehouse: UTC inside, waits that end, and errors to act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.session import AsyncSession, Session
from songswap.warehouse.timeouts import Limits

_POOL_SIZE = 2
"""Of short transactions only, while many tokens are exchanged."""

_POOL_WAIT_S = 10


@contextmanager
def connect(dsn: str, limits: Limits | None = None) -> Iterator[psycopg.Connection]:
    """A connection that is closed at the end; transactions are up to the caller.

    Args:
        limits: how long it may wait; as usual, if None.

    Raises:
        WarehouseUnavailable: PostgreSQL refused the connection, or it was lost on the way.
        WarehouseBusy: others held locks for too long.
        SchemaOutdated: a table that is needed is not there.
        WarehouseRefused: any other error of PostgreSQL.
    """
    with translate_errors(), Session.connect(dsn, autocommit=True, limits=limits) as connection:
        yield connection


async def connect_async(dsn: str) -> psycopg.AsyncConnection:
    """A connection for coroutines, which the caller closes; errors are psycopg's own.

    `songswap.warehouse.error_translation.translated` makes them sentences.
    """
    return await AsyncSession.connect(dsn, autocommit=True)


class _PooledSession(AsyncSession):
    """A session of a pool; ``refusals`` has the error that kept the last one from being opened."""

    @classmethod
    async def connect(cls, conninfo: str = "", **about: Any) -> Self:
        refusals: list[psycopg.Error] = about["refusals"]
        try:
            session = await super().connect(conninfo, autocommit=about["autocommit"])
        except psycopg.Error as error:
            refusals[:] = [error]
            raise
        refusals.clear()
        return session


class _Pool(AsyncConnectionPool[psycopg.AsyncConnection]):
    """A pool that says why it has no connection to give."""

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
    """A pool of such connections, to be opened by the caller.

    Where it has none to give in time, it raises what the server said.
    """
    return _Pool(dsn)
