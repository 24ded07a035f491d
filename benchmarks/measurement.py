"""A measurement: what was measured, against what, and whether it meets its goal."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

OnProgress = Callable[[str], None]
"""Takes what a part of the benchmark is doing, for the terminal."""


class Measurement(NamedTuple):
    """Our value and a reference's, both in ``unit``; a goal bounds their ratio, or our value.

    ``reference`` and ``ratio`` are None where nothing is compared, ``met`` where there is no goal.
    """

    what: str
    ours: float
    reference: float | None
    unit: str
    ratio: float | None
    goal: str
    met: bool | None


def speedup(
    what: str, ours_s: float, reference_s: float, at_least: float | None = None
) -> Measurement:
    """Compare two durations in seconds; the ratio is how many times faster ours is."""
    ratio = reference_s / ours_s
    if at_least is None:
        return Measurement(what, ours_s, reference_s, "s", ratio, "", None)
    goal = f"≥ {at_least:g}×"
    return Measurement(what, ours_s, reference_s, "s", ratio, goal, ratio >= at_least)


def cost(
    what: str, ours: float, reference: float, unit: str, at_most: float | None = None
) -> Measurement:
    """Compare two costs; the ratio is how many times more ours is."""
    ratio = ours / reference
    if at_most is None:
        return Measurement(what, ours, reference, unit, ratio, "", None)
    goal = f"≤ {at_most:g}×"
    return Measurement(what, ours, reference, unit, ratio, goal, ratio <= at_most)


def throughput(
    what: str, ours: float, reference: float, unit: str, at_least: float | None = None
) -> Measurement:
    """Compare two amounts per second."""
    ratio = ours / reference
    if at_least is None:
        return Measurement(what, ours, reference, unit, ratio, "", None)
    return Measurement(what, ours, reference, unit, ratio, f"≥ {at_least:g}×", ratio >= at_least)


def value(
    what: str,
    ours: float,
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Measurement:
    """Report a value without a reference."""
    if at_least is not None:
        return Measurement(
            what, ours, None, unit, None, f"≥ {at_least:,g} {unit}", ours >= at_least
        )
    if at_most is not None:
        return Measurement(what, ours, None, unit, None, f"≤ {at_most:,g} {unit}", ours <= at_most)
    return Measurement(what, ours, None, unit, None, "", None)


def medians(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """Return the median of each measure; they take turns, so that noise affects all alike."""
    values = [[measure() for measure in measures] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*values, strict=True)]


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds that a call takes in this process, over all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start
