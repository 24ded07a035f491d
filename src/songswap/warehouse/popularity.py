"""Decide which observations of a track's popularity become rows, in whatever order they come.

Only the earliest observation of each track, UTC day and value does. So a constant value has a row a
day, each change has its own, and the same responses give the same rows in any order and in any
batches.

Observations are exact to the millisecond. Of several values in one millisecond the largest has its
row there, and each smaller one ``100 - value`` microseconds later, where no other value can be: so
none is lost, and later observations are compared with all of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from songswap.models import Popularity

_US = timedelta(microseconds=1)
_LARGEST = 100


class Moved(NamedTuple):
    """A row to move from ``instead_of`` to ``date``."""

    id: str
    date: datetime
    instead_of: datetime


class Comparison(NamedTuple):
    """The changes to the rows.

    First the rows ``moved`` go to free places, then the rows ``following``, one by one, to places
    that others have left, and then the ``new`` rows are added. Tracks in ``known`` do not change.
    """

    new: list[Popularity]
    moved: list[Moved]
    following: list[Moved]
    known: set[str]


_Dates = dict[int, datetime]
"""When each value of a track and day was observed."""


def compare(observed: Iterable[Popularity], stored: Iterable[Popularity]) -> Comparison:
    """Compare observations with the stored rows of the same tracks and days.

    Args:
        observed: in any order; the earliest of each track, day and value counts.
        stored: all rows of these tracks in these days.
    """
    rows = _by_day(stored)
    comparison = Comparison([], [], [], set())
    changed: set[str] = set()
    for (id_, day), of_day in _by_day(observed).items():
        if len(of_day) == 1 and (id_, day) not in rows:
            ((moment, value),) = of_day
            comparison.new.append(Popularity(id_, _floor(moment), value))
            changed.add(id_)
            continue
        dates, taken = _dates(rows.get((id_, day), ()))
        new = {
            value: moment
            for moment, value in of_day
            if value not in dates or _floor(moment) < _floor(dates[value])
        }
        if new:
            changed.add(id_)
            _place(id_, dates, new, taken, comparison)
        else:
            comparison.known.add(id_)
    comparison.known.difference_update(changed)
    comparison.new.sort()
    comparison.following.sort()
    return comparison


def _by_day(
    rows: Iterable[Popularity],
) -> Mapping[tuple[str, date], list[tuple[datetime, int]]]:
    """Group moments and values by track and day, the latest first, so that the earliest wins."""
    days: defaultdict[tuple[str, date], list[tuple[datetime, int]]] = defaultdict(list)
    for id_, moment, value in rows:
        days[id_, moment.date()].append((moment, value))
    for of_day in days.values():
        of_day.sort(reverse=True)
    return days


def _dates(rows: Iterable[tuple[datetime, int]]) -> tuple[_Dates, set[datetime]]:
    """Return when each value was observed, and the dates of further rows with these values."""
    dates: _Dates = {}
    taken = set()
    for moment, value in rows:
        if value in dates:
            taken.add(dates[value])
        dates[value] = moment
    return dates, taken


def _place(
    id_: str, dates: _Dates, new: _Dates, taken: set[datetime], comparison: Comparison
) -> None:
    """Add the new rows of a track and day to a comparison, and the rows that have to move."""
    occupied = taken | set(dates.values())
    largest: dict[datetime, int] = {}
    values = {value: _floor(moment) for value, moment in (dates | new).items()}
    for value, moment in values.items():
        largest[moment] = max(value, largest.get(moment, value))
    for value, moment in values.items():
        alone = largest[moment] == value and moment not in taken
        place = moment if alone else moment + (_LARGEST - value) * _US
        if value not in dates:
            comparison.new.append(Popularity(id_, place, value))
        elif place != dates[value]:
            moves = comparison.following if place in occupied else comparison.moved
            moves.append(Moved(id_, place, dates[value]))


def _floor(moment: datetime) -> datetime:
    """Round a moment down to the millisecond."""
    beyond = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - beyond) if beyond else moment
