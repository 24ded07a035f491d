"""Loads at once: they wait only for rows that are new, never for each other in a circle, and leave
the tables as one after the other."""

import json
import random
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from all_tables import AllTables, Rows, difference

from songswap.models import Artist, ArtistTrack, Catalogue, Genre, Metadata, Popularity, Track
from songswap.pipelines.load import load_catalogue
from songswap.supervision.process import wait_until
from songswap.transform import recent_plays as transform
from songswap.warehouse import enrichment, enrichment_queue, plays, polls
from songswap.warehouse.catalogue import Times
from songswap.warehouse.connection import connect
from songswap.warehouse.locks import SHARDS, lock_shards, shard_of
from songswap.warehouse.plays import ParsedResponse, PollBatch

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
STALE_AFTER = timedelta(days=1)
TIMES = Times(BEGIN, BEGIN - STALE_AFTER)
USERS = 8
OF_THE_FIRST = {"songswap.data_fixes": {"found_at"}, "songswap.enrichment_queue": {"queued_at"}}
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def dsn(warehouse_dsn: str) -> str:
    """A warehouse with eight users."""
    with connect(warehouse_dsn) as connection:
        connection.execute(
            'INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, %s) n', [USERS]
        )
    return warehouse_dsn


def track(number: int, **other: Any) -> dict[str, Any]:
    """A track as a response describes it."""
    return {
        "id": f"track{number}",
        "name": f"Track {number}",
        "duration_ms": number,
        "popularity": number % 100,
        "preview_url": "p",
        "artists": [{"id": f"artist{number % 5}", "name": "A"}],
        "album": {"images": [{"height": 9, "width": 9, "url": "u"}]},
    } | other


def batch(user: int, hour: int, *tracks: dict[str, Any]) -> PollBatch:
    """The response of a user who has played tracks in the hour before."""
    at = BEGIN + timedelta(hours=hour, seconds=user)
    items = [
        {"played_at": (at - timedelta(minutes=n + 1)).isoformat(), "track": track}
        for n, track in enumerate(tracks)
    ]
    body = json.dumps({"limit": 50, "items": items}).encode()
    rows = Catalogue()
    parsed = transform.transform(body, user, at, rows)
    digest = transform.fingerprint(body)
    return PollBatch([ParsedResponse(user, at, f"key {at}", digest, parsed)], rows, at)


def load(connection: psycopg.Connection, *batches: PollBatch) -> Counter[str]:
    """Load tracks and artists, and then plays."""
    counts: Counter[str] = Counter()
    queued = load_catalogue(connection, batches, STALE_AFTER, counts)
    counts.update(plays.load(connection, queued, "run", STALE_AFTER))
    return counts


def contents(connection: psycopg.Connection) -> Rows:
    """All rows, but for the times of notes and of what is queued: of whoever came first."""
    return AllTables(connection, OF_THE_FIRST).read()


def empty(connection: psycopg.Connection) -> None:
    connection.execute(
        'TRUNCATE "Tracks", "Artists", songswap.enrichment_queue, songswap.rejected_items,'
        " songswap.gaps, songswap.polls, songswap.data_fixes, songswap.track_forms CASCADE"
    )


def waiting(look: psycopg.Connection, number: int) -> None:
    """Return once so many sessions wait for a lock."""
    assert wait_until(lambda: look.execute(WAITING.encode()).fetchone() == (number,), 30)


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a lock at all fails soon."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "0.1")


@pytest.mark.usefixtures("_patient")
def test_known_catalogue_takes_no_shard(dsn: str) -> None:
    """Nor does it wait for those who have taken them all."""
    heard = [track(number) for number in range(20)]
    with connect(dsn) as connection, psycopg.connect(dsn) as holder:
        load(connection, batch(1, 1, *heard))
        lock_shards(holder, range(SHARDS))
        assert load(connection, batch(2, 2, *heard))["plays"] == len(heard)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            load(connection, batch(3, 3, track(99)))


@pytest.mark.usefixtures("_patient")
def test_only_shards_with_news_are_taken(dsn: str) -> None:
    """One new track among known ones takes one."""
    known = [track(number) for number in range(20)]
    new = track(99)
    others = set(range(SHARDS)) - {shard_of("track99")}
    with connect(dsn) as connection, psycopg.connect(dsn) as holder:
        load(connection, batch(1, 1, *known))
        lock_shards(holder, others)
        assert load(connection, batch(2, 2, new, *known))["tracks"] == 1


def test_shard_that_has_changed_is_looked_up_again(dsn: str) -> None:
    """Two loads find the same track missing; the second one waits, and then finds it."""
    longer = track(1, name="Track 1, extended", artists=[{"id": "artist9", "name": "Z"}])
    with (
        connect(dsn) as first,
        connect(dsn) as second,
        connect(dsn) as look,
        ThreadPoolExecutor(1) as threads,
    ):
        with first.transaction():
            lock_shards(first, [shard_of("track1")])
            first.execute("""INSERT INTO "Tracks" VALUES ('track1', 'Track 1', 1)""")
            other = threads.submit(load, second, batch(2, 2, longer))
            waiting(look, 1)
        counts = other.result()
        assert (counts["tracks"], counts["artists"], counts["artist_tracks"]) == (0, 1, 1)
        names = look.execute('SELECT id, name FROM "Tracks"').fetchall()
        assert names == [("track1", "Track 1, extended")]


def test_new_tracks_beside_one_that_another_load_has_stored(dsn: str) -> None:
    """In one shard: what was found of them without a lock is written as if it came later."""
    numbers = [n for n in range(1000) if shard_of(f"track{n}") == shard_of("track1")][:4]
    stored, *new = numbers
    tracks = [track(stored, name="Track, extended"), *(track(n) for n in new)]
    tracks[-1] |= {"album": None}
    with (
        connect(dsn) as first,
        connect(dsn) as second,
        connect(dsn) as look,
        ThreadPoolExecutor(1) as threads,
    ):
        load(first, batch(1, 1, track(stored)))
        load(first, batch(2, 2, *tracks))
        expected = contents(look)
        empty(first)
        with first.transaction():
            lock_shards(first, [shard_of(f"track{stored}")])
            load_first = batch(1, 1, track(stored))
            queued = load_catalogue(first, [load_first], STALE_AFTER, Counter())
            other = threads.submit(load, second, batch(2, 2, *tracks))
            waiting(look, 1)
        plays.load(first, queued, "run", STALE_AFTER)
        assert other.result()["tracks"] == len(new)
        assert difference(contents(look), expected) == ""


def test_free_shards_are_written_while_another_is_taken(dsn: str) -> None:
    """A load waits for a shard at the end, when it has written all others."""
    tracks = [track(number) for number in range(40)]
    with (
        connect(dsn) as connection,
        connect(dsn) as look,
        psycopg.connect(dsn) as holder,
        ThreadPoolExecutor(1) as threads,
    ):
        lock_shards(holder, [min(shard_of(track["id"]) for track in tracks)])
        other = threads.submit(load, connection, batch(1, 1, *tracks))
        waiting(look, 1)
        stored = look.execute('SELECT count(*) FROM "Tracks"').fetchone()
        holder.rollback()
        assert other.result()["tracks"] == 40
        assert stored
        assert 20 < stored[0] < 40


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_name_of_an_artist_that_spotify_returns_meanwhile(
    dsn: str, is_stored: bool, same: bool
) -> None:
    """Stays, although plays name the artist by a larger one, and had looked before it was there."""
    name = "A" if same else "B"
    found = Metadata(received={"artist1"})
    found.catalogue.artists["artist1"] = Artist("artist1", name)
    with (
        connect(dsn) as enriching,
        connect(dsn) as loading,
        connect(dsn) as look,
        ThreadPoolExecutor(1) as threads,
    ):
        if is_stored:
            load(look, batch(1, 1, track(1)))
        with enriching.transaction():
            enrichment.load(enriching, "artist", ["artist1"], found, BEGIN, STALE_AFTER)
            heard = track(6, artists=[{"id": "artist1", "name": "Z"}])
            other = threads.submit(load, loading, batch(2, 2, heard))
            waiting(look, 1)
        other.result()
        names = look.execute('SELECT id, name FROM "Artists"').fetchall()
        assert names == [("artist1", name)]


def test_what_is_new_is_queued_before_the_plays(dsn: str) -> None:
    """New artists, the features of new tracks, and new tracks that are incomplete: although the
    load dies before it has their plays, and no later one finds them new."""
    parts = batch(1, 1, track(1), track(2, popularity=None), track(3, duration_ms=None))
    queued = {
        "artist": ["artist1", "artist2", "artist3"],
        "features": ["track1", "track2", "track3"],
        "track": ["track2", "track3"],
    }
    with connect(dsn) as connection:
        load_catalogue(connection, [parts], STALE_AFTER, Counter())
        for kind, ids in queued.items():
            assert enrichment_queue.queued_ids(connection, kind, 9, BEGIN) == ids


def test_incomplete_tracks_are_queued_in_any_order(dsn: str) -> None:
    """Also where their play is no new one, whoever has brought the whole track before."""
    whole, part = batch(1, 1, track(1)), batch(2, 2, track(1, popularity=None))
    part.responses[0].history.plays.clear()
    found = []
    with connect(dsn) as connection:
        for order in ((whole, part), (part, whole)):
            empty(connection)
            for one in order:
                load(connection, one)
            found.append(contents(connection))
            assert "track1" in enrichment_queue.queued_ids(connection, "track", 9, BEGIN)
    assert not difference(*found)


def fetched(connection: psycopg.Connection, users: list[int], at: datetime) -> None:
    """Record polls without a new play, as a fetch does."""
    with connection.transaction():
        polls.record_polls(connection, dict.fromkeys(users), at)


def test_replay_and_fetch_of_the_same_users(dsn: str) -> None:
    """A replay has its users hour by hour, a fetch by their ids: neither waits in a circle."""
    with (
        connect(dsn) as loading,
        connect(dsn) as fetching,
        connect(dsn) as look,
        psycopg.connect(dsn) as holder,
        ThreadPoolExecutor(2) as threads,
    ):
        fetched(look, [3, 5], BEGIN)
        holder.execute("SELECT FROM songswap.polls WHERE user_id = 5 FOR UPDATE")
        hours = batch(5, 1, track(1)), batch(3, 2, track(2))
        load_catalogue(look, hours, STALE_AFTER, Counter())
        first = threads.submit(plays.load, loading, hours, "run", STALE_AFTER)
        waiting(look, 1)
        second = threads.submit(fetched, fetching, [3, 5], BEGIN + timedelta(hours=3))
        waiting(look, 2)
        holder.rollback()
        assert first.result()["plays"] == 2
        second.result()
    assert deadlocks(dsn) == 0


def deadlocks(dsn: str) -> int:
    """How many there were in a database; sessions report theirs at their end."""
    with psycopg.connect(dsn, autocommit=True) as look:
        row = look.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else -1


def described(number: int) -> Metadata:
    """What ``/tracks`` returns of a track: always the same."""
    id_ = f"track{number}"
    found = Metadata(received={id_})
    rows = found.catalogue
    rows.tracks[id_] = Track(id_, "By Spotify", 1000 + number)
    rows.artists[f"artist{number % 5}"] = Artist(f"artist{number % 5}", "By Spotify")
    rows.artist_tracks[id_, f"artist{number % 5}"] = ArtistTrack(id_, f"artist{number % 5}", True)
    popular = Popularity(id_, BEGIN + timedelta(hours=1, milliseconds=number), number)
    rows.track_popularity[id_, popular.date.date(), number] = popular
    return found


def enrich(connection: psycopg.Connection, tracks: Collection[int]) -> None:
    """Load what Spotify's endpoints return of tracks, and of all artists."""
    both = Metadata()
    for found in map(described, tracks):
        both.received |= found.received
        for name in ("tracks", "artists", "artist_tracks", "track_popularity"):
            getattr(both.catalogue, name).update(getattr(found.catalogue, name))
    enrichment.load(connection, "track", sorted(both.received), both, BEGIN, STALE_AFTER)
    ids = {f"artist{number}" for number in range(5)}
    named = Metadata(received=ids)
    for id_ in ids:
        named.catalogue.artists[id_] = Artist(id_, "By Spotify")
        named.popularity.append(Popularity(id_, BEGIN, 7))
        named.genres.add(Genre(id_, "folk"))
    enrichment.load(connection, "artist", sorted(ids), named, BEGIN, STALE_AFTER)


def test_loads_and_enrichment_at_once(dsn: str) -> None:
    """Loads of different users with the same tracks, in different orders, beside enrichment: the
    tables come out as one after the other, and nobody waits in a circle."""
    numbers = range(40)
    draw = random.Random(1)  # noqa: S311 - a test's order
    names = ["Track", "Title", ""]

    def heard() -> dict[str, Any]:
        number = draw.choice(numbers)
        artists = [{"id": f"artist{draw.choice(range(5))}", "name": draw.choice(["A", "Z", ""])}]
        return track(number, name=draw.choice(names), artists=artists)

    hours = {
        user: [batch(user, hour, *(heard() for _ in range(12))) for hour in range(1, 7)]
        for user in range(1, USERS + 1)
    }
    enriched = [draw.sample(numbers, 15) for _ in range(30)]

    def load_hours(user: int) -> None:
        with connect(dsn) as connection:
            for hour in hours[user]:
                load(connection, hour)

    def enrich_tracks(part: int) -> None:
        with connect(dsn) as connection:
            for chosen in enriched[part::2]:
                enrich(connection, chosen)

    found = []
    for at_once in (1, USERS + 2):
        with connect(dsn) as connection:
            empty(connection)
        with ThreadPoolExecutor(at_once) as threads:
            works = [threads.submit(load_hours, user) for user in hours]
            works += [threads.submit(enrich_tracks, part) for part in range(2)]
            for work in works:
                work.result()
        with connect(dsn) as connection:
            enrich(connection, numbers)
            found.append(contents(connection))
    assert not difference(*found)
    assert found[0]["public.History"].total() == USERS * 6 * 12
    assert deadlocks(dsn) == 0
