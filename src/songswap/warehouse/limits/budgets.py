"""One budget of requests for all processes of an app: a rolling window, and a rolling day.

    take ──▶ a lease of some requests, in one transaction ──▶ one request each

Spotify's limits are not published, so they are learned from its refusals (429). Requests have
priorities: less urgent ones may use only a share, so that there is always room for plays. The
window goes by the server's clock, which is the same for all workers.
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
"""A lease expires before its requests would fall into another window."""

_ROOM_COMES_S = 0.25
"""How long to wait for room in a full window, which requests leave all the time."""

_WITHOUT_S = 60.0
"""How long requests are sent without a budget when the warehouse cannot count them."""

_HOUR = timedelta(hours=1)


_FEW_A_WINDOW = 100
_FEW_A_DAY = 1000
"""A refusal after fewer requests has another reason than their number: no limit is less."""


class Priority(IntEnum):
    """What requests are for, the most urgent first."""

    PLAYS = 0
    ENRICHMENT = 1
    BACKFILL = 2


WINDOW_SHARES = {Priority.PLAYS: 1.0, Priority.ENRICHMENT: 0.95, Priority.BACKFILL: 0.7}
DAY_SHARES = {Priority.PLAYS: 1.0, Priority.ENRICHMENT: 0.9, Priority.BACKFILL: 0.7}
"""The share of a window or a day that may be used when a request of the priority is sent. What a
window has left for plays begins to come again in the next second, that of a day in the next hour.
"""

RESERVED = {Priority.ENRICHMENT: 0.1}
"""The share of a day that a priority may use however much the others have used: plays alone can use
up what they are allowed, every day."""


class Budget:
    """One process's access to the budget of an app.

    Args:
        dsn: the warehouse.
        app: the client id.
        clock: returns the time (aware, UTC) by which days are counted.
        window_s: the length of the window in seconds.
    """

    def __init__(
        self, dsn: str, app: str, priority: Priority, clock: Callable[[], datetime], window_s: float
    ) -> None:
        self._dsn = dsn
        self._params = {"app": app, "priority": priority, "window": timedelta(seconds=window_s)}
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
            QuotaReserved: the rest of the day's quota is for more urgent requests.
        """
        loop = asyncio.get_running_loop()
        while True:
            # The lock is not held while waiting: a refusal recorded late teaches a wrong limit.
            async with self._lock:
                if loop.time() < self._without_until or self._spend(loop.time()):
                    return
                if loop.time() >= self._opens_at:
                    self._opens_at = loop.time() + await self._try(self._lease)
            await asyncio.sleep(max(0.0, self._opens_at - loop.time()))

    async def refused(self, wait: timedelta, quota: bool) -> None:
        """Learn from a 429.

        Args:
            wait: for how long no process is to send requests.
            quota: whether the day's quota is used up.
        """
        params = {**self._params, "now": self._clock(), "wait": wait, "unspent": self._left}
        params["few"] = _FEW_A_DAY if quota else _FEW_A_WINDOW
        async with self._lock:
            await self._try(_learn, "learn_day" if quota else "learn_window", params)

    async def close(self) -> None:
        """Give unspent requests back, and close the connection."""
        async with self._lock:
            self._unspent, self._left = self._unspent + self._left, 0
            if self._unspent and self._connection is not None:
                await self._try(self._count, 0)
            if self._connection is not None:
                await self._connection.close()

    def _spend(self, now: float) -> bool:
        """Spend one request of the lease, if it has one and has not expired."""
        if self._left and now >= self._lease_ends:
            self._unspent, self._left = self._unspent + self._left, 0
            self._wanted = max(1, self._wanted // 2)
        if not self._left:
            return False
        self._left -= 1
        return True

    async def _lease(self, connection: psycopg.AsyncConnection) -> float:
        """Take a lease of some requests; return how many seconds to wait if there is no room."""
        params = {**self._params, "now": self._clock()}
        cursor = await connection.execute(_SQL["lock_and_grow"], params)
        per_window, per_day, closed_s = await cursor.fetchone() or (None, None, 0.0)
        cursor = await connection.execute(_SQL["used"], params)
        in_window, in_day, own_in_day = await cursor.fetchone() or (0, 0, 0)
        if per_day is not None and self._is_reserved(per_day, in_day, own_in_day):
            raise QuotaReserved(
                f"Spotify takes about {per_day:,} requests a day of this app, and {in_day:,} were"
                " sent in the last 24 hours: the rest is kept for plays. Queued ids stay queued.",
                self._clock().replace(minute=0, second=0, microsecond=0) + _HOUR,
            )
        granted = self._wanted = min(2 * self._wanted, _LARGEST_LEASE)
        if per_window is not None:
            room = int(WINDOW_SHARES[self._priority] * per_window) - in_window
            granted = max(0, min(granted, room, max(1, per_window // 60)))
        if closed_s or not granted:
            return float(min(_LEASE_LIFE_S, closed_s or _ROOM_COMES_S))
        self._lease_ends = asyncio.get_running_loop().time() + _LEASE_LIFE_S
        self._left = granted
        return await self._count(connection, granted)

    def _is_reserved(self, per_day: int, in_day: int, own_in_day: int) -> bool:
        """Whether the rest of the day is for more urgent requests; never for plays."""
        reserved = int(RESERVED.get(self._priority, 0.0) * per_day)
        over = in_day >= DAY_SHARES[self._priority] * per_day and own_in_day >= reserved
        return over and self._priority != Priority.PLAYS

    async def _count(self, connection: psycopg.AsyncConnection, granted: int) -> float:
        params = {**self._params, "now": self._clock(), "granted": granted}
        await connection.execute(_SQL["count"], {**params, "unspent": self._unspent})
        self._unspent = 0
        return 0.0

    async def _try(self, step: Callable[..., Awaitable[float]], *arguments: object) -> float:
        """Run a step in a transaction; if it fails, send requests without a budget for a minute."""
        try:
            if self._connection is None:
                self._connection = await connect_async(self._dsn)
            async with self._connection.transaction():
                return await step(self._connection, *arguments)
        except psycopg.Error as error:
            log.warning(
                "Requests are sent without a budget for a minute, for the warehouse cannot count"
                " them. %s",
                translate(error),
            )
            if self._connection is not None:
                await self._connection.close()
            self._connection = None
            self._without_until = asyncio.get_running_loop().time() + _WITHOUT_S
            return 0.0


async def _learn(
    connection: psycopg.AsyncConnection, statement: str, params: dict[str, object]
) -> float:
    await connection.execute(_SQL[statement], params)
    return 0.0


@asynccontextmanager
async def open_budget(
    settings: Settings, priority: Priority, clock: Callable[[], datetime]
) -> AsyncIterator[Budget]:
    """Open a budget with its own session for the block."""
    spotify = settings.spotify
    budget = Budget(settings.warehouse_dsn, spotify.client_id, priority, clock, spotify.window_s)
    try:
        yield budget
    finally:
        await budget.close()
