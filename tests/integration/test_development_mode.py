"""An app in development mode: no batches, no features, fewer fields, at most five users."""

from datetime import timedelta

import pytest
from factories import MakePlatform, Platform

from songswap.errors import RunFailed
from songswap.pipelines import backfill
from songswap.pipelines.enrich import KINDS

BATCHES = {"tracks", "artists", "audio-features"}


def ids(platform: Platform, table: str) -> set[str]:
    """The ids that have rows in a table."""
    return {one for (one,) in platform.rows(f'SELECT id FROM "{table}"')}  # noqa: S608 - our own names


def sources(platform: Platform, kind: str) -> dict[str | None, int]:
    """How many ids of a kind were answered, by who told of them; None are those without answer."""
    return dict(
        platform.rows(
            "SELECT source, count(*) FROM songswap.enrichment_queue WHERE kind = %s GROUP BY 1",
            kind,
        )
    )


def fresh_calls(platform: Platform) -> None:
    """Begin to count calls anew."""
    platform.spotify.delete("/admin/calls")


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """A platform whose app is in development mode, before its first load."""
    return make_platform("--mode", "development", users=5)


def test_single_calls_and_reccobeats_return_what_batches_would(platform: Platform) -> None:
    """Batches are tried once, and again after a week."""
    fresh_calls(platform)
    counts = platform.load()
    assert platform.history() == platform.reachable() != {}
    tracks, artists = ids(platform, "Tracks"), ids(platform, "Artists")
    assert platform.calls() == {
        **dict.fromkeys(BATCHES, 1),
        "token": 3,
        "recently-played": 5,
        "track": len(tracks),
        "artist": len(artists),
        "reccobeats": -(-len(tracks) // 40),
    }
    assert counts["track_received"] == len(tracks) > 100
    assert counts["calls reccobeats 200"] == -(-len(tracks) // 40)

    # A field that development mode leaves out is no row, and nothing to wait for.
    assert not ids(platform, "TrackPopularity") | ids(platform, "ArtistPopularity")
    assert not ids(platform, "ArtistFollowers")
    assert ids(platform, "ArtistImages")
    assert sources(platform, "track") == {"spotify": len(tracks)}
    assert sources(platform, "artist") == {"spotify": len(artists)}

    # ReccoBeats tells all but the time signature, of most tracks; the others are asked in a month.
    with_features = ids(platform, "TrackFeatures")
    unknown = len(tracks - with_features)
    assert sources(platform, "features") == {"reccobeats": len(with_features), None: unknown}
    assert unknown > 0
    assert platform.rows('SELECT DISTINCT time_signature FROM "TrackFeatures"') == [(0,)]
    fixes = (
        "SELECT count(*) FROM songswap.data_fixes"
        " WHERE (kind, field) = ('features', 'time_signature')"
    )
    assert platform.rows(fixes) == [(len(with_features),)]
    waits = "SELECT DISTINCT known, not_before FROM songswap.enrichment_queue WHERE source IS NULL"
    assert platform.rows(waits) == [(None, platform.clock() + timedelta(days=30))]

    fresh_calls(platform)
    platform.advance(hours=1)
    platform.load()
    new = ids(platform, "Tracks") - tracks
    assert not BATCHES & platform.calls().keys()
    assert platform.calls().get("track", 0) == len(new)
    assert platform.calls().get("reccobeats", 0) == bool(new)
    assert platform.history() == platform.reachable()

    platform.spotify.post("/admin/mode", {"mode": "extended"})
    platform.advance(days=7)
    fresh_calls(platform)
    platform.load()
    assert BATCHES - {"tracks"} < platform.calls().keys(), (
        "with popularity no new track is incomplete"
    )
    assert not {"track", "artist", "reccobeats"} & platform.calls().keys()
    assert ids(platform, "ArtistFollowers")
    assert sources(platform, "features").keys() == {"spotify", "reccobeats", None}


def test_reccobeats_failure_costs_only_time(platform: Platform) -> None:
    """Its pause and its outage do not stop calls to Spotify."""
    platform.fault(path="/reccobeats/*", status=429, headers={"Retry-After": "5400"}, times=1)
    with pytest.raises(RunFailed, match="enrich features 0: ReccoBeats allows no more requests"):
        platform.load()
    tracks = ids(platform, "Tracks")
    assert ids(platform, "ArtistImages")
    assert platform.rows("SELECT app FROM songswap.pauses") == [("reccobeats",)]
    fresh_calls(platform)
    platform.advance(hours=1)
    with pytest.raises(RunFailed, match="ReccoBeats allows no more requests"):
        platform.load()
    assert "reccobeats" not in platform.calls(), "it was asked before its pause was over"
    assert platform.history() == platform.reachable()

    platform.advance(hours=1)
    platform.fault(path="/reccobeats/*", status=500)
    with pytest.raises(RunFailed, match="ReccoBeats gave no usable response"):
        platform.load()
    assert not ids(platform, "TrackFeatures")
    platform.mend()
    platform.load()
    assert len(ids(platform, "TrackFeatures") & tracks) > 0.9 * len(tracks)


def test_backfill_fills_all_and_a_second_requests_nothing(platform: Platform) -> None:
    platform.load()
    before = {
        table: ids(platform, table) for table in ("TrackImages", "ArtistImages", "TrackFeatures")
    }
    platform.execute(
        'TRUNCATE "TrackImages", "ArtistImages", "TrackFeatures", songswap.enrichment_queue,'
        " songswap.blocked_endpoints"
    )
    fresh_calls(platform)
    first = backfill.backfill(platform.settings, KINDS, None, lambda *_: None, platform.clock)
    assert [one.problem for one in first.values()] == [None] * 3
    assert {table: ids(platform, table) for table in before} == before
    assert {name: platform.calls()[name] for name in BATCHES} == dict.fromkeys(BATCHES, 1)

    fresh_calls(platform)
    platform.advance(days=8)
    again = backfill.backfill(platform.settings, KINDS, None, lambda *_: None, platform.clock)
    assert platform.calls() == {}
    waiting = len(ids(platform, "Tracks") - before["TrackFeatures"])
    assert [(one.found.missing, one.found.waiting) for one in again.values() if one.found] == [
        (0, 0),
        (0, 0),
        (0, waiting),
    ]


def test_single_call_says_no(make_platform: MakePlatform) -> None:
    """A 404 is an id that Spotify does not know, as it says; a 403 is not. Both are asked again."""
    platform = make_platform("--mode", "development", users=0)
    unknown, forbidden = "0" * 22, "1" * 22
    platform.execute(
        'INSERT INTO "Tracks" VALUES (%s, %s, 1), (%s, %s, 1)', unknown, "gone", forbidden, "closed"
    )
    platform.fault(path=f"/v1/tracks/{forbidden}", status=403)
    counts = backfill.backfill(platform.settings, ["track"], None, lambda *_: None, platform.clock)
    assert counts["track"].problem is None
    rows = platform.rows(
        "SELECT id, known, misses, not_before FROM songswap.enrichment_queue ORDER BY id"
    )
    tomorrow = platform.clock() + timedelta(days=1)
    assert rows == [(unknown, None, 1, tomorrow), (forbidden, None, 0, tomorrow)]
