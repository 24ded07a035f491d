"""Load plays of the API that another warehouse, or this one, has handed over.

They are loaded as if the API had returned them again: with the time and track that it gave. A play
that an export brought first gives way to them. They prove nothing about the time between them, so
no gap is found or closed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from songswap.models import Play
from songswap.warehouse import rejected_items
from songswap.warehouse.catalogue import plan_by_key
from songswap.warehouse.copying import copy
from songswap.warehouse.exports.merge import merge, near_streams
from songswap.warehouse.rejected_items import Rejected
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_PLAYS_AT_ONCE = 5_000
"""Plays of a transaction, so that other loads of the user wait for moments alone."""

_SQL = statements("plays.sql")


class OwnPlay(NamedTuple):
    """A play that was handed over, and the key of the object that has its row."""

    played_at: datetime
    track_id: str
    raw_key: str


class Loading(NamedTuple):
    """For whom plays are loaded, and as part of which import.

    ``lock_user`` locks the user until the end of a transaction.
    """

    user_id: int
    import_id: str
    now: datetime
    lock_user: Callable[[], None]


def load(
    connection: psycopg.Connection, loading: Loading, plays: Sequence[OwnPlay]
) -> Counter[str]:
    """Load plays whose tracks exist, some thousand in a transaction.

    Returns:
        Counts, of which each play has one: loaded; merged, in the place of an export's; duplicates,
        stored before; repeated, twice among them; and rejected_items, at a time that has another
        track.

    Raises:
        LoadIncomplete: rows were not in the table after their load. What was loaded before stays.
        psycopg.Error: the server's own; likewise.
    """
    counts: Counter[str] = Counter()
    for part in _parts(sorted(plays)):
        counts += _load_part(connection, loading, part)
    return counts


def _parts(plays: Sequence[OwnPlay]) -> Iterator[Sequence[OwnPlay]]:
    for begin in range(0, len(plays), _PLAYS_AT_ONCE):
        yield plays[begin : begin + _PLAYS_AT_ONCE]


@retried
def _load_part(
    connection: psycopg.Connection, loading: Loading, plays: Sequence[OwnPlay]
) -> Counter[str]:
    """Load plays that are in the order of time, in one transaction."""
    span: dict[str, list[Any]] = {
        "users": [loading.user_id],
        "oldest": [plays[0].played_at],
        "newest": [plays[-1].played_at],
    }
    with connection.transaction():
        loading.lock_user()
        plan_by_key(connection)
        known = {at: track_id for _, at, track_id in connection.execute(_SQL["known_plays"], span)}
        sorted_out = _sort_out(loading, plays, known)
        new = sorted_out.new
        merged = merge(connection, new, near_streams(connection, span)) if new else None
        copy(connection, "History", Play._fields, new)
        rejected_items.store(connection, sorted_out.rejected, loading.import_id)
    moved = len(merged.plays) if merged else 0
    return sorted_out.counts + Counter(loaded=len(new) - moved, merged=moved)


class _SortedOut(NamedTuple):
    """Plays that are new, those that cannot be rows, and the counts of the others."""

    new: list[Play]
    rejected: list[Rejected]
    counts: Counter[str]


def _sort_out(loading: Loading, plays: Sequence[OwnPlay], known: dict[datetime, str]) -> _SortedOut:
    result = _SortedOut([], [], Counter())
    new: dict[datetime, str] = {}
    for play in plays:
        stored, earlier = known.get(play.played_at), new.get(play.played_at)
        row = Play(loading.user_id, play.played_at, play.track_id)
        if play.track_id in (stored, earlier):
            result.counts["duplicates" if stored else "repeated"] += 1
        elif stored is None and earlier is None:
            new[play.played_at] = play.track_id
            result.new.append(row)
        else:
            item = rejected_items.conflict(row)
            result.rejected.append(Rejected(loading.user_id, item, play.raw_key, loading.now))
            result.counts["rejected_items"] += 1
    return result
