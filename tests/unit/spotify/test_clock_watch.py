"""The clock against the Date of answers: one odd server stops nothing, a wrong clock does."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from songswap.spotify.clock_watch import ClockWatch

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)


def date(**late: float) -> dict[str, str]:
    return {"Date": format_datetime(NOW + timedelta(**late), usegmt=True)}


@pytest.mark.parametrize(
    ("late", "said"),
    [
        ({"hours": 26}, "26 hours slow"),
        ({"hours": -24}, "24 hours fast"),
        ({"minutes": 3}, "3 minutes slow"),
        ({"days": -400}, "400 days fast"),
    ],
)
def test_second_date_that_differs_alike_proves_a_wrong_clock(
    late: dict[str, float], said: str
) -> None:
    """The error says which way, by how much, and since when."""
    watch = ClockWatch(lambda: NOW)
    assert not watch.can_date(date(**late), NOW)
    assert (watch.wrong, watch.now()) == (None, NOW)
    assert watch.can_date(date(**late), NOW)
    assert said in str(watch.wrong)
    assert watch.now() == NOW + timedelta(**late)


def test_differs_a_little() -> None:
    """Two minutes are nothing to speak of."""
    watch = ClockWatch(lambda: NOW)
    assert all(watch.can_date(date(seconds=late), NOW) for late in (-120, -1, 0, 119, 120))
    assert (watch.wrong, watch.now()) == (None, NOW)


def test_date_within_a_long_request_agrees() -> None:
    for late in (-2, 5, 10, 12):
        assert ClockWatch(lambda: NOW + timedelta(minutes=10)).can_date(date(minutes=late), NOW)
    assert not ClockWatch(lambda: NOW + timedelta(minutes=10)).can_date(date(minutes=13), NOW)


def test_clock_confirmed_by_another_server_is_right() -> None:
    """What differs is dated by it."""
    watch = ClockWatch(lambda: NOW)
    assert watch.can_date(date(), NOW)
    assert all(watch.can_date(date(hours=5), NOW) for _ in range(3))
    assert (watch.wrong, watch.now()) == (None, NOW)


def test_servers_that_contradict_each_other_prove_nothing() -> None:
    watch = ClockWatch(lambda: NOW)
    assert not watch.can_date(date(hours=5), NOW)
    assert not watch.can_date(date(hours=-7), NOW)
    assert (watch.wrong, watch.now()) == (None, NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Date": ""},
        {"Date": "yesterday"},
        {"Date": "Sun, 99 Nov 2026 11:00:00 GMT"},
        {"Date": "Sun, 22 Nov 2026 11:00:00 -0000"},
        {**date(hours=-9), "Age": "32400"},
    ],
)
def test_says_nothing_of_the_time(headers: dict[str, str]) -> None:
    """No Date, one that cannot be read, or that of a cache."""
    watch = ClockWatch(lambda: NOW)
    assert all(watch.can_date(headers, NOW) for _ in range(3))
