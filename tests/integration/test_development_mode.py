"""An app in development mode: no batches, no features, fewer fields, at most five users."""

from datetime import timedelta

import pytest
from factories import MakePlatform, Platform

from songswap.errors import RunFailed
from songswap.pipelines import backfill
from songswap.pipelines.enrich import KINDS

BATCHES = {"tracks", "artists", "audio-features"}


def ids(here: Platform, table: str) -> set[str]:
    """The ids that have rows in a table."""
    return {one for (one,) in here.rows(f'SELECT id FROM "{table}"')}  # noqa: S608 - our own names


def sources(here: Platform, kind: str) -> dict[str | None, int]:
    """How many ids of a kind were answered, by who told of them; None are those without answer."""
    return dict(
        here.rows(
            "SELECT source, count(*) FROM songswap.enrichment_queue WHERE kind = %s GROUP BY 1",
            kind,
        )
    )


def fresh_calls(here: Platform) -> None:
    """Begin to count calls anew."""
    here.spotify.delete("/admin/calls")


@pytest.fixture
def here(platform: MakePlatform) -> Platform:
    """A platform whose app is in development mode, before its first load."""
    return platform("--mode", "development", users=5)


def test_single_calls_and_reccobeats_return_what_batches_would(here: Platform) -> None:
    """Batches are tried once, and again after a week."""
    fresh_calls(here)
    counts = here.load()
    assert here.history() == here.reachable() != {}
    tracks, artists = ids(here, "Tracks"), ids(here, "Artists")
    assert here.calls() == {
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
    assert not ids(here, "TrackPopularity") | ids(here, "ArtistPopularity")
    assert not ids(here, "ArtistFollowers")
    assert ids(here, "ArtistImages")
    assert sources(here, "track") == {"spotify": len(tracks)}
    assert sources(here, "artist") == {"spotify": len(artists)}

    # ReccoBeats tells all but the time signature, of most tracks; the others are asked in a month.
    with_features = ids(here, "TrackFeatures")
    unknown = len(tracks - with_features)
    assert sources(here, "features") == {"reccobeats": len(with_features), None: unknown}
    assert unknown > 0
    assert here.rows('SELECT DISTINCT time_signature FROM "TrackFeatures"') == [(0,)]
    fixes = (
        "SELECT count(*) FROM songswap.data_fixes"
        " WHERE (kind, field) = ('features', 'time_signature')"
    )
    assert here.rows(fixes) == [(len(with_features),)]
    waits = "SELECT DISTINCT known, not_before FROM songswap.enrichment_queue WHERE source IS NULL"
    assert here.rows(waits) == [(None, here.clock() + timedelta(days=30))]

    fresh_calls(here)
    here.advance(hours=1)
    here.load()
    new = ids(here, "Tracks") - tracks
    assert not BATCHES & here.calls().keys()
    assert here.calls().get("track", 0) == len(new)
    assert here.calls().get("reccobeats", 0) == bool(new)
    assert here.history() == here.reachable()

    here.spotify.post("/admin/mode", {"mode": "extended"})
    here.advance(days=7)
    fresh_calls(here)
    here.load()
    assert BATCHES - {"tracks"} < here.calls().keys(), "with popularity no new track is incomplete"
    assert not {"track", "artist", "reccobeats"} & here.calls().keys()
    assert ids(here, "ArtistFollowers")
    assert sources(here, "features").keys() == {"spotify", "reccobeats", None}


def test_reccobeats_failure_costs_only_time(here: Platform) -> None:
    """Its pause and its outage do not stop calls to Spotify."""
    here.fault(path="/reccobeats/*", status=429, headers={"Retry-After": "5400"}, times=1)
    with pytest.raises(RunFailed, match="enrich features 0: ReccoBeats allows no more requests"):
        here.load()
    tracks = ids(here, "Tracks")
    assert ids(here, "ArtistImages")
    assert here.rows("SELECT app FROM songswap.pauses") == [("reccobeats",)]
    fresh_calls(here)
    here.advance(hours=1)
    with pytest.raises(RunFailed, match="ReccoBeats allows no more requests"):
        here.load()
    assert "reccobeats" not in here.calls(), "it was asked before its pause was over"
    assert here.history() == here.reachable()

    here.advance(hours=1)
    here.fault(path="/reccobeats/*", status=500)
    with pytest.raises(RunFailed, match="ReccoBeats gave no usable response"):
        here.load()
    assert not ids(here, "TrackFeatures")
    here.mend()
    here.load()
    assert len(ids(here, "TrackFeatures") & tracks) > 0.9 * len(tracks)


def test_backfill_fills_all_and_a_second_requests_nothing(here: Platform) -> None:
    here.load()
    before = {table: ids(here, table) for table in ("TrackImages", "ArtistImages", "TrackFeatures")}
    here.execute(
        'TRUNCATE "TrackImages", "ArtistImages", "TrackFeatures", songswap.enrichment_queue,'
        " songswap.blocked_endpoints"
    )
    fresh_calls(here)
    first = backfill.backfill(here.settings, KINDS, None, lambda *_: None, here.clock)
    assert [one.problem for one in first.values()] == [None] * 3
    assert {table: ids(here, table) for table in before} == before
    assert {name: here.calls()[name] for name in BATCHES} == dict.fromkeys(BATCHES, 1)

    fresh_calls(here)
    here.advance(days=8)
    again = backfill.backfill(here.settings, KINDS, None, lambda *_: None, here.clock)
    assert here.calls() == {}
    waiting = len(ids(here, "Tracks") - before["TrackFeatures"])
    assert [(one.found.missing, one.found.waiting) for one in again.values() if one.found] == [
        (0, 0),
        (0, 0),
        (0, waiting),
    ]


def test_single_call_says_no(platform: MakePlatform) -> None:
    """A 404 is an id that Spotify does not know, as it says; a 403 is not. Both are asked again."""
    here = platform("--mode", "development", users=0)
    unknown, forbidden = "0" * 22, "1" * 22
    here.execute(
        'INSERT INTO "Tracks" VALUES (%s, %s, 1), (%s, %s, 1)', unknown, "gone", forbidden, "closed"
    )
    here.fault(path=f"/v1/tracks/{forbidden}", status=403)
    counts = backfill.backfill(here.settings, ["track"], None, lambda *_: None, here.clock)
    assert counts["track"].problem is None
    rows = here.rows(
        "SELECT id, known, misses, not_before FROM songswap.enrichment_queue ORDER BY id"
    )
    tomorrow = here.clock() + timedelta(days=1)
    assert rows == [(unknown, None, 1, tomorrow), (forbidden, None, 0, tomorrow)]
