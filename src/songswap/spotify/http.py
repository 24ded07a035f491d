"""Sends requests to one service, with good manners.

A network error, a 5xx, a redirect, a page of HTML or any other answer that is not the service's own
is tried again after a growing wait. No redirect is followed: what is sent is for this service, and
another host's answer is not its own. A body is bounded while it is read. A 429 with a
short ``Retry-After`` makes every request of the same caller wait, and nobody else's; a long,
missing or absurd one ends the attempt, so that no worker sleeps on it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol, TypeVar

import aiohttp
from zlib_ng import zlib_ng

from songswap import settings
from songswap.errors import RateLimited, SongSwapError
from songswap.spotify.clock_watch import ClockWatch
from songswap.web import bodies

_T = TypeVar("_T")

# How long to stay away after a 429 that does not say it: the window is 30 s. The quota is that of a
# rolling day, in which each hour makes some room.
_WINDOW = timedelta(seconds=30)
_QUOTA = timedelta(hours=1)
_DAY = timedelta(hours=24)
_LONGEST_PAUSE = timedelta(days=2)
_MOST_PAUSES = 10
_LONGEST_WAIT_S = 10.0

# Statuses that say "not now" of the request, though they are among those that refuse it.
_NOT_NOW = (408, 425)
# Statuses of a gateway that does not know what became of the request behind it.
_UNKNOWN_END = (502, 504)


def whole(body: bytes) -> bytes | None:
    """A body that can be an answer; None for a truncated one, which is worth another try."""
    is_object = body.lstrip()[:1] == b"{" and body.rstrip()[-1:] == b"}"
    return body if is_object else None


def _may_be_done(error: Exception) -> bool:
    """Whether a request that ended so may have reached the service, and been done there."""
    never_sent = (aiohttp.ClientConnectorError, aiohttp.InvalidURL)
    came_to_nothing = (aiohttp.ClientError, TimeoutError, OSError, bodies.BodyTooLarge)
    return isinstance(error, came_to_nothing) and not isinstance(error, never_sent)


class Service(NamedTuple):
    """Who is called, and which errors its troubles are.

    ``refusal`` makes one of an endpoint, a status of 400-499 other than 408, 425 and 429, and a
    body; None where it is not the service's own word, but that of something before it.
    """

    name: str
    unavailable: type[SongSwapError]
    refusal: Callable[[str, int, bytes], SongSwapError | None]


class _Reply(NamedTuple):
    """An answer as HTTP gave it; ``is_doubtful`` when it or the clock has the wrong time."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_doubtful: bool


class _Failure(NamedTuple):
    """A request without a usable answer; ``is_lost`` when its work may have been done."""

    problem: str
    is_lost: bool = False


_DIFFERS = _Failure("an answer whose Date differs from this machine's clock")


class Budget(Protocol):
    """What a service takes of all who ask it, see `songswap.warehouse.limits.budgets`."""

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
        watch: compares the clock with each answer, before it is used.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        service: Service,
        where: settings.Spotify,
        clock: Callable[[], datetime],
        calls: Counter[str],
        budget: Budget | None = None,
        watch: ClockWatch | None = None,
    ) -> None:
        self.calls = calls
        self._session = session
        self._service = service
        self._where = where
        self._clock = clock
        self._budget = budget or Unlimited()
        self._watch = watch
        self._resume_at = 0.0
        self._slots = asyncio.Semaphore(where.in_flight)
        self._first = asyncio.Lock()
        self._is_in_doubt = watch is not None

    async def send(
        self,
        endpoint: str,
        method: str,
        url: str,
        read: Callable[[bytes], _T | None],
        *,
        tries_if_lost: int = 0,
        **request: Any,
    ) -> _T:
        """What is read out of an answer with status 200.

        Args:
            read: reads the body of a 200; None where it cannot be used: it is asked for again.
            tries_if_lost: how often to try, if that is more than usual, while the answer may have
                been lost after the work was done.
            request: what aiohttp is to send.

        Raises:
            RateLimited: the service asked for a long pause.
            QuotaReserved: the budget is kept for what is more urgent.
            ClockWrong: this machine's clock differs from the service's; nothing was asked for.
            SongSwapError: one of the service's own errors. Nothing else is raised.
        """
        failures = pauses = 0
        doubtful: _Reply | None = None
        send = partial(self._send_once, endpoint, method, url, request)
        while True:
            await self._pause()
            await self._budget.take()
            reply = await self._send_in_turn(send, doubtful)
            if isinstance(reply, _Reply):
                doubtful = reply if reply.is_doubtful else None
            if doubtful:
                came: _T | _Failure = _DIFFERS
            elif isinstance(reply, _Reply) and reply.status == 429:
                pauses += 1
                await self._respect(reply.headers, reply.body, pauses)
                continue
            else:
                came = self._judge(endpoint, reply, read) if isinstance(reply, _Reply) else reply
            if not isinstance(came, _Failure):
                return came
            failures += 1
            if failures >= max(self._where.tries, tries_if_lost if came.is_lost else 0):
                raise self._service.unavailable(
                    f"{self._service.name} gave no usable answer to {endpoint} in {failures} tries;"
                    f" the last: {came.problem}. Nothing is lost yet: the next run asks again."
                )
            # Jitter, so that many that failed together do not come back together.
            wait_s = min(self._where.first_wait_s * 2 ** (failures - 1), _LONGEST_WAIT_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret

    def now(self) -> datetime:
        """The time, also where the clock is known to be wrong."""
        return self._watch.now() if self._watch else self._clock()

    async def _send_in_turn(
        self, send: Callable[[], Awaitable[_Reply | _Failure]], doubtful: _Reply | None
    ) -> _Reply | _Failure:
        """Send a request, alone until an answer agrees with the clock.

        Spotify may not give an answer again, and by a wrong clock not even a pause is kept: so
        nobody is asked who need not be.

        Args:
            send: sends it once.
            doubtful: what was answered before, with a Date that differs from the clock. Where it is
                the clock that is wrong, it is the answer.
        """
        if self._is_in_doubt:
            async with self._first:
                if self._is_in_doubt:
                    reply = await self._send_unless_wrong(send, doubtful)
                    self._is_in_doubt = isinstance(reply, _Reply) and reply.is_doubtful
                    return reply
        return await self._send_unless_wrong(send, doubtful)

    async def _send_unless_wrong(
        self, send: Callable[[], Awaitable[_Reply | _Failure]], doubtful: _Reply | None
    ) -> _Reply | _Failure:
        if self._watch and self._watch.wrong:
            if doubtful is None:
                raise self._watch.wrong
            return doubtful._replace(is_doubtful=False)
        return await send()

    async def _send_once(
        self, endpoint: str, method: str, url: str, request: Mapping[str, Any]
    ) -> _Reply | _Failure:
        """Send a request once."""
        try:
            async with self._slots:
                sent_at = self._clock()
                async with self._session.request(
                    method, url, allow_redirects=False, **request
                ) as response:
                    body = await bodies.read(response)
                    is_doubtful = not self._can_date(response.headers, sent_at)
                    reply = _Reply(response.status, response.headers, body, is_doubtful)
        except Exception as error:  # noqa: BLE001 - it is named and counted
            # The HTTP library raises more than its own errors, of odd tokens and addresses too.
            # Whatever it is, it concerns this request alone, and its text may quote what was sent.
            self.calls[f"{endpoint} {type(error).__name__}"] += 1
            return _Failure(type(error).__name__, _may_be_done(error))
        self.calls[f"{endpoint} {reply.status}"] += 1
        return reply

    def _can_date(self, headers: Mapping[str, str], sent_at: datetime) -> bool:
        return self._watch is None or self._watch.can_date(headers, sent_at)

    def _judge(
        self, endpoint: str, reply: _Reply, read: Callable[[bytes], _T | None]
    ) -> _T | _Failure:
        """What is read out of a usable answer, or what is wrong with another.

        Raises:
            SongSwapError: the service itself refused the request.
        """
        status = reply.status
        if status == 200:
            found = read(reply.body)
            return _Failure("status 200, not whole JSON", True) if found is None else found
        if 300 <= status < 400:
            return _Failure(f"status {status}, a redirect, which is not followed")
        if 400 <= status < 500 and status not in _NOT_NOW:
            refusal = self._service.refusal(endpoint, status, reply.body)
            if refusal is not None:
                raise refusal
            return _Failure(f"status {status}, not in the service's own words")
        return _Failure(f"status {status}", status in _UNKNOWN_END)

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
            until = self.now() + pause
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
        # What one answer sets, no other user's request is to carry.
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield session
