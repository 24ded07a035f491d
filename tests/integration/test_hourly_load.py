"""The hourly load against a real PostgreSQL, a real S3 endpoint and a Spotify over HTTP."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import obstore
import psycopg
import pytest
from factories import MakePlatform

from songswap.clock import utc_now
from songswap.pipelines import hourly_load
from songswap.pipelines.fetch import fetch
from songswap.warehouse import runs

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "recently_played_real_response.json"


def test_load_stores_every_play_spotify_could_return(platform: MakePlatform) -> None:
    """With all metadata that it has."""
    here = platform(users=12)
    counts = here.load()
    at = here.spotify.get("/admin/clock")["now"]
    by_the_ledger = [
        play
        for play in here.spotify.ledger()
        if play["listed_at"] <= at and at < (play["reachable_until"] or "9")
    ]
    assert len(by_the_ledger) > 200
    assert here.history() == here.reachable()
    assert here.history().total() == len(by_the_ledger) == counts["plays"]

    tracks = here.rows('SELECT count(*) FROM "Tracks"')[0][0]
    artists = here.rows('SELECT count(*) FROM "Artists"')[0][0]
    assert counts["tracks"] == tracks
    assert counts["artists"] == artists
    assert here.rows('SELECT count(DISTINCT id) FROM "TrackPopularity"') == [(tracks,)]
    assert here.rows('SELECT count(DISTINCT id) FROM "ArtistPopularity"') == [(artists,)]
    assert here.rows('SELECT count(DISTINCT id) FROM "ArtistFollowers"') == [(artists,)]
    # Spotify has no features of some tracks: those, and only those, are asked for again.
    without = here.rows(
        'SELECT count(*) FROM "Tracks" t LEFT JOIN "TrackFeatures" f USING (id)'
        " LEFT JOIN songswap.enrichment_queue m ON m.kind = 'features' AND m.id = t.id"
        " WHERE f.id IS NULL AND m.known"
    )
    assert without == [(0,)]
    wanted = (
        "SELECT DISTINCT kind, misses FROM songswap.enrichment_queue WHERE queued_at IS NOT NULL"
    )
    assert here.rows(wanted) == [("features", 1)]
    assert here.rows("SELECT state, counts ->> 'plays' FROM songswap.runs") == [
        ("success", str(counts["plays"]))
    ]


def test_second_load_of_an_hour_adds_nothing(platform: MakePlatform) -> None:
    """No row, no request for metadata, no object."""
    here = platform()
    here.load()
    archived = here.objects()
    counts = here.load()
    assert counts.get("plays", 0) == 0
    assert counts["unchanged"] == 5
    assert {name for name in counts if name.startswith("calls ")} == {"calls recently-played 200"}
    assert here.objects() == archived


def test_thirty_hours_lose_and_repeat_nothing(platform: MakePlatform) -> None:
    """With late plays and rotated tokens."""
    here = platform("--rotate-refresh-tokens", "0.5", users=6)
    for _ in range(30):
        here.load()
        assert here.history() == here.reachable()
        here.advance(minutes=60)
    late = [p for p in here.spotify.ledger() if p["listed_at"] > p["ended_at"][:14] + "59:59.999Z"]
    assert late, "the simulated days had no late plays: choose another seed"
    asked = here.rows("SELECT count(*) FROM songswap.polls WHERE polled_at >= '2026-11-23 23:00Z'")
    assert asked == [(6,)]


def test_calls_per_user_and_hour(platform: MakePlatform) -> None:
    """Once expiry is known, an hour costs a token and a page, and no call is refused."""
    here = platform()
    here.load()
    here.advance(hours=1)
    here.load()
    here.advance(hours=1)
    counts = here.load()
    assert counts["calls recently-played 200"] == 5
    assert counts["calls token refresh_token 200"] == 5
    assert "calls recently-played 401" not in counts


def test_archive_holds_the_raw_response(platform: MakePlatform) -> None:
    """Its own bytes, compressed, under the platform's key."""
    here = platform(users=1)
    here.load()
    user = here.user_id("listener-0001")
    key = f"history/spotify/user{user}/user{user}_spotify_2026-11-22_18.json"
    assert here.objects() == [key]
    found = obstore.get(here.bucket, key)
    assert found.attributes["Content-Encoding"] == "gzip"
    assert found.attributes["observed-at"] == "2026-11-22T18:00:00.000+00:00"
    answer = json.loads(gzip.decompress(bytes(found.bytes())))
    assert {item["track"]["id"] for item in answer["items"]} == {
        row[0] for row in here.rows('SELECT track_id FROM "History"')
    }


def test_second_response_of_an_hour_is_archived_beside_the_first(platform: MakePlatform) -> None:
    here = platform(users=20)
    here.load()
    first = {key: bytes(obstore.get(here.bucket, key).bytes()) for key in here.objects()}
    here.advance(minutes=45)
    counts = here.load()
    assert counts["plays"] > 0, "nobody played in these 45 minutes: choose another seed"
    assert len(here.objects()) == 20 + counts["archived"]
    assert counts["archived"] == counts["responses"]
    for key, body in first.items():
        assert bytes(obstore.get(here.bucket, key).bytes()) == body


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded real answer is not on this machine")
def test_recorded_response_is_loaded_in_full(platform: MakePlatform) -> None:
    """2 plays of a real user, and all their metadata."""
    here = platform("--recorded", f"recorded={RECORDED}", users=0)
    counts = here.load()
    assert counts["plays"] == 2
    assert here.rows('SELECT played_at::text, track_id FROM "History" ORDER BY 1') == [
        ("2023-06-05 23:04:29.771", "7JDnCjOAuR6snlt3k6VtbO"),
        ("2023-06-05 23:05:13.83", "1RTray5NRStsFK0Pi9Mx4a"),
    ]
    assert here.rows('SELECT id, name, duration_ms FROM "Tracks" ORDER BY name') == [
        ("1RTray5NRStsFK0Pi9Mx4a", "*Belle", 43728),
        ("7JDnCjOAuR6snlt3k6VtbO", "Brother", 211213),
    ]
    assert here.rows(
        'SELECT a.name, t.is_primary FROM "ArtistTracks" t'
        ' JOIN "Artists" a ON a.id = t.artist_id ORDER BY 1'
    ) == [("Dave Okumu", True), ("Duckwrth", True)]
    assert here.rows('SELECT popularity FROM "TrackPopularity"') == [(35,), (35,)]
    assert here.rows('SELECT count(*), sum(width) FROM "TrackImages"') == [(6, 2 * 1004)]
    assert here.rows('SELECT count(*) FROM "TrackPreviews"') == [(2,)]
    assert here.rows('SELECT count(*) FROM "ArtistPopularity"') == [(2,)]
    assert here.rows('SELECT count(*) FROM "TrackFeatures"') == [(2,)]


def test_gap_is_recorded_once(platform: MakePlatform) -> None:
    """A full answer of which nothing is known is a gap between two known moments."""
    here = platform(users=8)
    here.load()
    newest = dict(here.rows('SELECT user_id, max(played_at) FROM "History" GROUP BY 1'))
    here.advance(days=10)
    counts = here.load()
    gaps = here.rows(
        "SELECT user_id, after AT TIME ZONE 'UTC', before AT TIME ZONE 'UTC' FROM songswap.gaps"
    )
    assert counts["gaps"] == len(gaps) > 0
    for user, after, before in gaps:
        assert after == newest[user]
        oldest = here.rows(
            'SELECT min(played_at) FROM "History" WHERE user_id = %s AND played_at > %s',
            user,
            after,
        )
        assert oldest == [(before,)]
    assert here.load().get("gaps", 0) == 0


def test_stale_metadata_is_requested_again(platform: MakePlatform) -> None:
    """After a day, when the artist is heard."""
    here = platform(users=15)
    here.load()
    here.advance(hours=3)
    soon = here.load()
    heard_again = here.rows(
        'SELECT count(DISTINCT artist_id) FROM "History" JOIN "ArtistTracks" USING (track_id)'
        " WHERE played_at > '2026-11-22 18:00'"
    )[0][0]
    assert soon.get("artist_requested", 0) < heard_again
    here.advance(hours=30)
    here.load()
    twice = here.rows('SELECT count(*) FROM "ArtistPopularity" GROUP BY id HAVING count(*) > 1')
    assert twice, "no artist was heard again after a day: choose another seed"
    closest = here.rows(
        'SELECT min(b.date - a.date) FROM "ArtistPopularity" a JOIN "ArtistPopularity" b'
        " ON b.id = a.id AND b.date > a.date"
    )
    assert closest[0][0] >= timedelta(days=1)


def test_popularity_has_a_row_a_day(platform: MakePlatform) -> None:
    """A track's popularity has a row for each value of a day, and none more while it stays."""
    here = platform(users=6)
    for _ in range(6):
        here.load()
        here.advance(hours=5)
    rows = here.rows('SELECT id, date::date, popularity FROM "TrackPopularity"')
    assert len(set(rows)) == len(rows)
    # The simulated values do not change: those who are heard on another day are told again.
    assert len({id_ for id_, _, _ in rows}) < len(rows)


def test_each_user_is_in_one_batch_of_the_set_size(platform: MakePlatform) -> None:
    here = platform(users=7)
    small = replace(here.settings, batch_size=3)
    assert hourly_load.plan(small, "planned", here.clock) == [0, 1, 2]
    assert hourly_load.plan(small, "planned", here.clock) == [0, 1, 2]
    cut = here.rows(
        "SELECT number, count(*) FROM songswap.steps s"
        ' JOIN "Users" u ON u.id BETWEEN s.first_user AND s.last_user'
        " WHERE step = 'fetch' GROUP BY 1 ORDER BY 1"
    )
    assert cut == [(0, 3), (1, 3), (2, 1)]


def test_retried_fetch_polls_and_counts_nobody_twice(platform: MakePlatform) -> None:
    here = platform(users=5)
    hourly_load.plan(here.settings, "r", here.clock)
    fetch(here.settings, "r", 0, here.clock)
    fetch(here.settings, "r", 0, here.clock)
    (counts,) = here.rows("SELECT counts FROM songswap.steps WHERE step = 'fetch'")[0]
    assert (counts["users"], counts["polled"], counts["responses"]) == (5, 5, 5)
    assert here.calls()["recently-played"] == 5
    hourly_load.load(here.settings, "r", 0, here.clock)
    assert here.history() == here.reachable()


def test_a_million_users_can_be_mapped(warehouse_dsn: str) -> None:
    """However many users there are, there are no more batches than Airflow can map over."""
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        # Without foreign key triggers: a million checks would take most of the test's time.
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            'INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, 1000000) n'
        )
        connection.execute('INSERT INTO "SpotifyTokens" SELECT id, id, id FROM "Users"')
        numbers = runs.plan(connection, "huge", 500, (), utc_now())
        covered = connection.execute(
            "SELECT sum(last_user - first_user + 1) FROM songswap.steps WHERE step = 'fetch'"
        ).fetchone()
    assert len(numbers) == 1000
    assert covered == (1_000_000,)


def test_user_deleted_while_loading(platform: MakePlatform) -> None:
    """A user who is deleted between fetch and load costs nobody else anything."""
    here = platform(users=4)
    hourly_load.plan(here.settings, "r", here.clock)
    fetch(here.settings, "r", 0, here.clock)
    gone = here.user_id("listener-0002")
    here.execute('DELETE FROM "Users" WHERE id = %s', gone)
    counts = hourly_load.load(here.settings, "r", 0, here.clock)
    assert counts["gone"] > 0
    expected = {key: 1 for key in here.reachable() if key[0] != "listener-0002"}
    assert here.history() == expected


def test_loads_at_once(platform: MakePlatform) -> None:
    """Two loads of one batch at the same time give the same rows as one."""
    here = platform(users=6)
    hourly_load.plan(here.settings, "r", here.clock)
    fetch(here.settings, "r", 0, here.clock)
    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(hourly_load.load, here.settings, "r", 0, here.clock) for _ in range(4)]
        plays = [load.result().get("plays", 0) for load in loads]
    assert sum(plays) == here.history().total()
    assert here.history() == here.reachable()
