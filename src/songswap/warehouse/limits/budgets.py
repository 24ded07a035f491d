"""One budget of requests for all who ask with an app: a rolling window, and a rolling day.

    take ──▶ a lease of some requests, in one transaction ──▶ one request each

How much Spotify takes is not published, so it is learned from its refusals (429). Requests are
ranked: what is less urgent may use only a share, so that there is always room for plays. The window
goes by the server's clock, which is the same for all workers.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from enum import IntEnum

import psycopg

from songswap.errors import QuotaReserved
from songswap.settings import Settings
from songswap.warehouse.connection import connect_async
from songswap.warehouse.error_translation import translate
from songswap.warehouse.sql import statements

log = logging.getLogger(__name__)

_SQL = statements("limits/budgets.sql")

_LARGEST_LEASE = 50
_LEASE_LIFE_S = 1.0
"""Requests that were granted earlier than that would fall into another window."""

_WITHOUT_S = 60.0
"""How long requests go on without a budget when the warehouse does not keep it."""

_HOUR = timedelta(hours=1)


_FEW_A_WINDOW = 100
_FEW_A_DAY = 1000
"""A refusal after fewer requests has another reason than their number."""


class Priority(IntEnum):
    """What requests are for; the first goes first."""

    PLAYS = 0
    ENRICHMENT = 1
    BACKFILL = 2


SHARES = {Priority.PLAYS: 1.0, Priority.ENRICHMENT: 0.9, Priority.BACKFILL: 0.7}
"""How much of a window, and of a day, may be used up when a request of that rank is sent."""


class Budget:
    """The budget of an app as one process draws on it.

    Args:
        dsn: the warehouse.
        app: the client id.
        clock: gives the time (aware, UTC) by which a day is counted.
        window_s: the length of the window in seconds.
    """

    def __init__(
        self, dsn: str, app: str, priority: Priority, clock: Callable[[], datetime], window_s: float
    ) -> None:
        self._dsn = dsn
        self._about = {"app": app, "priority": priority, "window": timedelta(seconds=window_s)}
        self._priority = priority
        self._clock = clock
        self._connection: psycopg.AsyncConnection | None = None
        self._lock = asyncio.Lock()
        self._left = self._unspent = 0
        self._wanted = 1
        self._lease_ends = 0.0
        self._opens_at = 0.0
        self._without_until = 0.0

    async def take(self) -> None:
        """Wait until one request may be sent, and count it.

        Raises:
            QuotaReserved: what is left of the day's quota is kept for what is more urgent.
        """
        loop = asyncio.get_running_loop()
        while True:
            # Nobody waits with the lock: a refusal that is noted late teaches wrongly.
            async with self._lock:
                if loop.time() < self._without_until or self._spend(loop.time()):
                    return
                if loop.time() >= self._opens_at:
                    self._opens_at = loop.time() + await self._try(self._lease)
            await asyncio.sleep(max(0.0, self._opens_at - loop.time()))

    async def refused(self, wait: timedelta, quota: bool) -> None:
        """Learn from a 429.

        Args:
            wait: how long nobody is to ask.
            quota: whether it speaks of the day's quota.
        """

        async def learn(connection: psycopg.AsyncConnection) -> float:
            about = {**self._about, "now": self._clock(), "wait": wait, "unspent": self._left}
            about["few"] = _FEW_A_DAY if quota else _FEW_A_WINDOW
            await connection.execute(_SQL["learn_day" if quota else "learn_window"], about)
            return 0.0

        async with self._lock:
            await self._try(learn)

    async def close(self) -> None:
        """Give back what was not spent."""
        async with self._lock:
            self._unspent, self._left = self._unspent + self._left, 0
            if self._unspent and self._connection is not None:
                await self._try(lambda connection: self._count(connection, 0))
            if self._connection is not None:
                await self._connection.close()

    def _spend(self, now: float) -> bool:
        """Spend one request of the lease, if it holds one that is not too old."""
        if self._left and now >= self._lease_ends:
            self._unspent, self._left = self._unspent + self._left, 0
            self._wanted = max(1, self._wanted // 2)
        if not self._left:
            return False
        self._left -= 1
        return True

    async def _lease(self, connection: psycopg.AsyncConnection) -> float:
        """Have some requests granted; how long to wait, in seconds, when there is no room."""
        about = {**self._about, "now": self._clock()}
        cursor = await connection.execute(_SQL["open"], about)
        per_window, per_day, closed_s = await cursor.fetchone() or (None, None, 0.0)
        cursor = await connection.execute(_SQL["used"], about)
        in_window, in_day, full_s = await cursor.fetchone() or (0, 0, 0.0)
        share = SHARES[self._priority]
        if per_day is not None and self._priority and in_day >= share * per_day:
            raise QuotaReserved(
                f"Spotify takes about {per_day:,} requests a day of this app, and {in_day:,} were"
                " sent in the last 24 hours: the rest is kept for plays. What is wanted stays so.",
                self._clock().replace(minute=0, second=0, microsecond=0) + _HOUR,
            )
        granted = self._wanted = min(2 * self._wanted, _LARGEST_LEASE)
        if per_window is not None:
            room = int(share * per_window) - in_window
            granted = max(0, min(granted, room, max(1, per_window // 60)))
        if closed_s or not granted:
            return float(min(_LEASE_LIFE_S, closed_s or full_s))
        self._lease_ends = asyncio.get_running_loop().time() + _LEASE_LIFE_S
        self._left = granted
        return await self._count(connection, granted)

    async def _count(self, connection: psycopg.AsyncConnection, granted: int) -> float:
        about = {**self._about, "now": self._clock(), "granted": granted}
        await connection.execute(_SQL["forget"], about)
        await connection.execute(_SQL["count"], {**about, "unspent": self._unspent})
        self._unspent = 0
        return 0.0

    async def _try(self, deed: Callable[[psycopg.AsyncConnection], Awaitable[float]]) -> float:
        """Do it in a transaction; without the warehouse, let requests go on without a budget."""
        try:
            if self._connection is None:
                self._connection = await connect_async(self._dsn)
            async with self._connection.transaction():
                return await deed(self._connection)
        except psycopg.Error as error:
            log.warning(
                "Requests are sent without a budget for a minute, for the warehouse does not keep"
                " it. %s",
                translate(error),
            )
            if self._connection is not None:
                await self._connection.close()
            self._connection = None
            self._without_until = asyncio.get_running_loop().time() + _WITHOUT_S
            return 0.0


@asynccontextmanager
async def open_budget(
    settings: Settings, priority: Priority, clock: Callable[[], datetime]
) -> AsyncIterator[Budget]:
    """A budget with a session of its own, closed at the end."""
    where = settings.spotify
    budget = Budget(settings.warehouse_dsn, where.client_id, priority, clock, where.window_s)
    try:
        yield budget
    finally:
        await budget.close()
