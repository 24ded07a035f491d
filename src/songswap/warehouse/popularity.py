"""Which observations of a track's popularity are rows, whatever the order in which they come.

Of each track, UTC day and value the earliest observation alone is one. So a value that stays has a
row a day, one that changes has its own, and the same answers give the same rows in any order and in
any batches.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from songswap.models import Popularity


class Earlier(NamedTuple):
    """An observation at ``date`` that precedes the one that is known, at ``instead_of``."""

    id: str
    date: datetime
    instead_of: datetime


class Comparison(NamedTuple):
    """What is told beside what is known: new rows, earlier ones, tracks of which all is known."""

    new: list[Popularity]
    earlier: list[Earlier]
    known: set[str]


def compare(told: Iterable[Popularity], found: Iterable[Popularity]) -> Comparison:
    """Compare observations with the rows of the same tracks and days.

    Of two values at the very same moment one alone can be a row: the one that is there, or the
    smaller.

    Args:
        told: the earliest of each track, day and value.
        found: all rows of the tracks in those days; of tracks that are new there are none.
    """
    taken: set[tuple[str, datetime]] = set()
    earliest: dict[tuple[str, date, int], datetime] = {}
    for row in found:
        taken.add(row[:2])
        key = _key(row)
        earliest[key] = min(row.date, earliest.get(key, row.date))
    comparison = Comparison([], [], set())
    unknown: set[str] = set()
    for row in sorted(told):
        before = earliest.get(_key(row)) if earliest else None
        if (before is not None and before <= row.date) or row[:2] in taken:
            comparison.known.add(row.id)
            continue
        unknown.add(row.id)
        taken.add(row[:2])
        if before is None:
            comparison.new.append(row)
        else:
            comparison.earlier.append(Earlier(row.id, row.date, before))
    comparison.known.difference_update(unknown)
    return comparison


def _key(row: Popularity) -> tuple[str, date, int]:
    return row.id, row.date.date(), row.popularity
