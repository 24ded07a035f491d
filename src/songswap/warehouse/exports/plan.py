"""Decide what the import of an export writes, from what is stored of the user."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from songswap.models import Play, Stream
from songswap.transform.exports.classify import classify
from songswap.transform.exports.deduplicate import NewStreams, deduplicate, identity
from songswap.transform.exports.handed_over import Settled, settle
from songswap.transform.exports.name_matching import NameLookup
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule
from songswap.warehouse.exports.rows import from_rows

_play = partial(tuple.__new__, Play)


class Stored(NamedTuple):
    """A user's rows around the time of an export.

    ``plays`` have a time, a track id, and the outcome of their stream: None where they have none.
    """

    streams: list[tuple[Any, ...]]
    plays: list[tuple[datetime, str, str | None]]

    def has_rows_of(self, other: "Stored") -> bool:
        """Return whether the rows are the same, whatever the names of their tracks are by now."""
        return self.plays == other.plays and _nameless(self.streams) == _nameless(other.streams)


class LoadPlan(NamedTuple):
    """The rows that an import writes, and its ``counts`` of streams.

    The streams ``new``, in the order of their key, take the place of ``old``. Those of ``settled``
    become plays of the API. ``plays`` are new rows of "History", ``corrected`` are rows that get
    another track, and the rows at the times ``withdrawn`` are deleted: they come from account data,
    and the extended history says that they are no plays, or are plays of the API at another time.
    """

    counts: Counter[str]
    old: list[ClassifiedStream]
    new: list[ClassifiedStream]
    plays: list[Play]
    corrected: list[Play]
    withdrawn: list[datetime]
    settled: list[Settled]


def plan_load(
    user_id: int,
    streams: Sequence[Stream],
    stored: Stored,
    rule: Rule,
    names: NameLookup,
    handed_over: Collection[tuple[datetime, str]] | None = None,
) -> LoadPlan:
    """Classify the streams of an export, and plan the rows that this changes.

    Args:
        handed_over: of our own export, the plays of the API, time and track, that came with it.
    """
    known = from_rows(stored.streams)
    own = [play for play in stored.plays if play[:2] in (handed_over or ())]
    unjoined = {at: track_id for at, track_id, outcome in own if outcome is None}
    moved = settle(streams, known, unjoined, rule)
    merged = {pair.row: pair.merged for pair in moved}
    known = [merged.get(row, row) for row in known] if merged else known
    settled = {at for at, _, _ in own}
    streams, number = _without_known_plays(streams, known, settled)
    unique = deduplicate(streams, known, rule, is_settled=handed_over is not None)
    if number:
        unique.counts["duplicates"] += number
    joined, left = {pair.played_at for pair in moved}, {pair.row.played_at for pair in moved}
    unmatched = [
        (at, track_id)
        for at, track_id, outcome in stored.plays
        if outcome is None and at not in joined
    ]
    taken = [at for at, _, _ in stored.plays if at not in left]
    classified = classify(unique, known, unmatched, taken, rule, names, settled)
    counts = unique.counts + Counter(str(row.outcome) for row in classified)

    old, new = _changes(unique, classified)
    new.sort(key=attrgetter("stream.ended_at", "stream.ms_played", "place"))
    loaded = [
        _play((user_id, row.played_at, row.stream.track_id))
        for row in new
        if row.outcome is Outcome.LOADED
    ]
    freed = [*old, *(pair.row for pair in moved)]
    had_play = {row.played_at for row in freed}
    has_play = {row.played_at for row in new}
    return LoadPlan(
        counts,
        old,
        new,
        plays=sorted(play for play in loaded if play.played_at not in had_play),
        corrected=[play for play in loaded if play.played_at in had_play],
        withdrawn=sorted(
            {
                row.played_at
                for row in freed
                if row.outcome is Outcome.LOADED and row.played_at not in has_play and row.played_at
            }
        ),
        settled=moved,
    )


def with_earlier(counts: Counter[str], earlier: Mapping[str, int]) -> Counter[str]:
    """Return what became of an import's rows of which some were loaded before, as part of it.

    Args:
        counts: of the import, to which the plays of those are duplicates.
        earlier: what became of those.
    """
    total = Counter(counts)
    for outcome in (Outcome.LOADED.value, Outcome.MERGED.value):
        known = min(earlier.get(outcome, 0), total["duplicates"])
        total[outcome] += known
        total["duplicates"] -= known
    for new_rows in ("tracks", "data_fixes", "gaps_closed"):
        total[new_rows] += earlier.get(new_rows, 0)
    return total


def _without_known_plays(
    streams: Sequence[Stream], known: Sequence[ClassifiedStream], settled: Set[datetime]
) -> tuple[Sequence[Stream], int]:
    """Leave out streams whose play of the API is stored with an exact stream; return how many.

    That is mostly the same one; of two rows of one play, the stored one stays.
    """
    if not settled:
        return streams, 0
    exact = {row.played_at for row in known if row.played_at and not row.stream.to_the_minute}
    taken = settled & exact
    left = [stream for stream in streams if stream.played_at not in taken]
    return left, len(streams) - len(left)


def _nameless(streams: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [row[:3] + row[5:] for row in streams]


def _changes(
    unique: NewStreams, classified: Sequence[ClassifiedStream]
) -> tuple[list[ClassifiedStream], list[ClassifiedStream]]:
    """Return the stored streams to delete, and those to insert."""
    old, new = [*unique.replaces.values(), *unique.superseded], []
    for row in classified:
        before = unique.stored.get(identity(row.stream)) if unique.stored else None
        if before and before.outcome is row.outcome:
            continue
        if before:
            old.append(before)
        new.append(row)
    return old, new
