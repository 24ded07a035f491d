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
    goal: str = ""
    met: bool | None = None


def speedup(
    what: str, ours_s: float, reference_s: float, at_least: float | None = None
) -> Measurement:
    """Compare two durations in seconds; the ratio is how many times faster ours is."""
    ratio = reference_s / ours_s
    return _judged(Measurement(what, ours_s, reference_s, "s", ratio), at_least=at_least)


def cost(
    what: str, ours: float, reference: float, unit: str, at_most: float | None = None
) -> Measurement:
    """Compare two costs; the ratio is how many times more ours is."""
    ratio = ours / reference
    return _judged(Measurement(what, ours, reference, unit, ratio), at_most=at_most)


def throughput(
    what: str, ours: float, reference: float, unit: str, at_least: float | None = None
) -> Measurement:
    """Compare two amounts per second."""
    ratio = ours / reference
    return _judged(Measurement(what, ours, reference, unit, ratio), at_least=at_least)


def value(
    what: str,
    ours: float,
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Measurement:
    """Report a value without a reference."""
    return _judged(Measurement(what, ours, None, unit, None), at_least=at_least, at_most=at_most)


def _judged(
    row: Measurement, *, at_least: float | None = None, at_most: float | None = None
) -> Measurement:
    """Add a goal, if there is one: of the ratio, or of our value where there is none."""
    judged, unit = (row.ours, f" {row.unit}") if row.ratio is None else (row.ratio, "×")
    if at_least is not None:
        return row._replace(goal=f"≥ {at_least:,g}{unit}", met=judged >= at_least)
    if at_most is not None:
        return row._replace(goal=f"≤ {at_most:,g}{unit}", met=judged <= at_most)
    return row


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
