"""Load the plays of responses of recently played, and what is known of their users.

    batches of responses ──▶ batch by batch: new plays, gaps, and when each user was polled
                                 └──▶ at the end: data fixes, and what is to be fetched

All of it is one transaction under the locks of its users, so that what is recorded as loaded is
loaded. Their tracks are stored before, see `songswap.warehouse.catalogue`. The tables' own keys
decide what is new: the same responses can be loaded again, and nothing changes.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

import psycopg

from songswap.models import Catalogue, DataFix, Play, RecentPlays
from songswap.transform.recent_plays import UNTIMELY
from songswap.transform.values import moment
from songswap.warehouse import data_fixes, enrichment_queue, rejected_items
from songswap.warehouse.catalogue import plan_by_key
from songswap.warehouse.copying import copy
from songswap.warehouse.enrichment_queue import Heard
from songswap.warehouse.exports.merge import Key, Merged, merge, near_streams
from songswap.warehouse.locks import lock_users
from songswap.warehouse.polls import PACE_DECAY
from songswap.warehouse.rejected_items import Rejected
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_HOUR = timedelta(hours=1)

_SQL = statements("plays.sql")


class ParsedResponse(NamedTuple):
    """A user's response, parsed: when Spotify gave it, and the key of its raw form."""

    user_id: int
    observed_at: datetime
    raw_key: str
    fingerprint: bytes | None
    history: RecentPlays


class PollBatch(NamedTuple):
    """Responses of one time, at most one a user, and the tracks and artists in them.

    ``now`` (UTC) decides whether the metadata of their tracks is stale. Of ``queued`` tracks, all
    that is to be fetched is in the enrichment queue already.
    """

    responses: Sequence[ParsedResponse]
    catalogue: Catalogue
    now: datetime
    queued: Collection[str] = frozenset()


@retried
def load(
    connection: psycopg.Connection,
    batches: Sequence[PollBatch],
    run_id: str,
    stale_after: timedelta,
) -> Counter[str]:
    """Load plays, as if each batch had been loaded before the next.

    Args:
        batches: in the order in which Spotify gave each user's responses.
        stale_after: the age at which metadata of a track or artist is queued again.

    Returns:
        New rows by name: plays, rejected_items, data_fixes, gaps, gaps_closed; merged, the plays
        that an export had brought; and gone, the plays of deleted and erased users.

    Raises:
        LoadIncomplete: rows were not in their table after their load; all is rolled back.
        psycopg.Error: the server's own, all is rolled back.
    """
    responses = [response for batch in batches for response in batch.responses]
    with connection.transaction():
        users = lock_users(connection, {response.user_id for response in responses})
        plan_by_key(connection)
        load = _Load(connection, run_id, stale_after, users)
        load.look_up(load.existing(responses))
        for batch in batches:
            load.load(batch)
        load.copy_plays()
        rejected_items.delete_loaded(connection, load.users)
        load.write_shared_rows()
    return load.counts


@dataclass(slots=True)
class _Load:
    """A load in its transaction.

    ``users`` are those who exist, and since when their responses are loaded. ``known`` are the
    tracks of plays by key, stored or new, in the time that the responses cover; ``waiting`` are the
    plays of them that have to be copied yet.
    ``fixes``, ``heard`` and ``incomplete`` are rows for tables that all users share.
    """

    connection: psycopg.Connection
    run_id: str
    stale_after: timedelta
    users: Mapping[int, datetime]
    known: dict[Key, str] = field(default_factory=dict)
    waiting: list[Play] = field(default_factory=list)
    fixes: list[tuple[DataFix, datetime]] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    incomplete: list[Heard] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def execute(self, name: str, /, **params: object) -> psycopg.Cursor:
        return self.connection.execute(_SQL[name], params)

    def existing(self, responses: Sequence[ParsedResponse]) -> list[ParsedResponse]:
        """Return the responses of users who exist and are not erased, in the order of their ids."""
        found = [
            response
            for response in responses
            if (since := self.users.get(response.user_id)) and response.observed_at > since
        ]
        return sorted(found, key=attrgetter("user_id"))

    def look_up(self, responses: Sequence[ParsedResponse]) -> None:
        """Look up the stored plays in the time that responses cover."""
        spans: dict[int, tuple[datetime, datetime]] = {}
        for response in responses:
            oldest, newest = response.history.oldest, response.history.newest
            if oldest and newest:
                span = spans.get(response.user_id, (oldest, newest))
                spans[response.user_id] = min(oldest, span[0]), max(newest, span[1])
        if spans:
            rows = self.execute(
                "known_plays",
                users=list(spans),
                oldest=[oldest for oldest, _ in spans.values()],
                newest=[newest for _, newest in spans.values()],
            ).fetchall()
            self.known = {(user_id, played_at): track for user_id, played_at, track in rows}

    def load(self, batch: PollBatch) -> None:
        """Load a batch, but for the plays and rows that are written at the end."""
        responses = self.existing(batch.responses)
        plays = sum(len(response.history.plays) for response in responses)
        merged = self.merge_plays(responses)
        gaps = self.insert_gaps(responses, merged)
        gaps_closed = self.execute("close_gaps", **_spans(responses)).rowcount
        new, conflicting = _new_plays(responses, self.known)
        self.known |= {play[:2]: play.track_id for play in new}
        self.waiting += new
        rejected = _rejected(responses, conflicting)
        rejected_items.keep_earliest(self.connection, rejected, self.run_id)
        self.counts.update(
            plays=len(new) - len(merged.plays),
            merged=len(merged.plays),
            gone=sum(len(each.history.plays) for each in batch.responses) - plays,
            gaps=gaps,
            gaps_closed=gaps_closed,
            rejected_items=rejected_items.store(self.connection, rejected, self.run_id),
        )
        self.fixes += ((fix, batch.now) for fix in batch.catalogue.data_fixes)
        self.note_heard(batch, new)
        self.record_responses(responses)

    def merge_plays(self, responses: Sequence[ParsedResponse]) -> Merged:
        """Replace plays of exports by those of the responses that they are."""
        streams = near_streams(self.connection, _spans(responses))
        if not streams:
            return Merged(set(), set())
        new, _ = _new_plays(responses, self.known)
        merged = merge(self.connection, new, streams)
        for key in merged.replaced:
            self.known.pop(key, None)
        return merged

    def copy_plays(self) -> None:
        """Copy the waiting plays, in key order."""
        copy(self.connection, "History", Play._fields, sorted(self.waiting))
        self.waiting.clear()

    def insert_gaps(self, responses: Sequence[ParsedResponse], merged: Merged) -> int:
        """Record a gap before each full response without a known play; return how many are new."""
        full = [
            response
            for response in responses
            if response.history.full
            and not any(
                play[:2] in self.known or play[:2] in merged.plays
                for play in response.history.plays
            )
        ]
        if not full:
            return 0
        # The statement looks in the table for the user's last play before.
        self.copy_plays()
        # A response that repeats a rejected item joins an earlier one: there is no gap. But an item
        # without a time can be any play, and beside an untimely one others may be rejected too.
        rejected = [
            (response.user_id, item.fingerprint)
            for response in full
            for item in response.history.rejected_items
            if item.reason != UNTIMELY and moment(item.played_at or "")
        ]
        return self.execute(
            "insert_gaps",
            **_spans(full),
            since=[response.history.since for response in full],
            rejected_users=[user_id for user_id, _ in rejected],
            fingerprints=[fingerprint for _, fingerprint in rejected],
            run_id=self.run_id,
        ).rowcount

    def note_heard(self, batch: PollBatch, plays: Sequence[Play]) -> None:
        """Note the tracks of new plays, and those that are incomplete.

        An incomplete track without a new play is queued only if it never was: whether its play is
        new depends on the load.
        """
        now, stale = batch.now, batch.now - self.stale_after
        tracks = {play.track_id for play in plays}.difference(batch.queued)
        incomplete = batch.catalogue.incomplete.difference(batch.queued)
        self.heard += (Heard(id_, now, stale) for id_ in tracks)
        self.incomplete += (Heard(id_, now, stale if id_ in tracks else None) for id_ in incomplete)

    def write_shared_rows(self) -> None:
        """Write what is shared with other users, at the end: nobody waits for it any longer."""
        self.counts["data_fixes"] = data_fixes.store(self.connection, self.fixes)
        enrichment_queue.enqueue_heard(self.connection, self.heard, self.incomplete)

    def record_responses(self, responses: Sequence[ParsedResponse]) -> None:
        """Record when users were polled, and how much they play."""
        self.execute(
            "upsert_polls",
            **_spans(responses),
            fingerprints=[_final_fingerprint(response) for response in responses],
            plays_per_hour=[_plays_of_last_hour(response) for response in responses],
            decay=PACE_DECAY,
        )


def _new_plays(
    responses: Sequence[ParsedResponse], known: Mapping[Key, str]
) -> tuple[list[Play], list[Play]]:
    """Return the plays that are not known, in key order, and those whose key has another track."""
    new: dict[Key, Play] = {}
    conflicting: list[Play] = []
    for play in sorted(play for response in responses for play in response.history.plays):
        key = play[:2]
        track_id = known[key] if key in known else new.setdefault(key, play).track_id
        if track_id != play.track_id:
            conflicting.append(play)
    return list(new.values()), conflicting


def _rejected(responses: Sequence[ParsedResponse], conflicting: Sequence[Play]) -> list[Rejected]:
    """Return the rejected items of responses, and their plays whose key has another track."""
    by_user = {response.user_id: response for response in responses}
    items = [(response, item) for response in responses for item in response.history.rejected_items]
    items += [(by_user[play.user_id], rejected_items.conflict(play)) for play in conflicting]
    return [
        Rejected(response.user_id, item, response.raw_key, response.observed_at)
        for response, item in items
    ]


def _spans(responses: Sequence[ParsedResponse]) -> dict[str, list[Any]]:
    """Return whose each response is, when Spotify gave it, and the time that it covers."""
    return {
        "users": [response.user_id for response in responses],
        "polled_at": [response.observed_at for response in responses],
        "oldest": [response.history.oldest for response in responses],
        "newest": [response.history.newest for response in responses],
    }


def _final_fingerprint(response: ParsedResponse) -> bytes | None:
    """Return the fingerprint; None for a response that has to be parsed again when it repeats."""
    is_untimely = any(item.reason == UNTIMELY for item in response.history.rejected_items)
    return None if is_untimely else response.fingerprint


def _plays_of_last_hour(response: ParsedResponse) -> int:
    since = response.observed_at - _HOUR
    return sum(play.played_at > since for play in response.history.plays)
