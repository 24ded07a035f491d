"""Time moves by orders only, and never back."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.dev.simulator.clock import Clock, ClockError, iso, parse_iso


def test_frozen_clock_moves_only_when_set() -> None:
    """A frozen clock shows what it was set to."""
    clock = Clock(1_000)
    assert (clock.now(), clock.now()) == (1_000, 1_000)
    clock.set(2_500)
    assert clock.now() == 2_500


def test_frozen_clock_refuses_to_go_back() -> None:
    """What was told cannot be untold: time does not turn back."""
    with pytest.raises(ClockError, match="cannot go back"):
        Clock(1_000).set(999)


def test_real_clock_cannot_be_set() -> None:
    """Real time takes no orders."""
    with pytest.raises(ClockError, match="--clock frozen"):
        Clock().set(1)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_iso_is_read_back_to_the_millisecond(moment: datetime) -> None:
    """A written time has milliseconds and Z, and reads back as it was."""
    moment = moment.replace(tzinfo=UTC)
    ms = int(moment.timestamp()) * 1000 + moment.microsecond // 1000
    text = iso(ms)
    assert text == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert parse_iso(text) == ms


def test_time_without_a_zone_is_utc() -> None:
    """An order without a zone means UTC."""
    assert parse_iso("2026-11-22T08:00") == parse_iso("2026-11-22T09:00+01:00")
