"""What a response means, what is retried, and how long to wait."""

from contextlib import suppress
from datetime import timedelta

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.errors import SongSwapError, Unauthorized
from songswap.spotify.refusals import ACCOUNTS, WEB_API
from songswap.spotify.retry_policy import (
    Failure,
    HttpResponse,
    Pause,
    backoff_s,
    failure_of,
    judge,
    pause_of,
)
from songswap.web.bodies import BodyTooLarge

BODY = b'{"items": []}'
PAGE = b"<html>Bad gateway</html>"


def response(status: int, body: bytes = b"", **headers: str) -> HttpResponse:
    return HttpResponse(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, body
    )


def meaning(status: int, body: bytes = b"") -> bytes | Failure:
    return judge(WEB_API, "tracks", response(status, body), lambda body: body or None)


def test_usable_response_is_parsed() -> None:
    assert meaning(200, BODY) == BODY


@pytest.mark.parametrize(
    ("status", "is_lost"),
    [
        *((status, False) for status in (301, 302, 307, 308, 408, 425, 500, 503)),
        *((status, True) for status in (502, 504)),
    ],
)
def test_retried_status(status: int, is_lost: bool) -> None:
    """A gateway's 502 and 504 do not say whether the work behind it was done."""
    failure = meaning(status)
    assert isinstance(failure, Failure)
    assert failure.problem.startswith(f"status {status}")
    assert failure.is_lost is is_lost


def test_unusable_body_of_a_200_is_lost() -> None:
    assert meaning(200) == Failure("status 200, not whole JSON", True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 431])
def test_page_of_an_edge_is_retried(status: int) -> None:
    assert meaning(status, PAGE) == Failure(f"status {status}, not in the service's own words")


def test_refusal_is_raised_at_once() -> None:
    with pytest.raises(Unauthorized):
        meaning(401)


def test_accounts_never_refuse_with_a_web_api_body() -> None:
    failure = judge(ACCOUNTS, "token", response(404, b'{"error": {"status": 404}}'), bytes)
    assert failure == Failure("status 404, not in the service's own words")


@given(st.integers(100, 599), st.binary(max_size=50))
def test_any_response_has_a_meaning(status: int, body: bytes) -> None:
    with suppress(SongSwapError):
        assert isinstance(meaning(status, body), bytes | Failure)


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientPayloadError(), True),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (BodyTooLarge(), True),
        (aiohttp.ClientConnectorError(None, OSError()), False),  # type: ignore[arg-type]
        (aiohttp.InvalidURL("spotify"), False),
        (ValueError(), False),
    ],
)
def test_request_that_never_left_is_not_lost(error: Exception, is_lost: bool) -> None:
    assert failure_of(error) == Failure(type(error).__name__, is_lost)


def test_backoff_doubles_up_to_10_s() -> None:
    waits = [backoff_s(failures, 0.5, 1.0) for failures in range(1, 9)]
    assert waits == [0.5, 1, 2, 4, 8, 10, 10, 10]


@pytest.mark.parametrize("jitter", [0.5, 1.5])
def test_backoff_is_spread_by_jitter(jitter: float) -> None:
    assert backoff_s(2, 0.5, jitter) == jitter


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("0", 0),
        ("3", 3),
        ("015", 15),
        ("86400", 86_400),
        ("172800", 172_800),
        ("172801", 172_800),
        ("99999999", 172_800),
        ("999999999", 86_400),
        ("9" * 400, 86_400),
        *(
            (text, 60)
            for text in ("", " ", "-1", "+5", "1.5", "1e3", "5s", "soon", "²", "٣", "0x10")
        ),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60),
    ],
)
def test_retry_after(retry_after: str, seconds: int) -> None:
    """Whole seconds, two days at most; a day where there are absurdly many, else the window."""
    wait = timedelta(seconds=seconds)
    assert pause_of(response(429, Retry_After=retry_after)) == Pause(wait, is_quota=False)


def test_429_without_retry_after() -> None:
    """Two windows of 30 s, or an hour of the quota of a day."""
    assert pause_of(response(429)) == Pause(timedelta(seconds=60), is_quota=False)
    quota = response(429, b'{"error": {"reason": "QUOTA_EXCEEDED"}}')
    assert pause_of(quota) == Pause(timedelta(hours=1), is_quota=True)


def test_quota_with_retry_after_waits_as_told() -> None:
    quota = response(429, b"QUOTA_EXCEEDED", Retry_After="7")
    assert pause_of(quota) == Pause(timedelta(seconds=7), is_quota=True)
