"""Add up how long parts of the work take, for the counts of a run.

    with durations.measured(): ──▶ with timed("s3"): … ──▶ durations.in_ms()

The code that takes the time knows no run: `timed` adds to the durations of the step in which it is
called, or whose task it is. An executor's thread has to measure for itself. Outside of `measured`
nothing is added.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Durations:
    """Durations by name, each the sum of its parts: ten tasks that wait for 1 s have waited 10."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Receive what is timed within the block; durations around it do not."""
        outer = _current.set(self)
        try:
            yield
        finally:
            _current.reset(outer)

    def add(self, name: str, seconds: float) -> None:
        """Add a part."""
        self._seconds[name] += seconds

    def in_ms(self) -> dict[str, int]:
        """Return the durations so far in milliseconds, as counts."""
        return {f"{name}_ms": round(1000 * seconds) for name, seconds in self._seconds.items()}


_current: ContextVar[Durations | None] = ContextVar("durations", default=None)


@contextmanager
def timed(name: str, monotonic: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Add the seconds of the block to the durations of the step, also where it raises."""
    durations = _current.get()
    started = monotonic()
    try:
        yield
    finally:
        if durations is not None:
            durations.add(name, monotonic() - started)
