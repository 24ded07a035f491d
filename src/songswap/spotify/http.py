"""Send requests to one service, and retry them politely.

A network error, a 5xx, a redirect, a page of HTML or any other response that is not the service's
own is retried after a growing wait. No redirect is followed: what is sent is for this service, and
another host's response is not its own. A body is bounded while it is read. A 429 with a short
``Retry-After`` delays every request of the same client, and no other's; a long, missing or absurd
one ends the attempt, so that no worker sleeps on it.
"""

import asyncio
import random
import time
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
from songswap.durations import timed
from songswap.errors import RateLimited
from songswap.spotify.clock_watch import ClockWatch
from songswap.spotify.retry_policy import (
    DEFAULT_PAUSE,
    Failure,
    HttpResponse,
    Service,
    backoff_s,
    failure_of,
    judge,
    pause_of,
)
from songswap.web import bodies

_T = TypeVar("_T")

_MOST_PAUSES = 10

_DIFFERS = Failure("a response whose Date differs from this machine's clock")


def whole(body: bytes) -> bytes | None:
    """Return a body that can be a response; None for a truncated one, which is retried."""
    is_object = body.lstrip()[:1] == b"{" and body.rstrip()[-1:] == b"}"
    return body if is_object else None


class Budget(Protocol):
    """The requests that a service allows to all, see `songswap.warehouse.limits.budgets`."""

    async def take(self) -> None:
        """Wait until one request may be sent, and count it."""

    async def refused(self, wait: timedelta, quota: bool) -> None:
        """Learn from a 429: how long to send nothing, and whether it is about a day's quota."""


class Unlimited:
    """The budget of a client with few requests."""

    async def take(self) -> None:
        """Do not wait."""

    async def refused(self, wait: timedelta, quota: bool) -> None:
        """Learn nothing."""


class Timing(NamedTuple):
    """How time passes for retries: real, but in tests."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = partial(random.uniform, 0.5, 1.5)


class HttpClient:
    """Sends requests, some at once.

    Args:
        session: the open HTTP session.
        service: receives the requests.
        where: how patient to be, and how many requests are in flight at once.
        clock: gives the time (aware, UTC).
        calls: counts every request sent, by endpoint and outcome.
        budget: is taken from before each request.
        watch: compares the clock with each response, before it is used.
        timing: how to wait.
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
        timing: Timing | None = None,
    ) -> None:
        self.calls = calls
        self._session = session
        self._service = service
        self._where = where
        self._clock = clock
        self._budget = budget or Unlimited()
        self._watch = watch
        self._timing = timing or Timing()
        # In flight, and waiting to be sent, as the counts of a run name them.
        self._in_flight = service.name.lower()
        self._waiting = f"{self._in_flight}_wait"
        self._resume_at = 0.0
        self._slots = asyncio.Semaphore(where.in_flight)
        self._first = asyncio.Lock()
        self._is_in_doubt = watch is not None

    async def send(
        self,
        endpoint: str,
        method: str,
        url: str,
        parse: Callable[[bytes], _T | None],
        *,
        tries_if_lost: int = 0,
        **request: Any,
    ) -> _T:
        """Send a request until it has a usable response, and return that parsed.

        Args:
            parse: parses the body of a 200; None where it cannot be used: the request is retried.
            tries_if_lost: how often to try, if that is more than usual, while the response may have
                been lost after the work was done.
            request: aiohttp's own arguments.

        Raises:
            RateLimited: the service asked for a long pause.
            QuotaReserved: the budget is reserved for what is more urgent.
            ClockWrong: this machine's clock differs from the service's; nothing was sent.
            SongSwapError: one of the service's own errors. Nothing else is raised.
        """
        failures = pauses = 0
        doubtful: HttpResponse | None = None
        send = partial(self._send_once, endpoint, method, url, request)
        while True:
            with timed(self._waiting, self._timing.monotonic):
                await self._wait_for_pause()
                await self._budget.take()
            response = await self._send_in_turn(send, doubtful)
            if isinstance(response, HttpResponse):
                doubtful = response if response.is_doubtful else None
            if doubtful:
                result: _T | Failure = _DIFFERS
            elif isinstance(response, Failure):
                result = response
            elif response.status == 429:
                pauses += 1
                await self._pause(response, pauses)
                continue
            else:
                result = judge(self._service, endpoint, response, parse)
            if not isinstance(result, Failure):
                return result
            failures += 1
            if failures >= max(self._where.tries, tries_if_lost if result.is_lost else 0):
                raise self._service.unavailable(
                    f"{self._service.name} gave no usable response to {endpoint} in {failures}"
                    f" tries; the last: {result.problem}. Nothing is lost yet: the next run asks"
                    " again."
                )
            wait_s = backoff_s(failures, self._where.first_wait_s, self._timing.jitter())
            with timed(self._waiting, self._timing.monotonic):
                await self._timing.sleep(wait_s)

    async def _send_in_turn(
        self, send: Callable[[], Awaitable[HttpResponse | Failure]], doubtful: HttpResponse | None
    ) -> HttpResponse | Failure:
        """Send a request, alone until a response agrees with the clock.

        Spotify may not give a response again, and by a wrong clock not even a pause is respected:
        so no request is sent that need not be.

        Args:
            send: sends it once.
            doubtful: the response before, whose Date differs from the clock. Where it is the clock
                that is wrong, it is the response.
        """
        if self._is_in_doubt:
            async with self._first:
                if self._is_in_doubt:
                    response = await self._send_unless_wrong(send, doubtful)
                    self._is_in_doubt = isinstance(response, HttpResponse) and response.is_doubtful
                    return response
        return await self._send_unless_wrong(send, doubtful)

    async def _send_unless_wrong(
        self, send: Callable[[], Awaitable[HttpResponse | Failure]], doubtful: HttpResponse | None
    ) -> HttpResponse | Failure:
        if self._watch and self._watch.wrong:
            if doubtful is None:
                raise self._watch.wrong
            return doubtful._replace(is_doubtful=False)
        return await send()

    async def _send_once(
        self, endpoint: str, method: str, url: str, request: Mapping[str, Any]
    ) -> HttpResponse | Failure:
        """Send a request once."""
        try:
            async with self._slots:
                sent_at = self._clock()
                with timed(self._in_flight, self._timing.monotonic):
                    async with self._session.request(
                        method, url, allow_redirects=False, **request
                    ) as response:
                        body = await bodies.read(response)
                        is_doubtful = not self._can_date(response.headers, sent_at)
                        status, headers = response.status, response.headers
        except Exception as error:  # noqa: BLE001 - it is named and counted
            # The HTTP library raises more than its own errors, of odd tokens and addresses too.
            # Whatever it is, it concerns this request alone, and its text may quote what was sent.
            self.calls[f"{endpoint} {type(error).__name__}"] += 1
            return failure_of(error)
        self.calls[f"{endpoint} {status}"] += 1
        return HttpResponse(status, headers, body, is_doubtful)

    def _can_date(self, headers: Mapping[str, str], sent_at: datetime) -> bool:
        return self._watch is None or self._watch.can_date(headers, sent_at)

    async def _wait_for_pause(self) -> None:
        """Wait while any 429 that this client received asks for it."""
        while (wait_s := self._resume_at - self._timing.monotonic()) > 0:
            await self._timing.sleep(wait_s)

    async def _pause(self, response: HttpResponse, pauses: int) -> None:
        """Note a 429's pause, or end the attempt when it is longer than an attempt may wait."""
        wait, is_quota = pause_of(response)
        is_endless = pauses > _MOST_PAUSES
        if is_endless:
            wait = max(wait, DEFAULT_PAUSE)
        is_long = is_endless or wait.total_seconds() > self._where.longest_wait_s
        # A long pause is stored by the caller, and respected by all runs.
        await self._budget.refused(timedelta() if is_long else wait, is_quota)
        if is_long:
            until = (self._watch.now() if self._watch else self._clock()) + wait
            raise RateLimited(
                f"{self._service.name} allows no more requests of this app until"
                f" {until:%Y-%m-%d %H:%M:%S} UTC. Responses received are stored; the first run"
                " after that requests the rest.",
                until,
                is_quota,
            )
        # "Retry-After: 0", again and again, would bring all requests back at once.
        wait_s = max(wait.total_seconds(), backoff_s(pauses, self._where.first_wait_s, 1.0))
        self._resume_at = max(self._resume_at, self._timing.monotonic() + wait_s)


@asynccontextmanager
async def open_session(where: settings.Spotify) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP session with our user agent, closed at the end."""
    # Unpacking is the larger part of what receiving a page costs.
    aiohttp.set_zlib_backend(zlib_ng)
    async with aiohttp.ClientSession(
        # Clients bound their requests: waiting for a connection would count as Spotify's time.
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=where.timeout_s),
        headers={"User-Agent": f"songswap-airflow/{version('songswap-airflow')}"},
        # What one response sets, no other user's request is to carry.
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield session
