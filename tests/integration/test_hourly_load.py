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
from songswap.pipelines.batch_load import load_batch
from songswap.pipelines.fetch import fetch
from songswap.warehouse import runs

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "recently_played_real_response.json"


def test_load_stores_every_play_spotify_could_return(make_platform: MakePlatform) -> None:
    """With all metadata that it has."""
    platform = make_platform(users=12)
    counts = platform.load()
    at = platform.spotify.get("/admin/clock")["now"]
    by_the_ledger = [
        play
        for play in platform.spotify.ledger()
        if play["listed_at"] <= at and at < (play["reachable_until"] or "9")
    ]
    assert len(by_the_ledger) > 200
    assert platform.history() == platform.reachable()
    assert platform.history().total() == len(by_the_ledger) == counts["plays"]

    tracks = platform.rows('SELECT count(*) FROM "Tracks"')[0][0]
    artists = platform.rows('SELECT count(*) FROM "Artists"')[0][0]
    assert counts["tracks"] == tracks
    assert counts["artists"] == artists
    assert platform.rows('SELECT count(DISTINCT id) FROM "TrackPopularity"') == [(tracks,)]
    assert platform.rows('SELECT count(DISTINCT id) FROM "ArtistPopularity"') == [(artists,)]
    assert platform.rows('SELECT count(DISTINCT id) FROM "ArtistFollowers"') == [(artists,)]
    # Spotify has no features of some tracks: those, and only those, are asked for again.
    without = platform.rows(
        'SELECT count(*) FROM "Tracks" t LEFT JOIN "TrackFeatures" f USING (id)'
        " LEFT JOIN songswap.enrichment_queue m ON m.kind = 'features' AND m.id = t.id"
        " WHERE f.id IS NULL AND m.known"
    )
    assert without == [(0,)]
    wanted = (
        "SELECT DISTINCT kind, misses FROM songswap.enrichment_queue WHERE queued_at IS NOT NULL"
    )
    assert platform.rows(wanted) == [("features", 1)]
    assert platform.rows("SELECT state, counts ->> 'plays' FROM songswap.runs") == [
        ("success", str(counts["plays"]))
    ]


def test_second_load_of_an_hour_adds_nothing(make_platform: MakePlatform) -> None:
    """No row, no request for metadata, no object."""
    platform = make_platform()
    platform.load()
    archived = platform.objects()
    counts = platform.load()
    assert counts.get("plays", 0) == 0
    assert counts["unchanged"] == 5
    assert {name for name in counts if name.startswith("calls ")} == {"calls recently-played 200"}
    assert platform.objects() == archived


def test_thirty_hours_lose_and_repeat_nothing(make_platform: MakePlatform) -> None:
    """With late plays and rotated tokens."""
    platform = make_platform("--rotate-refresh-tokens", "0.5", users=6)
    for _ in range(30):
        platform.load()
        assert platform.history() == platform.reachable()
        platform.advance(minutes=60)
    late = [
        p for p in platform.spotify.ledger() if p["listed_at"] > p["ended_at"][:14] + "59:59.999Z"
    ]
    assert late, "the simulated days had no late plays: choose another seed"
    asked = platform.rows(
        "SELECT count(*) FROM songswap.polls WHERE polled_at >= '2026-11-23 23:00Z'"
    )
    assert asked == [(6,)]


def test_calls_per_user_and_hour(make_platform: MakePlatform) -> None:
    """Once expiry is known, an hour costs a token and a page, and no call is refused."""
    platform = make_platform()
    platform.load()
    platform.advance(hours=1)
    platform.load()
    platform.advance(hours=1)
    counts = platform.load()
    assert counts["calls recently-played 200"] == 5
    assert counts["calls token refresh_token 200"] == 5
    assert "calls recently-played 401" not in counts


def test_archive_holds_the_raw_response(make_platform: MakePlatform) -> None:
    """Its own bytes, compressed, under the platform's key."""
    platform = make_platform(users=1)
    platform.load()
    user = platform.user_id("listener-0001")
    key = f"history/spotify/user{user}/user{user}_spotify_2026-11-22_18.json"
    assert platform.objects() == [key]
    found = obstore.get(platform.bucket, key)
    assert found.attributes["Content-Encoding"] == "gzip"
    assert found.attributes["observed-at"] == "2026-11-22T18:00:00.000+00:00"
    answer = json.loads(gzip.decompress(bytes(found.bytes())))
    assert {item["track"]["id"] for item in answer["items"]} == {
        row[0] for row in platform.rows('SELECT track_id FROM "History"')
    }


def test_second_response_of_an_hour_is_archived_beside_the_first(
    make_platform: MakePlatform,
) -> None:
    platform = make_platform(users=20)
    platform.load()
    first = {key: bytes(obstore.get(platform.bucket, key).bytes()) for key in platform.objects()}
    platform.advance(minutes=45)
    counts = platform.load()
    assert counts["plays"] > 0, "nobody played in these 45 minutes: choose another seed"
    assert len(platform.objects()) == 20 + counts["archived"]
    assert counts["archived"] == counts["responses"]
    for key, body in first.items():
        assert bytes(obstore.get(platform.bucket, key).bytes()) == body


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded real answer is not on this machine")
def test_recorded_response_is_loaded_in_full(make_platform: MakePlatform) -> None:
    """2 plays of a real user, and all their metadata."""
    platform = make_platform("--recorded", f"recorded={RECORDED}", users=0)
    counts = platform.load()
    assert counts["plays"] == 2
    assert platform.rows('SELECT played_at::text, track_id FROM "History" ORDER BY 1') == [
        ("2023-06-05 23:04:29.771", "7JDnCjOAuR6snlt3k6VtbO"),
        ("2023-06-05 23:05:13.83", "1RTray5NRStsFK0Pi9Mx4a"),
    ]
    assert platform.rows('SELECT id, name, duration_ms FROM "Tracks" ORDER BY name') == [
        ("1RTray5NRStsFK0Pi9Mx4a", "*Belle", 43728),
        ("7JDnCjOAuR6snlt3k6VtbO", "Brother", 211213),
    ]
    assert platform.rows(
        'SELECT a.name, t.is_primary FROM "ArtistTracks" t'
        ' JOIN "Artists" a ON a.id = t.artist_id ORDER BY 1'
    ) == [("Dave Okumu", True), ("Duckwrth", True)]
    assert platform.rows('SELECT popularity FROM "TrackPopularity"') == [(35,), (35,)]
    assert platform.rows('SELECT count(*), sum(width) FROM "TrackImages"') == [(6, 2 * 1004)]
    assert platform.rows('SELECT count(*) FROM "TrackPreviews"') == [(2,)]
    assert platform.rows('SELECT count(*) FROM "ArtistPopularity"') == [(2,)]
    assert platform.rows('SELECT count(*) FROM "TrackFeatures"') == [(2,)]


def test_gap_is_recorded_once(make_platform: MakePlatform) -> None:
    """A full answer of which nothing is known is a gap between two known moments."""
    platform = make_platform(users=8)
    platform.load()
    newest = dict(platform.rows('SELECT user_id, max(played_at) FROM "History" GROUP BY 1'))
    platform.advance(days=10)
    counts = platform.load()
    gaps = platform.rows(
        "SELECT user_id, after AT TIME ZONE 'UTC', before AT TIME ZONE 'UTC' FROM songswap.gaps"
    )
    assert counts["gaps"] == len(gaps) > 0
    for user, after, before in gaps:
        assert after == newest[user]
        oldest = platform.rows(
            'SELECT min(played_at) FROM "History" WHERE user_id = %s AND played_at > %s',
            user,
            after,
        )
        assert oldest == [(before,)]
    assert platform.load().get("gaps", 0) == 0


def test_stale_metadata_is_requested_again(make_platform: MakePlatform) -> None:
    """After a day, when the artist is heard."""
    platform = make_platform(users=15)
    platform.load()
    platform.advance(hours=3)
    soon = platform.load()
    heard_again = platform.rows(
        'SELECT count(DISTINCT artist_id) FROM "History" JOIN "ArtistTracks" USING (track_id)'
        " WHERE played_at > '2026-11-22 18:00'"
    )[0][0]
    assert soon.get("artist_requested", 0) < heard_again
    platform.advance(hours=30)
    platform.load()
    twice = platform.rows('SELECT count(*) FROM "ArtistPopularity" GROUP BY id HAVING count(*) > 1')
    assert twice, "no artist was heard again after a day: choose another seed"
    closest = platform.rows(
        'SELECT min(b.date - a.date) FROM "ArtistPopularity" a JOIN "ArtistPopularity" b'
        " ON b.id = a.id AND b.date > a.date"
    )
    assert closest[0][0] >= timedelta(days=1)


def test_popularity_has_a_row_a_day(make_platform: MakePlatform) -> None:
    """A track's popularity has a row for each value of a day, and none more while it stays."""
    platform = make_platform(users=6)
    for _ in range(6):
        platform.load()
        platform.advance(hours=5)
    rows = platform.rows('SELECT id, date::date, popularity FROM "TrackPopularity"')
    assert len(set(rows)) == len(rows)
    # The simulated values do not change: those who are heard on another day are told again.
    assert len({id_ for id_, _, _ in rows}) < len(rows)


def test_each_user_is_in_one_batch_of_the_set_size(make_platform: MakePlatform) -> None:
    platform = make_platform(users=7)
    small = replace(platform.settings, batch_size=3)
    assert hourly_load.plan(small, "planned", platform.clock) == [0, 1, 2]
    assert hourly_load.plan(small, "planned", platform.clock) == [0, 1, 2]
    cut = platform.rows(
        "SELECT number, count(*) FROM songswap.steps s"
        ' JOIN "Users" u ON u.id BETWEEN s.first_user AND s.last_user'
        " WHERE step = 'fetch' GROUP BY 1 ORDER BY 1"
    )
    assert cut == [(0, 3), (1, 3), (2, 1)]


def test_retried_fetch_polls_and_counts_nobody_twice(make_platform: MakePlatform) -> None:
    platform = make_platform(users=5)
    hourly_load.plan(platform.settings, "r", platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    (counts,) = platform.rows("SELECT counts FROM songswap.steps WHERE step = 'fetch'")[0]
    assert (counts["users"], counts["polled"], counts["responses"]) == (5, 5, 5)
    assert platform.calls()["recently-played"] == 5
    load_batch(platform.settings, "r", 0, platform.clock)
    assert platform.history() == platform.reachable()


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


def test_user_deleted_while_loading(make_platform: MakePlatform) -> None:
    """A user who is deleted between fetch and load costs nobody else anything."""
    platform = make_platform(users=4)
    hourly_load.plan(platform.settings, "r", platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    gone = platform.user_id("listener-0002")
    platform.execute('DELETE FROM "Users" WHERE id = %s', gone)
    counts = load_batch(platform.settings, "r", 0, platform.clock)
    assert counts["gone"] > 0
    expected = {key: 1 for key in platform.reachable() if key[0] != "listener-0002"}
    assert platform.history() == expected


def test_loads_at_once(make_platform: MakePlatform) -> None:
    """Two loads of one batch at the same time give the same rows as one."""
    platform = make_platform(users=6)
    hourly_load.plan(platform.settings, "r", platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    with ThreadPoolExecutor(4) as pool:
        loads = [
            pool.submit(load_batch, platform.settings, "r", 0, platform.clock) for _ in range(4)
        ]
        plays = [load.result().get("plays", 0) for load in loads]
    assert sum(plays) == platform.history().total()
    assert platform.history() == platform.reachable()
