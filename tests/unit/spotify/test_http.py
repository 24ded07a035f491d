"""The HTTP client's retries, waits and pauses, without a network: responses are scripted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import repeat
from typing import Any, cast

import aiohttp
import pytest

from songswap.durations import Durations
from songswap.errors import ClockWrong, Forbidden, QuotaReserved, RateLimited, SpotifyUnavailable
from songswap.settings import Spotify
from songswap.spotify.clock_watch import ClockWatch
from songswap.spotify.http import HttpClient, Timing, whole
from songswap.spotify.refusals import WEB_API

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
BODY = b'{"items": []}'
LOST = aiohttp.ServerDisconnectedError()


@dataclass
class Scripted:
    """A response, and its own content: the parts of its body."""

    status: int = 200
    body: bytes = BODY
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1

    def __post_init__(self) -> None:
        self.content = self
        self._parts = repeat(self.body, self.times)

    def set_read_chunk_size(self, _: int) -> None:
        """The parts are as they are."""

    async def readany(self) -> bytes:
        return next(self._parts, b"")


def down() -> Scripted:
    return Scripted(503)


def limited(seconds: object) -> Scripted:
    return Scripted(429, headers={"Retry-After": str(seconds)})


def dated(**late: float) -> Scripted:
    return Scripted(headers={"Date": format_datetime(NOW + timedelta(**late), usegmt=True)})


@dataclass
class Session:
    """Gives scripted responses, one a request, and records requests and how many are in flight."""

    script: list[Scripted | Exception]
    takes_time: bool = False
    takes: Callable[[], Awaitable[None]] | None = None
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    open: int = 0

    @asynccontextmanager
    async def request(self, method: str, url: str, **options: Any) -> AsyncIterator[Scripted]:
        self.requests.append((method, url, options))
        self.open += 1
        self.in_flight.append(self.open)
        response = self.script.pop(0)
        try:
            if self.takes_time:
                await asyncio.sleep(0)
            if self.takes:
                await self.takes()
            if isinstance(response, Exception):
                raise response
            yield response
        finally:
            self.open -= 1


@dataclass
class FakeTime:
    """Time that passes in sleeps alone."""

    waits: list[float] = field(default_factory=list)
    now_s: float = 0.0

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        wakes_at = self.now_s + seconds
        await asyncio.sleep(0)
        self.now_s = max(self.now_s, wakes_at)


@dataclass
class Allowance:
    """A budget that records what it is told."""

    taken: int = 0
    wait: Callable[[], Awaitable[None]] | None = None
    refusals: list[tuple[timedelta, bool]] = field(default_factory=list)
    reserved: QuotaReserved | None = None

    async def take(self) -> None:
        if self.reserved:
            raise self.reserved
        if self.wait:
            await self.wait()
        self.taken += 1

    async def refused(self, wait: timedelta, quota: bool) -> None:
        self.refusals.append((wait, quota))


class Caller:
    """A client of scripted responses, with all that it was given."""

    def __init__(
        self, *script: Scripted | Exception, watched: bool = False, **patience: Any
    ) -> None:
        self.session, self.time, self.budget = Session(list(script)), FakeTime(), Allowance()
        self.watch = ClockWatch(lambda: NOW) if watched else None
        self.calls: Counter[str] = Counter()
        self.client = HttpClient(
            cast(aiohttp.ClientSession, self.session),
            WEB_API,
            Spotify("app", "hush", **patience),
            lambda: NOW,
            self.calls,
            self.budget,
            self.watch,
            Timing(self.time.sleep, lambda: self.time.now_s, lambda: 1.0),
        )

    async def send(self, **options: Any) -> bytes:
        return await self.client.send("tracks", "GET", "http://spotify/tracks", whole, **options)


async def test_response_is_returned() -> None:
    caller = Caller(Scripted())
    assert await caller.send(params={"ids": "a"}) == BODY
    assert caller.session.requests == [
        ("GET", "http://spotify/tracks", {"allow_redirects": False, "params": {"ids": "a"}})
    ]
    assert (caller.calls, caller.budget.taken) == ({"tracks 200": 1}, 1)


@pytest.mark.parametrize(
    "failure",
    [
        *(Scripted(status) for status in (302, 408, 425, 500, 502, 503, 504)),
        Scripted(403, b"<html>"),
        Scripted(200, b'{"items": ['),
        aiohttp.ServerDisconnectedError(),
        TimeoutError(),
        ValueError("of an odd token"),
    ],
)
async def test_failure_is_retried(failure: Scripted | Exception) -> None:
    caller = Caller(failure, Scripted())
    assert await caller.send() == BODY
    assert (caller.time.waits, caller.budget.taken) == ([0.5], 2)


async def test_waits_double_until_the_tries_are_used() -> None:
    caller = Caller(*(down() for _ in range(4)))
    with pytest.raises(SpotifyUnavailable, match="tracks in 4 tries; the last: status 503"):
        await caller.send()
    assert caller.time.waits == [0.5, 1, 2]
    assert caller.calls == {"tracks 503": 4}


async def test_refusal_is_not_retried() -> None:
    caller = Caller(Scripted(403, b""))
    with pytest.raises(Forbidden):
        await caller.send(tries_if_lost=8)
    assert caller.time.waits == []


async def test_redirect_is_not_followed() -> None:
    """The error names its status, and not where it leads."""
    elsewhere = {"Location": "http://elsewhere/hush"}
    caller = Caller(Scripted(302, headers=elsewhere), tries=1)
    with pytest.raises(SpotifyUnavailable, match="a redirect, which is not followed") as failed:
        await caller.send()
    assert "elsewhere" not in str(failed.value)


async def test_lost_response_is_retried_longer() -> None:
    caller = Caller(*[LOST] * 7, Scripted())
    assert await caller.send(tries_if_lost=8) == BODY
    assert caller.time.waits == [0.5, 1, 2, 4, 8, 10, 10]
    assert caller.calls == {"tracks ServerDisconnectedError": 7, "tracks 200": 1}


async def test_request_that_was_not_done_has_the_usual_tries() -> None:
    """Also where an earlier response was lost: the last failure decides."""
    caller = Caller(LOST, LOST, LOST, down())
    with pytest.raises(SpotifyUnavailable, match="in 4 tries"):
        await caller.send(tries_if_lost=8)


async def test_body_is_bounded() -> None:
    endless = Scripted(200, b" " * 2**20, times=10**6)
    caller = Caller(endless, tries=1)
    with pytest.raises(SpotifyUnavailable, match="BodyTooLarge"):
        await caller.send()
    assert caller.calls == {"tracks BodyTooLarge": 1}


async def test_error_says_nothing_of_what_was_sent() -> None:
    caller = Caller(ValueError("Bearer hush"), tries=1)
    with pytest.raises(SpotifyUnavailable, match="the last: ValueError") as failed:
        await caller.send()
    assert "hush" not in str(failed.value)


async def test_short_pause_is_waited_for() -> None:
    """It is no failure, and the budget learns from it. Until the window has passed, it is short: a
    batch that ended would leave the rest of its users to the next hour."""
    caller = Caller(limited(31), limited(3), Scripted(), tries=1)
    assert await caller.send() == BODY
    assert caller.time.waits == [31, 3]
    assert caller.budget.refusals == [(timedelta(seconds=31), False), (timedelta(seconds=3), False)]


async def test_pause_delays_every_request_of_the_client() -> None:
    caller = Caller(limited(3), Scripted(), Scripted())
    assert [*await asyncio.gather(caller.send(), caller.send())] == [BODY, BODY]
    assert caller.time.waits == [3, 3]


@pytest.mark.parametrize(
    ("response", "seconds", "is_quota"),
    [
        (limited(36), 36, False),
        (limited(86_400), 86_400, False),
        (limited("soon"), 60, False),
        (Scripted(429), 60, False),
        (Scripted(429, b"QUOTA_EXCEEDED"), 3600, True),
    ],
)
async def test_long_pause_ends_the_attempt(
    response: Scripted, seconds: int, is_quota: bool
) -> None:
    """No worker sleeps on it; the error says until when, and the caller stores it."""
    caller = Caller(response)
    with pytest.raises(RateLimited) as paused:
        await caller.send()
    assert paused.value.until == NOW + timedelta(seconds=seconds)
    assert caller.time.waits == []
    assert caller.budget.refusals == [(timedelta(), is_quota)]


async def test_pauses_without_end_end_the_attempt() -> None:
    """Whoever says 0 again and again does not get all requests back at once."""
    caller = Caller(*(limited(0) for _ in range(12)))
    with pytest.raises(RateLimited) as paused:
        await caller.send()
    assert caller.time.waits == [0.5, 1, 2, 4, 8, *[10] * 5]
    assert paused.value.until == NOW + timedelta(seconds=60)


async def test_nothing_is_sent_without_budget() -> None:
    caller = Caller()
    caller.budget.reserved = QuotaReserved("The rest is reserved for plays.", NOW)
    with pytest.raises(QuotaReserved):
        await caller.send()
    assert caller.session.requests == []


async def test_requests_in_flight_are_bounded() -> None:
    caller = Caller(*(Scripted() for _ in range(9)), in_flight=3)
    caller.session.takes_time = True
    await asyncio.gather(*(caller.send() for _ in range(9)))
    assert max(caller.session.in_flight) == 3
    assert caller.calls == {"tracks 200": 9}


async def test_response_with_another_date_is_retried() -> None:
    caller = Caller(dated(hours=5), dated(), watched=True)
    assert await caller.send() == BODY
    assert caller.time.waits == [0.5]
    assert caller.watch is not None
    assert caller.watch.wrong is None


async def test_wrong_clock_stops_the_client_but_not_its_response() -> None:
    """The second response that differs alike is used; nothing more is sent."""
    caller = Caller(dated(hours=5), dated(hours=5), watched=True)
    assert await caller.send() == BODY
    with pytest.raises(ClockWrong, match="5 hours slow"):
        await caller.send()
    assert len(caller.session.requests) == 2


async def test_wrong_clock_does_not_shorten_a_pause() -> None:
    """It lasts by the service's time."""
    late = dated(hours=5).headers
    paused = Scripted(429, headers={**late, "Retry-After": "60"})
    caller = Caller(dated(hours=5), paused, watched=True)
    with pytest.raises(RateLimited) as error:
        await caller.send()
    assert error.value.until == NOW + timedelta(hours=5, seconds=60)


async def test_requests_are_sent_alone_until_a_date_agrees() -> None:
    caller = Caller(dated(hours=5), *(dated() for _ in range(4)), watched=True)
    caller.session.takes_time = True
    assert await asyncio.gather(*(caller.send() for _ in range(4))) == [BODY] * 4
    assert caller.session.in_flight[:2] == [1, 1]
    assert max(caller.session.in_flight) > 1


@pytest.mark.parametrize("body", [BODY, b' \n{"items": []}\n', b"{}"])
def test_whole_body(body: bytes) -> None:
    assert whole(body) == body


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"items": [', b"<html>", b'"}'])
def test_truncated_body(body: bytes) -> None:
    assert whole(body) is None


async def test_time_in_flight_is_told_from_that_before() -> None:
    """Each try takes 3 s, also one that fails; the pause, the budget and the wait after a failure
    pass before a request."""
    caller, durations = Caller(limited(5), LOST, Scripted()), Durations()
    caller.session.takes = partial(caller.time.sleep, 3)
    caller.budget.wait = partial(caller.time.sleep, 0.25)
    with durations.measured():
        await caller.send()
    waited = 3 * 250 + 5000 + 500
    assert durations.in_ms() == {"spotify_ms": 3 * 3000, "spotify_wait_ms": waited}


async def test_wait_that_ends_without_a_request_counts() -> None:
    caller, durations = Caller(), Durations()

    async def no_room() -> None:
        await caller.time.sleep(2)
        raise QuotaReserved("The rest is for plays.", NOW)

    caller.budget.wait = no_room
    with durations.measured(), pytest.raises(QuotaReserved):
        await caller.send()
    assert durations.in_ms() == {"spotify_wait_ms": 2000}
