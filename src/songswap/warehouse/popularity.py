"""Which observations of a track's popularity are rows, whatever the order in which they come.

Of each track, UTC day and value the earliest observation alone is one. So a value that stays has a
row a day, one that changes has its own, and the same answers give the same rows in any order and in
any batches.

Observations are exact to the millisecond. Of values that were observed in the same one the largest
has its row there, and each smaller one ``100 - value`` microseconds later, where no other value
can be: none is lost, so that what comes later finds all of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from songswap.models import Popularity

_US = timedelta(microseconds=1)
_LARGEST = 100


class Moved(NamedTuple):
    """A row that has its place at ``date`` instead of ``instead_of``."""

    id: str
    date: datetime
    instead_of: datetime


class Comparison(NamedTuple):
    """What is told beside what is known.

    ``new`` are rows to add after those of ``moved`` have found a free place, and then those of
    ``following``, one after the other, a place that another has left. Of the tracks in ``known``
    all was known.
    """

    new: list[Popularity]
    moved: list[Moved]
    following: list[Moved]
    known: set[str]


_Dates = dict[int, datetime]
"""When each value of a track and day was observed."""


def compare(told: Iterable[Popularity], found: Iterable[Popularity]) -> Comparison:
    """Compare observations with the rows of the same tracks and days.

    Args:
        told: of each track, day and value at most one matters, the earliest.
        found: all rows of the tracks in those days; of tracks that are new there are none.
    """
    there = _by_day(found)
    comparison = Comparison([], [], [], set())
    unknown: set[str] = set()
    for (id_, day), observed in _by_day(told).items():
        dates, taken = _known(there.get((id_, day), ()))
        news = {
            value: moment
            for moment, value in observed
            if value not in dates or _floor(moment) < _floor(dates[value])
        }
        if news:
            unknown.add(id_)
            _place(id_, dates, news, taken, comparison)
        else:
            comparison.known.add(id_)
    comparison.known.difference_update(unknown)
    comparison.new.sort()
    comparison.following.sort()
    return comparison


def _by_day(
    rows: Iterable[Popularity],
) -> Mapping[tuple[str, date], list[tuple[datetime, int]]]:
    """The moments and values of each track and day, the latest first, so that the earliest wins."""
    days: defaultdict[tuple[str, date], list[tuple[datetime, int]]] = defaultdict(list)
    for id_, moment, value in rows:
        days[id_, moment.date()].append((moment, value))
    for of_day in days.values():
        of_day.sort(reverse=True)
    return days


def _known(rows: Iterable[tuple[datetime, int]]) -> tuple[_Dates, set[datetime]]:
    """When each value was observed, and the places of rows that stand there beside these."""
    dates: _Dates = {}
    taken = set()
    for moment, value in rows:
        if value in dates:
            taken.add(dates[value])
        dates[value] = moment
    return dates, taken


def _place(
    id_: str, dates: _Dates, news: _Dates, taken: set[datetime], comparison: Comparison
) -> None:
    """Add what is new of a track and day, and the rows that have to move for it."""
    occupied = taken | set(dates.values())
    largest: dict[datetime, int] = {}
    values = {value: _floor(moment) for value, moment in (dates | news).items()}
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
    """A moment to the millisecond."""
    beyond = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - beyond) if beyond else moment
