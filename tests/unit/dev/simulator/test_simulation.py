"""Contradictory options are refused, and the rate limit has a rolling window."""

from pathlib import Path
from typing import Any

import pytest

from songswap.dev.simulator.simulation import (
    QUOTA_WINDOW,
    RATE_WINDOW,
    OptionError,
    Options,
    Simulation,
)

NOW = 1_800_000_000_000


def test_rate_limit_has_a_rolling_window() -> None:
    """Each request counts for 30 s."""
    sim = Simulation.of(Options(clock="frozen", now=NOW, rate_limit=2))
    assert sim.count_request() is None
    sim.clock.set(NOW + 10_000)
    assert sim.count_request() is None
    assert sim.count_request() == RATE_WINDOW - 10_000
    sim.clock.set(NOW + RATE_WINDOW - 1)
    assert sim.count_request() == 1
    sim.clock.set(NOW + RATE_WINDOW)
    assert sim.count_request() is None
    assert sim.count_request() == 10_000


def test_rate_limit_of_zero_is_no_limit() -> None:
    """Every request passes."""
    sim = Simulation.of(Options(clock="frozen", now=NOW, rate_limit=0))
    assert [sim.count_request() for _ in range(100)] == [None] * 100


def test_quota_has_a_rolling_day() -> None:
    """Each request counts for 24 hours, unless the rate limit refused it."""
    sim = Simulation.of(Options(clock="frozen", now=NOW, rate_limit=2, quota=3))
    assert [sim.count_request() for _ in range(3)] == [None, None, RATE_WINDOW]
    assert sim.quota_wait() is None
    sim.clock.set(NOW + RATE_WINDOW)
    assert sim.count_request() is None
    assert sim.quota_wait() == QUOTA_WINDOW - RATE_WINDOW
    sim.clock.set(NOW + QUOTA_WINDOW)
    assert [sim.count_request() for _ in range(2)] == [None, None]
    assert sim.quota_wait() == RATE_WINDOW


@pytest.mark.parametrize(
    "options",
    [
        {"clock": "frozen"},
        {"now": NOW},
        {"recorded": (("", Path("x")),)},
    ],
)
def test_contradicting_options_are_refused(options: dict[str, Any]) -> None:
    """The error comes before anything is started."""
    with pytest.raises(OptionError):
        Options(**options)
