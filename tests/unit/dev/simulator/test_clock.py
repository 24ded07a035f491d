"""A frozen clock moves only when it is set, and never back."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.dev.simulator.clock import Clock, ClockError, iso, parse_iso


def test_frozen_clock_moves_only_when_set() -> None:
    """It returns the time it was set to."""
    clock = Clock(1_000)
    assert (clock.now(), clock.now()) == (1_000, 1_000)
    clock.set(2_500)
    assert clock.now() == 2_500


def test_frozen_clock_refuses_to_go_back() -> None:
    """Responses that were sent cannot be unsent."""
    with pytest.raises(ClockError, match="cannot go back"):
        Clock(1_000).set(999)


def test_real_clock_cannot_be_set() -> None:
    """The error says how to get a clock that can."""
    with pytest.raises(ClockError, match="--clock frozen"):
        Clock().set(1)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_iso_is_read_back_to_the_millisecond(moment: datetime) -> None:
    """A formatted time has milliseconds and Z, and is parsed to the same time."""
    moment = moment.replace(tzinfo=UTC)
    ms = int(moment.timestamp()) * 1000 + moment.microsecond // 1000
    text = iso(ms)
    assert text == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert parse_iso(text) == ms


def test_time_without_a_zone_is_utc() -> None:
    """The clock of an admin call may leave out the zone."""
    assert parse_iso("2026-11-22T08:00") == parse_iso("2026-11-22T09:00+01:00")
