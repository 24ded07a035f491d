"""Sends requests to one service, with good manners.

A network error, a 5xx or an unreadable answer is tried again after a growing wait. A 429 with a
short ``Retry-After`` makes every request of the same caller wait, and nobody else's; a long,
missing or absurd one ends the attempt, so that no worker sleeps on it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol

import aiohttp
from zlib_ng import zlib_ng

from songswap import settings
from songswap.errors import RateLimited, SongSwapError

# How long to stay away after a 429 that does not say it: the window is 30 s. The quota is that of a
# rolling day, in which each hour makes some room.
_WINDOW = timedelta(seconds=30)
_QUOTA = timedelta(hours=1)
_DAY = timedelta(hours=24)
_LONGEST_PAUSE = timedelta(days=2)
_MOST_PAUSES = 10


class Service(NamedTuple):
    """Who is called, and which errors its troubles are.

    ``refusal`` makes one of an endpoint, a status of 400-499 other than 429, and a body.
    """

    name: str
    unavailable: type[SongSwapError]
    refusal: Callable[[str, int, bytes], SongSwapError]


class Budget(Protocol):
    """What a service takes of all who ask it, see `songswap.warehouse.budget`."""

    async def take(self) -> None:
        """Wait until one request may be sent, and count it."""

    async def refused(self, wait: timedelta, quota: bool) -> None:
        """Learn from a 429: how long nobody is to ask, and whether it speaks of a day's quota."""


class Unlimited:
    """The budget of who asks seldom."""

    async def take(self) -> None:
        """Nothing to wait for."""

    async def refused(self, wait: timedelta, quota: bool) -> None:
        """Nothing to learn."""


class Caller:
    """Sends requests, some at once.

    Args:
        session: the open HTTP session.
        service: who is called.
        where: how patient to be, and how many requests are under way at once.
        clock: gives the time (aware, UTC).
        calls: counts every request that was sent, by endpoint and outcome.
        budget: is asked before each request.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        service: Service,
        where: settings.Spotify,
        clock: Callable[[], datetime],
        calls: Counter[str],
        budget: Budget | None = None,
    ) -> None:
        self.calls = calls
        self._session = session
        self._service = service
        self._where = where
        self._clock = clock
        self._budget = budget or Unlimited()
        self._resume_at = 0.0
        self._slots = asyncio.Semaphore(where.in_flight)

    async def send(self, endpoint: str, method: str, url: str, **request: Any) -> bytes:
        """The body of a whole answer with status 200.

        Raises:
            RateLimited: the service asked for a long pause.
            HeldBack: the budget is kept for what is more urgent.
            SongSwapError: one of the service's own errors.
        """
        failures = pauses = 0
        while True:
            await self._pause()
            await self._budget.take()
            try:
                async with self._slots, self._session.request(method, url, **request) as response:
                    body = await response.read()
                    status, headers = response.status, response.headers
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = type(error).__name__
                self.calls[f"{endpoint} {problem}"] += 1
            else:
                self.calls[f"{endpoint} {status}"] += 1
                if status == 200 and _looks_whole(body):
                    return body
                if status == 429:
                    pauses += 1
                    await self._respect(headers, body, pauses)
                    continue
                if 400 <= status < 500:
                    raise self._service.refusal(endpoint, status, body)
                problem = f"status {status}" + (", not whole JSON" if status == 200 else "")
            failures += 1
            if failures == self._where.tries:
                raise self._service.unavailable(
                    f"{self._service.name} gave no usable answer to {endpoint} in {failures} tries;"
                    f" the last: {problem}. Nothing is lost yet: the next run asks again."
                )
            # Jitter, so that many that failed together do not come back together.
            wait_s = self._where.first_wait_s * 2 ** (failures - 1)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret

    async def _pause(self) -> None:
        """Wait while a 429 that anyone of this caller got asks for it."""
        loop = asyncio.get_running_loop()
        while (wait_s := self._resume_at - loop.time()) > 0:
            await asyncio.sleep(wait_s)

    async def _respect(self, headers: Mapping[str, str], body: bytes, pauses: int) -> None:
        """Note a 429's pause, or end the attempt when it is longer than an attempt may wait."""
        text = headers.get("Retry-After", "")
        quota = b"QUOTA_EXCEEDED" in body
        if text.isascii() and text.isdigit():
            pause = min(timedelta(seconds=float(text)) if len(text) < 9 else _DAY, _LONGEST_PAUSE)
        else:
            pause = _QUOTA if quota else _WINDOW
        is_long = pause.total_seconds() > self._where.longest_wait_s or pauses > _MOST_PAUSES
        # A long pause is noted by who asked, and kept to by all runs.
        await self._budget.refused(timedelta() if is_long else pause, quota)
        if is_long:
            until = self._clock() + pause
            raise RateLimited(
                f"{self._service.name} allows no more requests of this app until"
                f" {until:%Y-%m-%d %H:%M:%S} UTC. What was answered is kept; the first run after"
                " that asks for the rest.",
                until,
            )
        loop_time = asyncio.get_running_loop().time()
        self._resume_at = max(self._resume_at, loop_time + pause.total_seconds())


@asynccontextmanager
async def open_session(where: settings.Spotify) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session that says who asks, closed at the end."""
    # Unpacking is the larger part of what receiving a page costs.
    aiohttp.set_zlib_backend(zlib_ng)
    async with aiohttp.ClientSession(
        # Callers bound their requests: waiting for a connection would count as Spotify's time.
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=where.timeout_s),
        headers={"User-Agent": f"songswap-airflow/{version('songswap-airflow')}"},
    ) as session:
        yield session


def _looks_whole(body: bytes) -> bool:
    """Whether a body can be an answer: a truncated one is worth another try."""
    return body.lstrip()[:1] == b"{" and body.rstrip()[-1:] == b"}"
