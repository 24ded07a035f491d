"""A figure: what was measured, against what, and whether it meets its goal."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Figure(NamedTuple):
    """Ours against a reference, both in ``unit``; a goal is about their ratio, or about ours.

    ``ratio`` is None where there is nothing to hold it against. ``met`` is None where there is no
    goal: the figure only informs.
    """

    what: str
    ours: float
    reference: float | None
    unit: str
    ratio: float | None
    goal: str
    met: bool | None


def speed(what: str, ours_s: float, reference_s: float, least: float | None = None) -> Figure:
    """How much faster ours is than the reference; both took so many seconds."""
    ratio = reference_s / ours_s
    if least is None:
        return Figure(what, ours_s, reference_s, "s", ratio, "", None)
    return Figure(what, ours_s, reference_s, "s", ratio, f"≥ {least:g}×", ratio >= least)


def cost(what: str, ours: float, reference: float, unit: str, most: float | None = None) -> Figure:
    """What ours costs against the reference."""
    ratio = ours / reference
    if most is None:
        return Figure(what, ours, reference, unit, ratio, "", None)
    return Figure(what, ours, reference, unit, ratio, f"≤ {most:g}×", ratio <= most)


def pace(what: str, ours: float, reference: float, unit: str) -> Figure:
    """How much is done in a second, by ours and by the reference."""
    return Figure(what, ours, reference, unit, ours / reference, "", None)


def bound(
    what: str,
    ours: float,
    unit: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> Figure:
    """A figure that stands alone."""
    if least is not None:
        return Figure(what, ours, None, unit, None, f"≥ {least:,g} {unit}", ours >= least)
    if most is not None:
        return Figure(what, ours, None, unit, None, f"≤ {most:,g} {unit}", ours <= most)
    return Figure(what, ours, None, unit, None, "", None)


def medians(times: int, *measured: Callable[[], float]) -> list[float]:
    """The median of each measure, taken in turns so that noise strikes all alike."""
    rounds = [[one() for one in measured] for _ in range(times)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def seconds(deed: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    deed()
    return time.perf_counter() - begun


def cpu_seconds(deed: Callable[[], object]) -> float:
    """How much processor time of this process it takes, all threads together."""
    begun = time.process_time()
    deed()
    return time.process_time() - begun
