"""Load the streams of a user's export: into "History" what are plays, all of them beside it.

    streams ──▶ what is known of them ──▶ settled ──COPY──▶ songswap.streams, "History", "Tracks"

One export is one transaction, under the lock of all loads: it is there as a whole or not at all,
and the same export again changes nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from songswap.errors import FIND_ID, ExportRefused
from songswap.models import Play, RejectedItem, Stream
from songswap.transform.exports.classify import classify
from songswap.transform.exports.deduplicate import deduplicate, identity, number_repeats
from songswap.transform.exports.intervals import LONGEST_PAUSE
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule
from songswap.warehouse.catalogue import fill_durations
from songswap.warehouse.copying import copy
from songswap.warehouse.exports.tracks import identified, keep_names, load_tracks, names
from songswap.warehouse.locks import lock_loads
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_DAY = timedelta(days=1)

_COLUMNS = (
    "user_id",
    "ended_at",
    "ms_played",
    "place",
    "played_at",
    "outcome",
    "to_the_minute",
    "track_id",
    "shuffle",
    "skipped",
    "offline",
    "incognito",
    "reason_start",
    "reason_end",
    "platform",
    "country",
    "track_name",
    "artist_name",
    "reported_at",
)
"""Of ``songswap.streams``, as `_row` gives their values."""


class Export(NamedTuple):
    """An export as the warehouse takes it.

    ``spans`` are the times that it covers whole; ``rejected_items`` comes with the object that
    holds its row, ``raw_keys`` are all objects. ``is_replay`` says that it comes from the archive.
    """

    user_id: int
    streams: Sequence[Stream]
    spans: Sequence[tuple[datetime, datetime]]
    rejected_items: Sequence[tuple[RejectedItem, str]]
    raw_keys: Sequence[str]
    is_replay: bool = False


def spotify_id(connection: psycopg.Connection, user_id: int) -> str:
    """A user's name at Spotify.

    Raises:
        ExportRefused: there is no such user.
    """
    row = connection.execute(
        statements("exports/streams.sql")["user"], {"user_id": user_id}
    ).fetchone()
    if row is None:
        raise ExportRefused(
            f"There is no user {user_id} in the warehouse. Nothing was imported: the web app, or"
            f" 'songswap connect', adds users. {FIND_ID}"
        )
    return str(row[0])


def told_by_api(
    connection: psycopg.Connection, user_id: int, since: datetime, until: datetime
) -> list[tuple[datetime, str]]:
    """The plays of a time, and their tracks, that were not made of streams."""
    about = {"user_id": user_id, "since": since, "until": until}
    rows = connection.execute(statements("exports/streams.sql")["plays"], about)
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
    """Load an export in one transaction, and note it in ``songswap.imports``.

    Args:
        counts: what became of rows before; is noted with what becomes of the others here.

    Returns:
        ``counts`` and, of the streams: again (known from an earlier import), repeated (in this
        one), short, private, unidentified, merged, loaded; and new rows: tracks, notes,
        gaps_closed.

    Raises:
        ExportRefused: the user is gone.
        LoadIncomplete: rows were not in their table after their load; all is rolled back.
        psycopg.Error: the server's own; all is rolled back.
    """
    told = Counter(counts)
    this = _Load(connection, export, import_id, rule, now)
    # Settled before others have to wait, and again only if somebody has loaded plays meanwhile.
    ready = this.settled(this.there())
    with connection.transaction():
        lock_loads(connection)
        if not connection.execute(
            statements("plays.sql")["lock_users"], {"users": [export.user_id]}
        ).fetchone():
            spotify_id(connection, export.user_id)
        there = this.there()
        told += this.load(ready if there == ready.there else this.settled(there))
        told["gaps_closed"] = this.close_gaps()
        this.store_rejected_items()
        this.execute(
            "insert_import",
            raw_keys=list(export.raw_keys),
            counts=Jsonb(dict(told)),
            is_replay=export.is_replay,
        )
    return told


class _There(NamedTuple):
    """What is there of the user in the time of an export: rows of streams, and of plays."""

    streams: list[tuple[Any, ...]]
    plays: list[tuple[Any, ...]]


class _Ready(NamedTuple):
    """An export, settled: from what was ``there``, to the rows that are to be written.

    ``old`` streams give way to ``new`` ones, whose rows are ``rows``; ``plays`` are new rows of
    "History"; at the times ``taken_back`` those rows stand that turn out to be no plays.
    """

    there: _There
    counts: Counter[str]
    old: list[ClassifiedStream]
    new: list[ClassifiedStream]
    rows: list[tuple[Any, ...]]
    plays: list[Play]
    taken_back: list[datetime]


@dataclass(frozen=True, slots=True)
class _Load:
    """The load of an export."""

    connection: psycopg.Connection
    export: Export
    import_id: str
    rule: Rule
    now: datetime

    def execute(
        self, name: str, file: str = "exports/streams.sql", **parameters: Any
    ) -> psycopg.Cursor:
        about = {"user_id": self.export.user_id, "run_id": self.import_id, "now": self.now}
        return self.connection.execute(statements(file)[name], about | parameters)

    def there(self) -> _There:
        """Look at what is there."""
        streams = self.export.streams
        if not streams:
            return _There([], [])
        since = min(one.ended_at for one in streams) - _DAY
        until = max(one.reported_at or one.ended_at for one in streams) + _DAY
        known = self.execute("known", since=since, until=until).fetchall()
        since -= LONGEST_PAUSE + _DAY
        return _There(known, self.execute("plays", since=since, until=until).fetchall())

    def settled(self, there: _There) -> _Ready:
        """Decide what becomes of each stream, and make the rows of it."""
        streams = identified(self.connection, self.export.user_id, self.export.streams)
        known = _settled(there.streams)
        told = deduplicate(streams, known, self.rule)
        free = [(at, track_id) for at, track_id, outcome in there.plays if outcome is None]
        taken = [row[0] for row in there.plays]
        settled = classify(told, known, free, taken, self.rule, partial(names, self.connection))
        counts = told.counts + Counter(one.outcome.value for one in settled)

        old = [*told.replaces.values(), *told.superseded]
        new = []
        for one in settled:
            before = told.stored.get(identity(one.stream)) if told.stored else None
            if before is None:
                new.append(one)
            elif before.outcome is not one.outcome:
                old.append(before)
                new.append(one)
        made = {one.played_at for one in old if one.played_at}
        loaded = {one.played_at for one in old if one.outcome is Outcome.LOADED and one.played_at}
        taken_back = sorted(loaded - {one.played_at for one in new if one.played_at})
        user_id = self.export.user_id
        plays = sorted(
            Play(user_id, one.played_at, one.stream.track_id)
            for one in new
            if one.outcome is Outcome.LOADED and one.played_at and one.stream.track_id
            if one.played_at not in made
        )
        rows = sorted((_row(user_id, one) for one in new), key=itemgetter(1, 2, 3))
        return _Ready(there, counts, old, new, rows, plays, taken_back)

    def load(self, ready: _Ready) -> Counter[str]:
        """Write what is ready; gives its counts and those of new rows."""
        if not ready.new:
            return ready.counts
        self.delete(ready.old)
        self.take_back(ready.taken_back)
        keep_names(self.connection, (one.stream for one in ready.new))
        heard = (one.stream for one in ready.new if one.outcome is Outcome.LOADED)
        counts = ready.counts + load_tracks(self.connection, heard, self.now)
        told = {one.stream.track_id for one in ready.new if one.stream.track_id}
        fill_durations(self.connection, sorted(told))
        copy(self.connection, "History", Play._fields, ready.plays)
        made = {one.played_at for one in ready.old if one.played_at}
        self.correct([one for one in ready.new if one.played_at in made])
        copy(self.connection, "songswap.streams", _COLUMNS, ready.rows)
        return counts

    def delete(self, old: Collection[ClassifiedStream]) -> None:
        if old:
            self.execute(
                "delete",
                ended_at=[one.stream.ended_at for one in old],
                ms_played=[one.stream.ms_played for one in old],
                places=[one.place for one in old],
            )

    def take_back(self, times: Sequence[datetime]) -> None:
        """Plays that were made of account data: the extended history tells they were private."""
        if times:
            users = [self.export.user_id] * len(times)
            self.execute("delete_plays", users=users, held=times)

    def correct(self, settled: Sequence[ClassifiedStream]) -> None:
        """Plays that were made of names alone are of the track that is told now."""
        made = [one for one in settled if one.outcome is Outcome.LOADED]
        if made:
            self.execute(
                "correct",
                played_at=[one.played_at for one in made],
                track_ids=[one.stream.track_id for one in made],
            )

    def close_gaps(self) -> int:
        spans = self.export.spans
        oldest, newest = [one[0] for one in spans], [one[1] for one in spans]
        return self.execute("close_gaps", oldest=oldest, newest=newest).rowcount

    def store_rejected_items(self) -> None:
        items = self.export.rejected_items
        if items:
            self.execute(
                "insert_rejected_items",
                "plays.sql",
                users=[self.export.user_id] * len(items),
                fingerprints=[item.fingerprint for item, _ in items],
                reasons=[item.reason for item, _ in items],
                played_at=[item.played_at for item, _ in items],
                raw_keys=[raw_key for _, raw_key in items],
                polled_at=[self.now] * len(items),
            )


def _row(user_id: int, settled: ClassifiedStream) -> tuple[Any, ...]:
    """A row of ``songswap.streams``."""
    stream, place, outcome, played_at = settled
    return (
        user_id,
        stream.ended_at,
        stream.ms_played,
        place,
        played_at,
        outcome.value,
        stream.to_the_minute,
        stream.track_id,
        stream.shuffle,
        stream.skipped,
        stream.offline,
        stream.incognito,
        stream.reason_start,
        stream.reason_end,
        stream.platform,
        stream.country,
        *_untold(stream),
        stream.reported_at,
    )


def _untold(stream: Stream) -> tuple[str | None, str | None]:
    """The names of a stream whose id was not told; the others' are kept by the id."""
    if stream.track_id is None or stream.to_the_minute:
        return stream.track_name, stream.artist_name
    return None, None


def _settled(rows: Iterable[tuple[Any, ...]]) -> list[ClassifiedStream]:
    known = [_known(row) for row in rows]
    # Account data tells a short track that is heard again in the same words; see `number_repeats`.
    rough = sorted((one for one in known if one.stream.to_the_minute), key=attrgetter("place"))
    apart = number_repeats(one.stream for one in rough)
    exact = [one for one in known if not one.stream.to_the_minute]
    return exact + [one._replace(stream=stream) for one, stream in zip(rough, apart, strict=True)]


def _known(row: tuple[Any, ...]) -> ClassifiedStream:
    ended_at, ms_played, track_id, name, artist, incognito, platform, rough, *settled = row
    place, outcome, played_at, reported_at = settled
    stream = Stream(
        ended_at,
        ms_played,
        track_id,
        name,
        artist,
        incognito=incognito,
        platform=platform,
        to_the_minute=rough,
        reported_at=reported_at,
    )
    return ClassifiedStream(stream, place, Outcome(outcome), played_at)
