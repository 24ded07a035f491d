"""Options that make sense, and the rate limit's rolling window."""

from pathlib import Path

import pytest

from songswap.dev.simulator.simulation import WINDOW, OptionError, Options, Simulation

NOW = 1_800_000_000_000


def test_window_rolls() -> None:
    """A place is free again 30 s after it was taken, not at a fixed border."""
    sim = Simulation.of(Options(clock="frozen", now=NOW, rate_limit=2))
    assert sim.take_place() is None
    sim.clock.set(NOW + 10_000)
    assert sim.take_place() is None
    assert sim.take_place() == WINDOW - 10_000
    sim.clock.set(NOW + WINDOW - 1)
    assert sim.take_place() == 1
    sim.clock.set(NOW + WINDOW)
    assert sim.take_place() is None
    assert sim.take_place() == 10_000


def test_no_limit_lets_everything_pass() -> None:
    """A rate limit of 0 is none."""
    sim = Simulation.of(Options(clock="frozen", now=NOW, rate_limit=0))
    assert [sim.take_place() for _ in range(100)] == [None] * 100


@pytest.mark.parametrize(
    "options",
    [
        {"clock": "frozen"},
        {"now": NOW},
        {"users": -1},
        {"rate_limit": -1},
        {"rotate_refresh_tokens": 1.1},
        {"recorded": (("", Path("x")),)},
    ],
)
def test_contradicting_options_are_refused(options: dict) -> None:
    """What cannot be meant is said before anything starts."""
    with pytest.raises(OptionError):
        Options(**options)
