"""Load answers of recently played: plays, what they tell of tracks, and the bookkeeping.

    rounds of answers ──▶ what tracks and artists they name ──▶ plays that are not known, gaps, the
                          state of each user, round by round

All of it is one transaction, so that what is noted as loaded is loaded. The tables' own keys decide
what is new: the same answers can be loaded again, and nothing changes. Loads wait for each other,
so that what was looked up holds; if somebody else inserts meanwhile, the keys refuse the load.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from songswap.models import Catalogue, Play, RecentPlays, RejectedItem
from songswap.transform.catalogue import merge_catalogues
from songswap.transform.history import UNTIMELY
from songswap.transform.values import moment
from songswap.warehouse import catalogue
from songswap.warehouse.copying import copy
from songswap.warehouse.exports.merge import merge
from songswap.warehouse.locks import lock_loads
from songswap.warehouse.polls import PACE_DECAY
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_HOUR = timedelta(hours=1)

KEY_TAKEN = "key taken by another track"


class ParsedResponse(NamedTuple):
    """One user's answer, transformed: what it holds, when it was given, where its raw form lies."""

    user_id: int
    observed_at: datetime
    raw_key: str
    fingerprint: bytes | None
    history: RecentPlays


class PollBatch(NamedTuple):
    """Answers of one time, at most one of each user, and all that they tell of tracks.

    ``now`` (UTC) decides whether metadata of what is heard again is stale.
    """

    answers: Sequence[ParsedResponse]
    catalogue: Catalogue
    now: datetime


@retried
def load(
    connection: psycopg.Connection, rounds: Sequence[PollBatch], run_id: str, stale_after: timedelta
) -> Counter[str]:
    """Load answers, with all that they tell, as if each round had been loaded before the next.

    Args:
        rounds: in the order in which Spotify gave each user's answers.
        stale_after: how old metadata of a track or artist that is heard again may be.

    Returns:
        New rows by name: plays, tracks, artists, artist_tracks, track_images, track_popularity,
        track_previews, rejected_items, data_fixes, gaps, gaps_closed; merged, the plays that an
        export had brought; and gone, the plays of users who are not there now.

    Raises:
        LoadIncomplete: rows were not in their table after their load; all is rolled back.
        psycopg.Error: the server's own, all is rolled back.
    """
    rows = merge_catalogues([one.catalogue for one in rounds])
    answers = [answer for one in rounds for answer in one.answers]
    with connection.transaction():
        this = _Load(connection, run_id, stale_after)
        lock_loads(connection)
        users = this.execute("lock_users", users=sorted({one.user_id for one in answers}))
        there = {user for (user,) in users}
        this.look_up([one for one in answers if one.user_id in there])
        counts, this.new_artists = catalogue.load(connection, rows)
        this.counts += counts
        for one in rounds:
            this.load(one, there)
        this.copy_plays()
        this.forget_untimely(there)
    return this.counts


def move_raw(connection: psycopg.Connection, user_id: int, observed_at: datetime, key: str) -> None:
    """Note that the raw answer, of which something was set aside, lies under another key."""
    connection.execute(
        statements("plays.sql")["move_raw"],
        {"user_id": user_id, "observed_at": observed_at, "key": key},
    )


_Key = tuple[int, datetime]


@dataclass(slots=True)
class _Load:
    """A load under way, in its transaction.

    ``known`` are the plays that are there in the time of which the answers speak, and their tracks;
    ``waiting`` are those of them that are not in the table yet.
    """

    connection: psycopg.Connection
    run_id: str
    stale_after: timedelta
    known: dict[_Key, str] = field(default_factory=dict)
    waiting: list[Play] = field(default_factory=list)
    new_artists: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    def execute(self, name: str, /, **parameters: object) -> psycopg.Cursor:
        about = {"run_id": self.run_id, "decay": PACE_DECAY}
        return self.connection.execute(statements("plays.sql")[name], about | parameters)

    def look_up(self, answers: Sequence[ParsedResponse]) -> None:
        """Look up which plays are there."""
        spans: dict[int, tuple[datetime, datetime]] = {}
        for one in answers:
            oldest, newest = one.history.oldest, one.history.newest
            if oldest and newest:
                before = spans.get(one.user_id, (oldest, newest))
                spans[one.user_id] = min(oldest, before[0]), max(newest, before[1])
        if spans:
            rows = self.execute(
                "known_plays",
                users=list(spans),
                oldest=[oldest for oldest, _ in spans.values()],
                newest=[newest for _, newest in spans.values()],
            )
            self.known = {(user_id, played_at): track for user_id, played_at, track in rows}

    def load(self, given: PollBatch, there: Collection[int]) -> None:
        """Load a round of the users who are there; the rows of its catalogue are loaded already."""
        told = sorted((one for one in given.answers if one.user_id in there), key=_user)
        gone = (len(one.history.plays) for one in given.answers if one.user_id not in there)
        self.counts["gone"] += sum(gone)
        merged, replaced = merge(
            self.connection, lambda: _new_plays(told, self.known)[0], _spans(told)
        )
        for key in replaced:
            self.known.pop(key, None)
        self.counts["merged"] += len(merged)
        self.counts["gaps"] += self.insert_gaps(told, merged)
        self.counts["gaps_closed"] += self.execute("close_gaps", **_spans(told)).rowcount
        plays, taken = _new_plays(told, self.known)
        self.known |= {play[:2]: play.track_id for play in plays}
        self.waiting += plays
        self.counts["plays"] += len(plays) - len(merged)
        self.counts["rejected_items"] += self.rejected_items(told, taken)
        self.counts["data_fixes"] += self.note(given)
        self.enqueue(given, plays)
        self.execute(
            "upsert_polls",
            **_spans(told),
            fingerprints=[_seen(one) for one in told],
            plays_per_hour=[_plays_per_hour(one) for one in told],
        )

    def copy_plays(self) -> None:
        """Copy the plays that wait for it, in key order."""
        copy(self.connection, "History", Play._fields, sorted(self.waiting))
        self.waiting.clear()

    def insert_gaps(self, told: Sequence[ParsedResponse], merged: Collection[_Key]) -> int:
        """Note where a full answer joins nothing that is known; how many gaps are new."""
        full = [
            one
            for one in told
            if one.history.full
            and not any(play[:2] in self.known or play[:2] in merged for play in one.history.plays)
        ]
        if not full:
            return 0
        # What the user had before it is looked for in the table.
        self.copy_plays()
        # An item whose time is none may be any play: it joins nothing. Nor does one that was set
        # aside for its time: others beside it may have been too, and are not loaded.
        aside = [
            (one, item)
            for one in full
            for item in one.history.rejected_items
            if item.reason != UNTIMELY and moment(item.played_at or "")
        ]
        return self.execute(
            "insert_gaps",
            **_spans(full),
            since=[one.history.since for one in full],
            aside_users=[answer.user_id for answer, _ in aside],
            fingerprints=[item.fingerprint for _, item in aside],
        ).rowcount

    def rejected_items(self, told: Sequence[ParsedResponse], taken: Sequence[Play]) -> int:
        """Set aside what cannot be a row, and the plays whose moment another track holds."""
        of = {one.user_id: one for one in told}
        items = [(one, item) for one in told for item in one.history.rejected_items]
        for play in taken:
            claim = f"{KEY_TAKEN} {play.played_at} {play.track_id}"
            digest = hashlib.sha256(claim.encode()).digest()
            item = RejectedItem(digest, KEY_TAKEN, play.played_at.isoformat())
            items.append((of[play.user_id], item))
        if not items:
            return 0
        columns = {
            "users": [one.user_id for one, _ in items],
            "fingerprints": [item.fingerprint for _, item in items],
            "reasons": [item.reason for _, item in items],
            "played_at": [item.played_at for _, item in items],
            "raw_keys": [one.raw_key for one, _ in items],
            "polled_at": [one.observed_at for one, _ in items],
        }
        self.execute("reject_earlier", **columns)
        return self.execute("insert_rejected_items", **columns).rowcount

    def forget_untimely(self, users: Collection[int]) -> None:
        """Take away what was set aside for its time and is loaded by now: the clock was wrong."""
        rows = self.execute("untimely", users=list(users), reason=UNTIMELY).fetchall()
        found = [
            (user_id, digest, at) for user_id, digest, text in rows if (at := moment(text or ""))
        ]
        if found:
            of, digests, moments = zip(*found, strict=True)
            self.execute(
                "forget_untimely", users=list(of), fingerprints=list(digests), moments=list(moments)
            )

    def note(self, given: PollBatch) -> int:
        """Note what was mended of tracks and artists."""
        if not given.catalogue.data_fixes:
            return 0
        kinds, ids, fields, problems = zip(*given.catalogue.data_fixes, strict=True)
        return self.execute(
            "insert_data_fixes",
            kinds=list(kinds),
            ids=list(ids),
            fields=list(fields),
            problems=list(problems),
            now=given.now,
        ).rowcount

    def enqueue(self, given: PollBatch, plays: Sequence[Play]) -> None:
        """Want what is unknown or stale of the tracks that were heard, and of their artists.

        Artists that were missing when their track was heard are wanted when they are told.
        """
        heard = sorted({play.track_id for play in plays})
        new_artists = sorted(self.new_artists.intersection(given.catalogue.artists))
        about = {"heard": heard, "now": given.now, "stale": given.now - self.stale_after}
        if heard:
            self.execute("enqueue_features", **about)
            self.execute("enqueue_tracks", **about, incomplete=list(given.catalogue.incomplete))
        if heard or new_artists:
            self.execute("enqueue_artists", **about, new_artists=new_artists)


def _new_plays(
    told: Sequence[ParsedResponse], known: Mapping[_Key, str]
) -> tuple[list[Play], list[Play]]:
    """The plays that are not known, in key order, and those whose key another track holds."""
    new: dict[_Key, Play] = {}
    taken: list[Play] = []
    for play in sorted(play for one in told for play in one.history.plays):
        key = play[:2]
        holder = known[key] if key in known else new.setdefault(key, play).track_id
        if holder != play.track_id:
            taken.append(play)
    return list(new.values()), taken


def _spans(told: Sequence[ParsedResponse]) -> dict[str, list[Any]]:
    """Of each answer: whose it is, when it was given, and the time of which it speaks."""
    return {
        "users": [one.user_id for one in told],
        "polled_at": [one.observed_at for one in told],
        "oldest": [one.history.oldest for one in told],
        "newest": [one.history.newest for one in told],
    }


def _seen(answer: ParsedResponse) -> bytes | None:
    """The fingerprint of an answer that need not be looked at again; None where it has to be."""
    is_untimely = any(item.reason == UNTIMELY for item in answer.history.rejected_items)
    return None if is_untimely else answer.fingerprint


def _user(answer: ParsedResponse) -> int:
    return answer.user_id


def _plays_per_hour(answer: ParsedResponse) -> int:
    """The plays of the hour before it."""
    return sum(play.played_at > answer.observed_at - _HOUR for play in answer.history.plays)
