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
def test_second_answer_that_differs_alike(late: dict[str, float], said: str) -> None:
    """The first is in doubt; the second says which way and by how much, and the time from then."""
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


def test_answer_that_was_under_way_for_long() -> None:
    """A Date between the sending and the end agrees."""
    for late in (-2, 5, 10, 12):
        assert ClockWatch(lambda: NOW + timedelta(minutes=10)).can_date(date(minutes=late), NOW)
    assert not ClockWatch(lambda: NOW + timedelta(minutes=10)).can_date(date(minutes=13), NOW)


def test_one_server_with_a_wrong_clock() -> None:
    """Where another has agreed, the clock is right, and what differs is dated by it."""
    watch = ClockWatch(lambda: NOW)
    assert watch.can_date(date(), NOW)
    assert all(watch.can_date(date(hours=5), NOW) for _ in range(3))
    assert (watch.wrong, watch.now()) == (None, NOW)


def test_answers_that_differ_from_each_other() -> None:
    """Two servers that agree with nobody say nothing of our clock."""
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
