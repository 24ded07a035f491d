"""Load answers of recently played: plays, what they tell of tracks, and the bookkeeping.

    answers ──▶ what of them is known, by key ──▶ the rest ──COPY──▶ the platform's tables

All of it is one transaction, so that what is noted as loaded is loaded. The tables' own keys decide
what is new: the same answers can be loaded again, and nothing changes. Loads wait for each other,
so that what was looked up holds; if somebody else inserts meanwhile, the keys refuse the load.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from songswap.models import Catalogue, History, Play, Popularity, SetAside
from songswap.transform.value import moment
from songswap.warehouse import popularity
from songswap.warehouse.copying import copy
from songswap.warehouse.merge import merge
from songswap.warehouse.sql import statements

FULL_ANSWER = 50
"""The number of items of an answer that may have had more to tell."""

CALMER = 0.9
"""What is left of a user's pace with each answer that tells of fewer plays: half after seven."""

_HOUR = timedelta(hours=1)

KEY_TAKEN = "key taken by another track"

_CATALOGUE = {
    "tracks": ("Tracks", 1),
    "artists": ("Artists", 1),
    "artist_tracks": ("ArtistTracks", 2),
    "track_popularity": ("TrackPopularity", 2),
    "track_images": ("TrackImages", 3),
    "track_previews": ("TrackPreviews", 1),
}
"""By its name in a catalogue: the table, after those it refers to, and how many of its columns, the
first ones, are its key."""


class Answer(NamedTuple):
    """One user's answer, transformed: what it holds, when it was given, where its raw form lies."""

    user_id: int
    observed_at: datetime
    raw_key: str
    fingerprint: bytes | None
    history: History


@dataclass(frozen=True, slots=True)
class Staleness:
    """When metadata of a track or artist that is heard again is asked for again."""

    now: datetime
    after: timedelta

    @property
    def limit(self) -> datetime:
        """What was observed before this moment is stale."""
        return self.now - self.after


def load(
    connection: psycopg.Connection,
    answers: Sequence[Answer],
    catalogue: Catalogue,
    run_id: str,
    staleness: Staleness,
) -> Counter[str]:
    """Load ``answers``, at most one of each user, and all rows of ``catalogue``.

    Returns:
        New rows by name: plays, tracks, artists, track_images, track_popularity, track_previews,
        set_aside, notes, gaps, gaps_closed; merged, the plays that an export had told; and gone,
        the plays of users who are not there now.

    Raises:
        LoadIncomplete: rows were not in their table after their load; all is rolled back.
        psycopg.Error: the server's own, all is rolled back.
    """
    counts: Counter[str] = Counter()
    with connection.transaction():
        this = _Load(connection, catalogue, run_id, staleness)
        this.execute("alone")
        rows = this.execute("lock_users", users=[one.user_id for one in answers])
        there = {user for (user,) in rows}
        told = sorted((one for one in answers if one.user_id in there), key=lambda a: a.user_id)
        if len(told) < len(answers):
            counts["gone"] = sum(
                len(one.history.plays) for one in answers if one.user_id not in there
            )
        known = this.known_plays(told)
        merged, replaced = merge(connection, lambda: _new_plays(told, known)[0], _spans(told))
        if replaced:
            known = {key: track for key, track in known.items() if key not in replaced}
        counts["merged"] = len(merged)
        counts["gaps"] = this.insert_gaps(told, known.keys() | merged)
        counts["gaps_closed"] = this.execute("close_gaps", **_spans(told)).rowcount
        counts |= this.copy_catalogue()
        plays, taken = _new_plays(told, known)
        counts["plays"] = copy(connection, "History", plays) - len(merged)
        counts["set_aside"] = this.set_aside(told, taken)
        counts["notes"] = this.note()
        heard = sorted({play.track_id for play in plays})
        for name in ("want_features", "want_tracks", "want_artists") if heard else ():
            this.execute(name, heard=heard, incomplete=list(catalogue.incomplete))
        this.execute(
            "upsert_polls",
            **_spans(told),
            fingerprints=[one.fingerprint for one in told],
            paces=[_pace(one) for one in told],
        )
    return counts


def move_raw(connection: psycopg.Connection, user_id: int, observed_at: datetime, key: str) -> None:
    """Note that the raw answer, of which something was set aside, lies under another key."""
    connection.execute(
        statements("history.sql")["move_raw"],
        {"user_id": user_id, "observed_at": observed_at, "key": key},
    )


_Key = tuple[int, datetime]


@dataclass(frozen=True, slots=True)
class _Load:
    """A load under way, in its transaction."""

    connection: psycopg.Connection
    catalogue: Catalogue
    run_id: str
    staleness: Staleness

    def execute(self, name: str, /, **parameters: object) -> psycopg.Cursor:
        about = {
            "run_id": self.run_id,
            "now": self.staleness.now,
            "stale": self.staleness.limit,
            "calmer": CALMER,
        }
        return self.connection.execute(statements("history.sql")[name], about | parameters)

    def known_plays(self, told: Sequence[Answer]) -> dict[_Key, str]:
        """The plays in the time that the answers speak of, and their tracks."""
        rows = self.execute("known_plays", **_spans(told))
        return {(user_id, played_at): track_id for user_id, played_at, track_id in rows}

    def insert_gaps(self, told: Sequence[Answer], known: Collection[_Key]) -> int:
        """Note where a full answer joins nothing that is known; how many gaps are new."""
        full = [
            one
            for one in told
            if one.history.items >= FULL_ANSWER
            and not any(play[:2] in known for play in one.history.plays)
        ]
        if not full:
            return 0
        # An item whose time is none may be any play: it joins nothing.
        aside = [(a, s) for a in full for s in a.history.set_aside if moment(s.played_at or "")]
        return self.execute(
            "insert_gaps",
            **_spans(full),
            aside_users=[answer.user_id for answer, _ in aside],
            fingerprints=[item.fingerprint for _, item in aside],
        ).rowcount

    def copy_catalogue(self) -> Counter[str]:
        """Copy what is not known of tracks and artists, and complete it; new rows by name."""
        counts = Counter[str]()
        there = self._lacking("tracks", self.catalogue.tracks)
        observed = self._compare_popularity(there)
        rows = _told_anew(self.catalogue, observed.known - self._waiting(observed.known))
        # Of a new track nothing can be known: only the others are looked up.
        of = [track.id for track in rows["tracks"] if track.id in there]
        artists = self._lacking("artists", [artist.id for artist in rows["artists"]])
        known = {
            "tracks": {(id_,) for id_ in there},
            "artists": {(id_,) for id_ in artists},
            "artist_tracks": self._known("artist_tracks", of),
            "track_popularity": set[tuple[Any, ...]](),
            "track_images": self._known("track_images", of),
            "track_previews": self._known("track_previews", of),
        }
        self._complete("tracks", [row for row in rows["tracks"] if there.get(row.id)])
        self._complete("artists", [row for row in rows["artists"] if artists.get(row.id)])
        self._observe_earlier(observed.earlier)
        for name, (table, key) in _CATALOGUE.items():
            told = observed.new if name == "track_popularity" else rows[name]
            new = sorted(row for row in told if row[:key] not in known[name])
            counts[name] = copy(self.connection, table, new)
        return counts

    def _known(self, name: str, ids: Collection[str]) -> set[tuple[Any, ...]]:
        return set(self.execute(f"known_{name}", ids=list(ids))) if ids else set()

    def _lacking(self, name: str, ids: Collection[str]) -> dict[str, bool]:
        """Which of these tracks or artists are known, and whether they lack a name or duration."""
        return dict(self.execute(f"known_{name}", ids=list(ids))) if ids else {}

    def _compare_popularity(self, there: Collection[str]) -> popularity.Comparison:
        """What is told of popularity beside what is known of it in the same days."""
        told = self.catalogue.track_popularity.values()
        of = [row for row in told if row.id in there]
        found: list[Popularity] = []
        if of:
            days = [row.date.date() for row in of]
            span = {"first": min(days), "last": max(days)}
            rows = self.execute("popularity", ids=list({row.id for row in of}), **span)
            found = [Popularity(*row) for row in rows]
        return popularity.compare(told, found)

    def _waiting(self, ids: Collection[str]) -> set[str]:
        """The tracks of which something was missing and is still to be asked for."""
        if not ids:
            return set()
        return {id_ for (id_,) in self.execute("waiting_tracks", ids=list(ids))}

    def _complete(self, name: str, rows: Sequence[NamedTuple]) -> None:
        """Fill in what an earlier answer had left out of tracks or artists."""
        if rows:
            self.execute(f"complete_{name}", **_columns(rows))

    def _observe_earlier(self, earlier: Sequence[popularity.Earlier]) -> None:
        """Put observations in the place of those that they precede."""
        if earlier:
            self.execute("observe_earlier", **_columns(earlier))

    def set_aside(self, told: Sequence[Answer], taken: Sequence[Play]) -> int:
        """Set aside what cannot be a row, and the plays whose moment another track holds."""
        of = {one.user_id: one for one in told}
        items = [(one, item) for one in told for item in one.history.set_aside]
        for play in taken:
            claim = f"{KEY_TAKEN} {play.played_at} {play.track_id}"
            digest = hashlib.sha256(claim.encode()).digest()
            item = SetAside(digest, KEY_TAKEN, play.played_at.isoformat())
            items.append((of[play.user_id], item))
        if not items:
            return 0
        columns = {
            "users": [one.user_id for one, _ in items],
            "fingerprints": [item.fingerprint for _, item in items],
            "reasons": [item.reason for _, item in items],
            "played_at": [item.played_at for _, item in items],
            "raw_keys": [one.raw_key for one, _ in items],
            "asked_at": [one.observed_at for one, _ in items],
        }
        self.execute("set_aside_earlier", **columns)
        return self.execute("insert_set_aside", **columns).rowcount

    def note(self) -> int:
        """Note what was mended of tracks and artists."""
        if not self.catalogue.notes:
            return 0
        kinds, ids, fields, problems = zip(*self.catalogue.notes, strict=True)
        return self.execute(
            "insert_notes",
            kinds=list(kinds),
            ids=list(ids),
            fields=list(fields),
            problems=list(problems),
        ).rowcount


def _columns(rows: Sequence[NamedTuple]) -> dict[str, list[Any]]:
    """Rows as one list for each of their columns, by its name."""
    return {name: [getattr(row, name) for row in rows] for name in rows[0]._fields}


def _told_anew(catalogue: Catalogue, old: Collection[str]) -> dict[str, list[Any]]:
    """The rows of a catalogue that may be new, by name, without those of tracks in ``old``.

    A track whose popularity was told before on the same day was looked at then: its artists, images
    and preview are looked at again on another day. What was missing then is asked of ``/tracks``.
    """
    links = [link for link in catalogue.artist_tracks.values() if link.track_id not in old]
    named = {link.artist_id for link in links}
    return {
        "tracks": [row for row in catalogue.tracks.values() if row.id not in old],
        "artists": [row for row in catalogue.artists.values() if row.id in named],
        "artist_tracks": links,
        "track_images": [row for row in catalogue.track_images.values() if row.id not in old],
        "track_previews": [row for row in catalogue.track_previews.values() if row.id not in old],
    }


def _new_plays(told: Sequence[Answer], known: Mapping[_Key, str]) -> tuple[list[Play], list[Play]]:
    """The plays that are not known, in key order, and those whose key another track holds."""
    holders = dict(known)
    new: list[Play] = []
    taken: list[Play] = []
    for play in sorted(play for one in told for play in one.history.plays):
        holder = holders.setdefault(play[:2], play.track_id)
        if holder != play.track_id:
            taken.append(play)
        elif play[:2] not in known and (not new or new[-1] != play):
            new.append(play)
    return new, taken


def _spans(told: Sequence[Answer]) -> dict[str, list[Any]]:
    """Of each answer: whose it is, when it was given, and the time of which it speaks."""
    return {
        "users": [one.user_id for one in told],
        "asked_at": [one.observed_at for one in told],
        "oldest": [one.history.oldest for one in told],
        "newest": [one.history.newest for one in told],
    }


def _pace(answer: Answer) -> int:
    """The plays of the hour before it."""
    return sum(play.played_at > answer.observed_at - _HOUR for play in answer.history.plays)
