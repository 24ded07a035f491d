"""Tracks that Spotify does not tell of: they keep the length and the artist that exports tell."""

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from songswap.models import Artist, ArtistTrack, Catalogue, Metadata, Stream, Track
from songswap.transform.exports.outcomes import Rule
from songswap.warehouse import catalogue, enrichment
from songswap.warehouse.connection import connect
from songswap.warehouse.exports import streams as stream
from songswap.warehouse.migrate import migrate

Step = Callable[[Any], None]
AT = datetime(2020, 1, 2, 3, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
RULE = Rule(30_000)


@pytest.fixture
def dsn(warehouse_dsn: str) -> str:
    """A warehouse with two users."""
    with connect(warehouse_dsn) as connection:
        connection.execute('INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, 2) n')
    return warehouse_dsn


def heard(minute: int, ms_played: int, end: str = "trackdone", track: str = "t1") -> Stream:
    """A stream of a track, as the extended history tells it."""
    return Stream(
        AT + timedelta(minutes=minute),
        ms_played,
        track,
        "Song",
        "The Artist",
        "Album",
        reason_start="clickrow",
        reason_end=end,
    )


def exports(*streams: Stream, user: int = 1) -> Step:
    """The import of an export with these streams."""

    def step(connection: Any) -> None:
        span = (AT, AT + timedelta(hours=1))
        export = stream.Export(user, streams, [span], [], [])
        stream.load(connection, export, f"import {next(_numbers)}", RULE, {}, NOW)

    return step


_numbers = itertools.count(1)


def plays(duration_ms: int, artist: str = "", name: str = "Song") -> Step:
    """An answer of recently played that tells of the track."""

    def step(connection: Any) -> None:
        told = Catalogue(tracks={"t1": Track("t1", name, duration_ms)}, forms={"t1": duration_ms})
        if artist:
            told.artists["a1"] = Artist("a1", artist)
            told.artist_tracks["t1", "a1"] = ArtistTrack("t1", "a1", True)
        catalogue.load(connection, told, catalogue.Times(NOW, NOW), Counter())

    return step


def tracks(duration_ms: int) -> Step:
    """An answer of ``/tracks``."""

    def step(connection: Any) -> None:
        told = Metadata(
            received={"t1"}, catalogue=Catalogue(tracks={"t1": Track("t1", "Song", duration_ms)})
        )
        enrichment.load(connection, "track", ["t1"], told, NOW, timedelta(hours=1))

    return step


def rows(connection: Any) -> tuple[list[Any], list[Any]]:
    """Lengths, and artists as the platform would join them."""
    lengths = connection.execute('SELECT id, duration_ms FROM "Tracks" ORDER BY id').fetchall()
    artists = connection.execute(
        "SELECT track_id, artist_id, name FROM songswap.primary_artists() ORDER BY 1, 2"
    ).fetchall()
    return lengths, artists


def after(dsn: str, *steps: Step) -> tuple[list[Any], list[Any]]:
    """The rows after these steps, which are taken back."""
    with connect(dsn) as connection:
        connection.execute(
            'TRUNCATE "Tracks", "Artists", songswap.streams, songswap.export_tracks,'
            " songswap.estimated_durations, songswap.enrichment_queue, songswap.track_forms CASCADE"
        )
        for step in steps:
            step(connection)
        return rows(connection)


OF_EXPORT = [("t1", None, "The Artist")]


def test_length_and_artist_of_the_export(dsn: str) -> None:
    """The longest time that ended with the track is its length; the artist has a name and no id."""
    listened = exports(
        heard(10, 190_000), heard(20, 200_000), heard(30, 260_000, "endplay"), heard(40, 180_000)
    )
    assert after(dsn, listened) == ([("t1", 200_000)], OF_EXPORT)
    assert after(dsn, exports(heard(10, 260_000, "fwdbtn"))) == ([("t1", 0)], OF_EXPORT)
    with connect(dsn) as connection:
        assert connection.execute('SELECT count(*) FROM "Artists"').fetchone() == (0,)
        assert connection.execute('SELECT count(*) FROM "ArtistTracks"').fetchone() == (0,)


SPOTIFY = [("t1", "a1", "An Artist")]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((exports(heard(10, 200_000)), plays(210_000)), ([("t1", 210_000)], OF_EXPORT)),
        ((exports(heard(10, 200_000)), plays(199_000)), ([("t1", 199_000)], OF_EXPORT)),
        ((exports(heard(10, 200_000)), plays(0)), ([("t1", 200_000)], OF_EXPORT)),
        ((exports(heard(10, 200_000)), plays(0, name="Z")), ([("t1", 200_000)], OF_EXPORT)),
        ((exports(heard(10, 200_000)), plays(200_000, "An Artist")), ([("t1", 200_000)], SPOTIFY)),
        (
            (exports(heard(10, 200_000)), plays(200_000), plays(199_000)),
            ([("t1", 200_000)], OF_EXPORT),
        ),
        (
            (exports(heard(10, 200_000)), exports(heard(10, 205_000), user=2), plays(0)),
            ([("t1", 205_000)], OF_EXPORT),
        ),
        # Too short for a play, and so for a row of its own: its length counts all the same.
        ((exports(heard(10, 20_000)), plays(0)), ([("t1", 20_000)], OF_EXPORT)),
        (
            (exports(heard(10, 20_000)), exports(heard(10, 40_000, "endplay"), user=2)),
            ([("t1", 20_000)], OF_EXPORT),
        ),
        ((exports(heard(10, 200_000)), plays(0), plays(180_000)), ([("t1", 180_000)], OF_EXPORT)),
    ],
)
def test_in_any_order(dsn: str, steps: tuple[Step, ...], expected: Any) -> None:
    """What Spotify tells stands, whoever came first; and again, nothing changes."""
    for order in itertools.permutations(steps):
        assert after(dsn, *order) == expected
        assert after(dsn, *order, *order) == expected


def test_length_of_the_api_replaces_that_of_the_export(dsn: str) -> None:
    """What it leaves out stays."""
    export = exports(heard(10, 200_000))
    assert after(dsn, export, tracks(190_000))[0] == [("t1", 190_000)]
    assert after(dsn, export, tracks(0))[0] == [("t1", 200_000)]
    assert after(dsn, export, tracks(0), plays(180_000))[0] == [("t1", 180_000)]
    longer = exports(heard(10, 220_000), user=2)
    assert after(dsn, export, tracks(190_000), longer)[0] == [("t1", 190_000)]
    assert after(dsn, export, tracks(0), longer)[0] == [("t1", 220_000)]


def test_platform_queries_include_unknown_tracks(dsn: str) -> None:
    """Listening time at once; artists once its joins use the function."""
    with connect(dsn) as connection:
        exports(heard(10, 200_000), heard(20, 190_000))(connection)
        exports(heard(30, 100_000, track="t2"))(connection)
        connection.execute("INSERT INTO \"Artists\" VALUES ('a2', 'Known')")
        connection.execute("INSERT INTO \"ArtistTracks\" VALUES ('t2', 'a2', true)")
        listened = connection.execute(
            'SELECT sum(t.duration_ms) FROM "History" h JOIN "Tracks" t ON t.id = h.track_id'
            " WHERE h.user_id = 1"
        ).fetchone()
        top = connection.execute(
            'SELECT a.artist_id, a.name, count(*) FROM "History" h'
            " JOIN songswap.primary_artists() a ON a.track_id = h.track_id"
            " WHERE h.user_id = 1 GROUP BY 1, 2 ORDER BY 3 DESC"
        ).fetchall()
    assert listened == (500_000,)
    assert top == [(None, "The Artist", 2), ("a2", "Known", 1)]


def test_migration_adds_lengths_to_earlier_imports(dsn: str) -> None:
    """Known lengths stay."""
    with connect(dsn) as connection:
        exports(heard(10, 200_000), heard(20, 150_000, track="t2"))(connection)
        migrate(dsn, "0008")
        connection.execute("UPDATE \"Tracks\" SET duration_ms = 0 WHERE id = 't1'")
        connection.execute("UPDATE \"Tracks\" SET duration_ms = 7 WHERE id = 't2'")
        migrate(dsn)
        assert rows(connection)[0] == [("t1", 200_000), ("t2", 7)]
        plays(190_000)(connection)
        assert rows(connection)[0] == [("t1", 190_000), ("t2", 7)]
