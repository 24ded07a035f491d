"""Load the streams of a user's export: plays into "History", all of them into songswap.streams.

    streams + what is stored ──▶ plan ──▶ tracks, by shard ──▶ songswap.streams, "History"

The streams of an export are one transaction, under the lock of the user: they are stored as a whole
or not at all, and the same export again changes nothing. Their tracks are stored before.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from songswap.errors import FIND_ID, ExportRefused
from songswap.models import ExportTrack, Play, RejectedItem, Stream
from songswap.transform.exports.handed_over import Settled
from songswap.transform.exports.intervals import LONGEST_PAUSE
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule
from songswap.warehouse import erasures, rejected_items
from songswap.warehouse.catalogue import plan_by_key
from songswap.warehouse.exports import own_plays
from songswap.warehouse.exports.own_plays import Loading, OwnPlay
from songswap.warehouse.exports.plan import LoadPlan, Stored, plan_load, with_earlier
from songswap.warehouse.exports.rows import copy_plays, copy_streams
from songswap.warehouse.exports.tracks import (
    descriptions,
    identify,
    store_tracks,
    track_names,
    undescribed,
)
from songswap.warehouse.locks import lock_users
from songswap.warehouse.rejected_items import Rejected
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_DAY = timedelta(days=1)

_SQL = statements("exports/streams.sql")


class HandedOver(NamedTuple):
    """What only our own export has: plays of the API, and what is to be said of tracks.

    ``earlier_plays`` came with an earlier one: its streams can be these too.
    """

    plays: Sequence[OwnPlay]
    tracks: Sequence[ExportTrack]
    earlier_plays: Collection[tuple[datetime, str]] = ()


class Export(NamedTuple):
    """An export, ready to be loaded.

    ``spans`` are the times that it covers without a hole; ``rejected_items`` come with the key of
    the object that holds their row, ``raw_keys`` are all objects. ``is_replay`` marks an export
    that is read from the archive. ``handed_over`` is there where it is one of ours.
    """

    user_id: int
    streams: Sequence[Stream]
    spans: Sequence[tuple[datetime, datetime]]
    rejected_items: Sequence[tuple[RejectedItem, str]]
    raw_keys: Sequence[str]
    is_replay: bool = False
    handed_over: HandedOver | None = None


def id_of_replay(run_id: str, user_id: int, imported_at: datetime) -> str:
    """Return the id under which a replay records an import that it is the first to load."""
    return f"{run_id}{_replayed(user_id, imported_at)}"


def _replayed(user_id: int, imported_at: datetime) -> str:
    return f"__user{user_id}__{imported_at:%Y-%m-%dT%H:%M:%S}"


def spotify_id(connection: psycopg.Connection, user_id: int) -> str:
    """Return a user's id at Spotify.

    Raises:
        ExportRefused: there is no such user, or the user is erased.
    """
    if erased_at := erasures.in_force_since(connection, user_id):
        raise ExportRefused(
            f"User {user_id} was erased at the request of {erased_at:%Y-%m-%d %H:%M} UTC, and has"
            " not authorized the app again. Nothing was imported."
        )
    row = connection.execute(_SQL["spotify_id"], {"user_id": user_id}).fetchone()
    if row is None:
        raise ExportRefused(
            f"There is no user {user_id} in the warehouse. Nothing was imported: the web app, or"
            f" 'songswap connect', adds users. {FIND_ID}"
        )
    return str(row[0])


def api_plays(
    connection: psycopg.Connection, user_id: int, since: datetime, until: datetime
) -> list[tuple[datetime, str]]:
    """Return the times and tracks of a user's plays that the API returned."""
    params = {"user_id": user_id, "since": since, "until": until}
    rows = connection.execute(_SQL["stored_plays"], params)
    return [(at, track_id) for at, track_id, outcome in rows if outcome != Outcome.LOADED]


def load(
    connection: psycopg.Connection,
    export: Export,
    import_id: str,
    rule: Rule,
    counts: Mapping[str, int],
    now: datetime,
) -> Counter[str]:
    """Load an export, and record it in ``songswap.imports``.

    Args:
        counts: of the rows that are no streams; recorded together with those of the streams.

    Returns:
        ``counts`` and, of the streams: duplicates (of an earlier import), repeated (in this one),
        short, private, unidentified, merged, loaded; and new rows: tracks, data_fixes, gaps_closed.
        Plays of the API in our own export are loaded, merged, duplicates or repeated.

    Raises:
        ExportRefused: the user is gone.
        LoadIncomplete: rows were not in their table after their load; no stream was loaded.
        psycopg.Error: the server's own; likewise.
    """
    load = _Load(connection, export, import_id, now)
    tracks: Counter[str] = Counter()
    counts = Counter(counts) + load.load_plays(tracks)
    while True:
        # Planned before other loads of the user have to wait. Who has the user's lock takes none of
        # tracks: where the rows have changed meanwhile, all is planned again, without it.
        stored = load.read_stored()
        plan = load.plan(stored, rule)
        load.store_tracks(plan, tracks)
        total = counts + plan.counts + tracks
        if _write(connection, load, plan, stored, total):
            return total


@retried
def _write(
    connection: psycopg.Connection,
    load: "_Load",
    plan: LoadPlan,
    stored: Stored,
    total: Counter[str],
) -> bool:
    """Write what was planned by the rows ``stored``; false where they have changed meanwhile."""
    with connection.transaction():
        load.lock_user()
        plan_by_key(connection)
        if not load.read_stored().has_rows_of(stored):
            return False
        load.write(plan)
        total["gaps_closed"] = load.close_gaps()
        load.store_rejected_items()
        load.record_import(total)
    return True


@dataclass(frozen=True, slots=True)
class _Load:
    """The load of one export."""

    connection: psycopg.Connection
    export: Export
    import_id: str
    now: datetime

    def execute(self, name: str, **params: Any) -> psycopg.Cursor:
        common = {"user_id": self.export.user_id, "run_id": self.import_id, "now": self.now}
        return self.connection.execute(_SQL[name], common | params)

    def load_plays(self, tracks: Counter[str]) -> Counter[str]:
        """Load the plays of the API in our own export: before its streams, some of which they are.

        Args:
            tracks: the new rows of tracks are added to it.
        """
        if self.export.handed_over is None:
            return Counter()
        plays, known, _ = self.export.handed_over
        described = undescribed(self.connection, known, self.export.streams)
        names = {track.id: track.name or "" for track in known}
        heard = {play.track_id: names.get(play.track_id, "") for play in plays}
        # Rows of tracks are everybody's: a hand-over describes those alone that it needs.
        needed = heard.keys() | {stream.track_id for stream in self.export.streams}
        rows = {track.id: track for track in described if track.id in needed}
        rows |= {id_: ExportTrack(id_) for id_ in heard.keys() - rows.keys()}
        store_tracks(self.connection, list(rows.values()), heard, self.now, tracks)
        loading = Loading(self.export.user_id, self.import_id, self.now, self.lock_user)
        return own_plays.load(self.connection, loading, plays)

    def read_stored(self) -> Stored:
        """Read the user's rows around the time of the export."""
        streams = self.export.streams
        if not streams:
            return Stored([], [])
        since = min(stream.ended_at for stream in streams) - _DAY
        until = max(stream.reported_at or stream.ended_at for stream in streams) + _DAY
        rows = self.execute("stored_streams", since=since, until=until).fetchall()
        since -= LONGEST_PAUSE + _DAY
        return Stored(rows, self.execute("stored_plays", since=since, until=until).fetchall())

    def plan(self, stored: Stored, rule: Rule) -> LoadPlan:
        """Plan the rows to write; reads the names of tracks where they are needed."""
        user_id, streams = self.export.user_id, self.export.streams
        names = partial(track_names, self.connection)
        if self.export.handed_over is None:
            streams = identify(self.connection, user_id, streams)
            return plan_load(user_id, streams, stored, rule, names)
        # Which tracks its streams are was decided where it comes from.
        plays = {(play.played_at, play.track_id) for play in self.export.handed_over.plays}
        plays.update(self.export.handed_over.earlier_plays)
        return plan_load(user_id, streams, stored, rule, names, plays)

    def lock_user(self) -> None:
        """Keep the user from being deleted until the end of the transaction.

        Raises:
            ExportRefused: the user is gone or erased, or this is from before the user was erased.
        """
        user_id = self.export.user_id
        since = lock_users(self.connection, [user_id]).get(user_id)
        if since is None:
            spotify_id(self.connection, user_id)
        elif self.now <= since:
            raise ExportRefused(
                f"This export of user {user_id} was imported before the user was erased. Nothing of"
                " it was loaded."
            )

    def store_tracks(self, plan: LoadPlan, counts: Counter[str]) -> None:
        """Store the tracks of new streams; adds the new rows to ``counts``."""
        if plan.new:
            rows = descriptions(row.stream for row in plan.new)
            if self.export.handed_over:
                # Our own export says itself how long each track is: see `load_plays`.
                described = {track.id for track in self.export.handed_over.tracks}
                rows = [row._replace(duration_ms=0) if row.id in described else row for row in rows]
            loaded = [row.stream for row in plan.new if row.outcome is Outcome.LOADED]
            heard = {row.track_id: row.track_name or "" for row in loaded if row.track_id}
            store_tracks(self.connection, rows, heard, self.now, counts)

    def write(self, plan: LoadPlan) -> None:
        """Write the planned rows."""
        if not plan.new and not plan.settled:
            return
        self.mark_merged(plan.settled)
        self.delete_streams(plan.old)
        self.delete_plays(plan.withdrawn)
        copy_plays(self.connection, plan.plays)
        self.correct_plays(plan.corrected)
        copy_streams(self.connection, self.export.user_id, plan.new)

    def mark_merged(self, settled: Collection[Settled]) -> None:
        if settled:
            self.execute(
                "mark_merged",
                users=[self.export.user_id] * len(settled),
                played_at=[pair.played_at for pair in settled],
                track_ids=[pair.track_id for pair in settled],
                ended_at=[pair.row.stream.ended_at for pair in settled],
                ms_played=[pair.row.stream.ms_played for pair in settled],
                places=[pair.row.place for pair in settled],
            )

    def delete_streams(self, old: Collection[ClassifiedStream]) -> None:
        if old:
            self.execute(
                "delete_streams",
                ended_at=[row.stream.ended_at for row in old],
                ms_played=[row.stream.ms_played for row in old],
                places=[row.place for row in old],
            )

    def delete_plays(self, times: Sequence[datetime]) -> None:
        if times:
            users = [self.export.user_id] * len(times)
            self.execute("delete_plays", users=users, played_at=list(times))

    def correct_plays(self, plays: Sequence[Play]) -> None:
        """Give plays that come from names alone the track that is known by its id."""
        if plays:
            self.execute(
                "correct_plays",
                played_at=[play.played_at for play in plays],
                track_ids=[play.track_id for play in plays],
            )

    def close_gaps(self) -> int:
        oldest = [since for since, _ in self.export.spans]
        newest = [until for _, until in self.export.spans]
        return self.execute("close_gaps", oldest=oldest, newest=newest).rowcount

    def store_rejected_items(self) -> None:
        user_id = self.export.user_id
        rows = [Rejected(user_id, item, key, self.now) for item, key in self.export.rejected_items]
        rejected_items.store(self.connection, rows, self.import_id)

    def record_import(self, counts: Counter[str]) -> None:
        raw_keys, is_replay = list(self.export.raw_keys), self.export.is_replay
        if not is_replay:
            replayed = _replayed(self.export.user_id, self.now)
            adopted = self.execute("adopt_import", raw_keys=raw_keys, replayed=replayed)
            if earlier := adopted.fetchone():
                counts = with_earlier(counts, *earlier)
        self.execute(
            "insert_import", raw_keys=raw_keys, counts=Jsonb(dict(counts)), is_replay=is_replay
        )
