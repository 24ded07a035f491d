"""Decide what a response means, whether a request is sent again, and how long to wait: pure."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple, TypeVar

import aiohttp

from songswap.errors import SongSwapError
from songswap.web.bodies import BodyTooLarge

T = TypeVar("T")

# How long to pause after a 429 that does not say it: two windows, which is longer than a request
# waits. The quota is that of a rolling day, in which each hour makes some room.
DEFAULT_PAUSE = timedelta(seconds=60)
_QUOTA = timedelta(hours=1)
_DAY = timedelta(hours=24)
_LONGEST_PAUSE = timedelta(days=2)
_LONGEST_BACKOFF_S = 10.0

# Statuses that say "not now" of the request, though they are among those that refuse it.
_NOT_NOW = (408, 425)
# Statuses of a gateway that does not know what the service behind it did with the request.
_UNKNOWN_END = (502, 504)


class Service(NamedTuple):
    """A service, and its errors.

    ``refusal`` makes one of an endpoint, a status of 400-499 other than 408, 425 and 429, and a
    body; None where the body is not the service's own, but that of something before it.
    """

    name: str
    unavailable: type[SongSwapError]
    refusal: Callable[[str, int, bytes], SongSwapError | None]


class HttpResponse(NamedTuple):
    """A response as HTTP gave it; ``is_doubtful`` when its Date or the clock is wrong."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_doubtful: bool = False


class Failure(NamedTuple):
    """A request without a usable response; ``is_lost`` when the service may have done its work."""

    problem: str
    is_lost: bool = False


class Pause(NamedTuple):
    """How long a 429 asks to wait, and whether it is about the quota of a day."""

    wait: timedelta
    is_quota: bool


def judge(
    service: Service, endpoint: str, response: HttpResponse, parse: Callable[[bytes], T | None]
) -> T | Failure:
    """Parse a usable response, or say what is wrong with another than a 429.

    Raises:
        SongSwapError: the service itself refused the request.
    """
    status = response.status
    if status == 200:
        parsed = parse(response.body)
        return Failure("status 200, not whole JSON", True) if parsed is None else parsed
    if 300 <= status < 400:
        return Failure(f"status {status}, a redirect, which is not followed")
    if 400 <= status < 500 and status not in _NOT_NOW:
        refusal = service.refusal(endpoint, status, response.body)
        if refusal is not None:
            raise refusal
        return Failure(f"status {status}, not in the service's own words")
    return Failure(f"status {status}", status in _UNKNOWN_END)


def failure_of(error: Exception) -> Failure:
    """The failure of a request that raised: lost, unless it never reached the service."""
    never_sent = (aiohttp.ClientConnectorError, aiohttp.InvalidURL)
    maybe_done = (aiohttp.ClientError, TimeoutError, OSError, BodyTooLarge)
    is_lost = isinstance(error, maybe_done) and not isinstance(error, never_sent)
    return Failure(type(error).__name__, is_lost)


def backoff_s(failures: int, first_wait_s: float, jitter: float) -> float:
    """How many seconds to wait after so many failures: doubled each time, 10 s at most.

    Args:
        jitter: a factor, so that many that failed together do not come back together.
    """
    return min(first_wait_s * 2.0 ** (failures - 1), _LONGEST_BACKOFF_S) * jitter


def pause_of(response: HttpResponse) -> Pause:
    """The pause that a 429 asks for: ``Retry-After`` in seconds, else by the limit it names."""
    text = response.headers.get("Retry-After", "")
    is_quota = b"QUOTA_EXCEEDED" in response.body
    if not (text.isascii() and text.isdigit()):
        return Pause(_QUOTA if is_quota else DEFAULT_PAUSE, is_quota)
    wait = timedelta(seconds=int(text)) if len(text) < 9 else _DAY
    return Pause(min(wait, _LONGEST_PAUSE), is_quota)
