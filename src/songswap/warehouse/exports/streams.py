"""Load the streams of a user's export: plays into "History", all of them into songswap.streams.

    streams + what is stored ──▶ plan ──COPY──▶ songswap.streams, "History", "Tracks"

One export is one transaction, under the lock of all loads: it is stored as a whole or not at all,
and the same export again changes nothing.
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
from songswap.models import Play, RejectedItem, Stream
from songswap.transform.exports.intervals import LONGEST_PAUSE
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule
from songswap.warehouse import rejected_items
from songswap.warehouse.catalogue import fill_durations
from songswap.warehouse.copying import copy
from songswap.warehouse.exports.plan import LoadPlan, Stored, plan_load
from songswap.warehouse.exports.rows import COLUMNS
from songswap.warehouse.exports.tracks import identify, load_tracks, store_names, track_names
from songswap.warehouse.locks import lock_loads
from songswap.warehouse.rejected_items import Rejected
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_DAY = timedelta(days=1)

_SQL = statements("exports/streams.sql")


class Export(NamedTuple):
    """An export, ready to be loaded.

    ``spans`` are the times that it covers without a hole; ``rejected_items`` come with the key of
    the object that holds their row, ``raw_keys`` are all objects. ``is_replay`` marks an export
    that is read from the archive.
    """

    user_id: int
    streams: Sequence[Stream]
    spans: Sequence[tuple[datetime, datetime]]
    rejected_items: Sequence[tuple[RejectedItem, str]]
    raw_keys: Sequence[str]
    is_replay: bool = False


def spotify_id(connection: psycopg.Connection, user_id: int) -> str:
    """Return a user's id at Spotify.

    Raises:
        ExportRefused: there is no such user.
    """
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


@retried
def load(
    connection: psycopg.Connection,
    export: Export,
    import_id: str,
    rule: Rule,
    counts: Mapping[str, int],
    now: datetime,
) -> Counter[str]:
    """Load an export in one transaction, and record it in ``songswap.imports``.

    Args:
        counts: of the rows that are no streams; recorded together with those of the streams.

    Returns:
        ``counts`` and, of the streams: duplicates (of an earlier import), repeated (in this one),
        short, private, unidentified, merged, loaded; and new rows: tracks, data_fixes, gaps_closed.

    Raises:
        ExportRefused: the user is gone.
        LoadIncomplete: rows were not in their table after their load; all is rolled back.
        psycopg.Error: the server's own; all is rolled back.
    """
    load = _Load(connection, export, import_id, now)
    # Planned before other loads have to wait, and again only if one of them changed the rows.
    stored = load.read_stored()
    plan = load.plan(stored, rule)
    total = Counter(counts)
    with connection.transaction():
        lock_loads(connection)
        load.lock_user()
        current = load.read_stored()
        if current != stored:
            plan = load.plan(current, rule)
        total += plan.counts
        total += load.write(plan)
        total["gaps_closed"] = load.close_gaps()
        load.store_rejected_items()
        load.record_import(total)
    return total


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
        user_id = self.export.user_id
        streams = identify(self.connection, user_id, self.export.streams)
        return plan_load(user_id, streams, stored, rule, partial(track_names, self.connection))

    def lock_user(self) -> None:
        """Keep the user from being deleted until the end of the transaction.

        Raises:
            ExportRefused: the user is gone.
        """
        lock = statements("plays.sql")["lock_users"]
        if not self.connection.execute(lock, {"users": [self.export.user_id]}).fetchone():
            spotify_id(self.connection, self.export.user_id)

    def write(self, plan: LoadPlan) -> Counter[str]:
        """Write the planned rows, and return the counts of new tracks and data fixes."""
        if not plan.new:
            return Counter()
        self.delete_streams(plan.old)
        self.delete_plays(plan.withdrawn)
        store_names(self.connection, [row.stream for row in plan.new])
        heard = [row.stream for row in plan.new if row.outcome is Outcome.LOADED]
        counts = load_tracks(self.connection, heard, self.now)
        track_ids = {row.stream.track_id for row in plan.new if row.stream.track_id}
        fill_durations(self.connection, sorted(track_ids))
        copy(self.connection, "History", Play._fields, plan.plays)
        self.correct_plays(plan.corrected)
        copy(self.connection, "songswap.streams", COLUMNS, plan.rows)
        return counts

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

    def record_import(self, counts: Mapping[str, int]) -> None:
        self.execute(
            "insert_import",
            raw_keys=list(self.export.raw_keys),
            counts=Jsonb(dict(counts)),
            is_replay=self.export.is_replay,
        )
