"""Answers that Spotify really gave are loaded in full: each row against the files themselves.

They lie outside the repository; where they are not, these tests are skipped.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from factories import MakePlatform

DATA = Path(__file__).parents[3] / "shared" / "data"
FEEDS = {
    "first": "recently_played_real_response.json",
    "second": "spotify/recently_played_tracks.json",
}
METADATA = ("artist", "audio_features", "top_artists", "top_tracks")


def real(name: str) -> Any:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine: real answers lie outside the repository")
    return json.loads(path.read_bytes())


def of_tracks(tracks: list[Any]) -> dict[str, set[Any]]:
    """What a plain reading finds in track objects, table by table."""
    links = [
        (track, artist, n == 0) for track in tracks for n, artist in enumerate(track["artists"])
    ]
    return {
        'SELECT id, name, duration_ms FROM "Tracks"': {
            (track["id"], track["name"], track["duration_ms"]) for track in tracks
        },
        'SELECT id, name FROM "Artists"': {
            (artist["id"], artist["name"]) for _, artist, _ in links
        },
        'SELECT track_id, artist_id, is_primary FROM "ArtistTracks"': {
            (one["id"], artist["id"], first) for one, artist, first in links
        },
        'SELECT id, height, width, url FROM "TrackImages"': {
            (track["id"], image["height"], image["width"], image["url"])
            for track in tracks
            for image in track["album"]["images"]
        },
        'SELECT id, popularity FROM "TrackPopularity"': {
            (track["id"], track["popularity"]) for track in tracks
        },
        'SELECT id, url FROM "TrackPreviews"': {
            (track["id"], track["preview_url"]) for track in tracks if track["preview_url"]
        },
    }


def plays_of(items: list[Any]) -> set[Any]:
    return {
        (datetime.fromisoformat(item["played_at"]).replace(tzinfo=None), item["track"]["id"])
        for item in items
    }


def test_every_play_of_real_feeds_is_loaded(make_platform: MakePlatform) -> None:
    """And all that they hold of tracks and artists."""
    answers = {name: real(file)["items"] for name, file in FEEDS.items()}
    options = [f"--recorded={name}={DATA / file}" for name, file in FEEDS.items()]
    platform = make_platform(*options, users=0)
    counts = platform.load()
    for name, items in answers.items():
        query = 'SELECT played_at, track_id FROM "History" WHERE user_id = %s'
        assert set(platform.rows(query, platform.user_id(name))) == plays_of(items)
    assert counts["plays"] == sum(map(len, answers.values())) == 50
    for query, expected in of_tracks(
        [i["track"] for response in answers.values() for i in response]
    ).items():
        assert set(platform.rows(query)) == expected, query
    assert "rejected_items" not in counts
    assert platform.rows("SELECT * FROM songswap.data_fixes") == []
    assert platform.rows("SELECT * FROM songswap.gaps") == []


def test_real_artists_and_features_are_loaded(make_platform: MakePlatform, tmp_path: Path) -> None:
    """They are queued because somebody heard their tracks."""
    result = {name: real(f"spotify/{name}.json") for name in METADATA}
    artists = [result["artist"], *result["top_artists"]["items"]]
    whole = result["top_tracks"]["items"][:24]
    short = [{"id": each["id"], "name": each["name"], "type": "artist"} for each in artists]
    ids = [result["audio_features"]["id"], *(f"Made{n:018d}" for n in range(20))]
    made = [
        whole[0] | {"id": ident, "name": f"By three {n}", "artists": short[3 * n : 3 * n + 3]}
        for n, ident in enumerate(ids)
        if short[3 * n :]
    ]
    heard = [*whole, *made]
    items = [
        {"track": one, "played_at": f"2026-11-22T0{n // 60}:{n % 60:02d}:00.250Z", "context": None}
        for n, one in enumerate(heard)
    ]
    feed = tmp_path / "feed.json"
    feed.write_text(json.dumps({"items": items[::-1]}))
    files = {"feed": feed, **{name: DATA / "spotify" / f"{name}.json" for name in METADATA}}
    platform = make_platform(
        *(f"--recorded={name}={file}" for name, file in files.items()), users=0
    )
    platform.load()
    assert set(platform.rows('SELECT played_at, track_id FROM "History"')) == plays_of(items)
    for query, expected in of_tracks(heard).items():
        assert set(platform.rows(query)) == expected, query

    known = [each["id"] for each in artists]
    of_artists: dict[str, set[tuple[Any, ...]]] = {
        'SELECT id, popularity FROM "ArtistPopularity"': {
            (a["id"], a["popularity"]) for a in artists
        },
        'SELECT id, followers FROM "ArtistFollowers"': {
            (a["id"], a["followers"]["total"]) for a in artists
        },
        'SELECT id, genre FROM "ArtistGenres"': {
            (a["id"], g) for a in artists for g in a["genres"]
        },
        'SELECT id, height, width, url FROM "ArtistImages"': {
            (a["id"], i["height"], i["width"], i["url"]) for a in artists for i in a["images"]
        },
    }
    for query, expected in of_artists.items():
        assert set(platform.rows(f"{query} WHERE id = ANY(%s)", known)) == expected, query
    said = result["audio_features"]
    ((row,),) = platform.rows(
        'SELECT row_to_json(f) FROM "TrackFeatures" f WHERE id = %s', said["id"]
    )
    assert len(row) == 13
    assert row == pytest.approx({name: said[name] for name in row})
