"""What the batch calls tell: matched by id, unknown only where Spotify says so."""

import json
from typing import Any

import pytest
from spotify_json import OBSERVED_AT, track

from songswap.models import Followers, Genre, Popularity
from songswap.transform import metadata

FEATURES: dict[str, Any] = {
    "acousticness": 0.1,
    "danceability": 0.2,
    "energy": 0.3,
    "instrumentalness": 0,
    "key": -1,
    "liveness": 0.5,
    "loudness": 2.5,
    "mode": 1,
    "speechiness": 0.6,
    "tempo": 0.0,
    "time_signature": 1,
    "valence": 1.0,
}


def body(**lists: Any) -> bytes:
    return json.dumps(lists).encode()


def artist(artist_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": artist_id,
        "name": artist_id.upper(),
        "genres": ["post-punk", "art rock"],
        "images": [{"height": 64, "width": 64, "url": f"https://i/{artist_id}"}],
        "popularity": 40,
        "followers": {"href": None, "total": 12345},
    } | changes


def test_matched_by_id() -> None:
    """Entries in another order give the same rows, and a null is the id that is not told."""
    ids = [f"{number:022d}" for number in (1, 2, 3)]
    told = metadata.tracks(body(tracks=[track(3), None, track(1)]), ids, OBSERVED_AT)
    assert told.received == {ids[0], ids[2]}
    assert told.unknown == {ids[1]}
    assert told.catalogue.tracks[ids[2]].name == "Track 3"


@pytest.mark.parametrize(
    "entries",
    [
        [],
        ["broken"],
        [{"id": "somebody-else"}],
        [{"name": "without id"}],
        [None, None],
    ],
)
def test_unknown_only_where_certain(entries: list[Any]) -> None:
    """An id is unknown only if the nulls account for it; else it is simply not answered."""
    told = metadata.artists(body(artists=entries), ["wanted"], OBSERVED_AT)
    assert told.received == set()
    assert told.unknown == set()


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"{}", b'{"artists": null}'])
def test_unreadable_body_says_nothing_of_any_id(answer: bytes) -> None:
    told = metadata.artists(answer, ["wanted"], OBSERVED_AT)
    assert (told.received, told.unknown) == (set(), set())


def test_whole_artist_gives_all_its_rows() -> None:
    """Name, images, popularity, followers and genres."""
    told = metadata.artists(body(artists=[artist("x")]), ["x"], OBSERVED_AT)
    assert told.catalogue.artists["x"].name == "X"
    assert [image.url for image in told.images.values()] == ["https://i/x"]
    assert told.popularity == [Popularity("x", OBSERVED_AT, 40)]
    assert told.followers == [Followers("x", OBSERVED_AT, 12345)]
    assert told.genres == {Genre("x", "post-punk"), Genre("x", "art rock")}
    assert told.data_fixes == set()


def test_artist_in_development_mode() -> None:
    """Fields that development mode leaves out are no rows, and the artist is complete."""
    told = metadata.artists(body(artists=[{"id": "x", "name": "X"}]), ["x"], OBSERVED_AT)
    assert told.received == {"x"}
    assert not any((told.popularity, told.followers, told.genres, told.images, told.data_fixes))


def test_broken_parts_of_an_artist() -> None:
    """Each broken part costs itself and is noted."""
    broken = artist(
        "x",
        genres=["ok", "", "g" * 121, 5],
        images=[{"height": None, "width": 1, "url": "u"}],
        popularity=-1,
        followers={"total": -5},
    )
    told = metadata.artists(body(artists=[broken]), ["x"], OBSERVED_AT)
    assert told.genres == {Genre("x", "ok")}
    assert not any((told.popularity, told.followers, told.images))
    assert {note.field for note in told.data_fixes} >= {
        "genres",
        "images",
        "popularity",
        "followers",
    }


def test_noise_and_loud_masters_are_ordinary_features() -> None:
    """A tempo of 0, and more than 0 dB."""
    told = metadata.features(body(audio_features=[{"id": "x", **FEATURES}]), ["x"])
    assert [row._asdict() for row in told.features] == [{"id": "x", **FEATURES}]


def reccobeats(track_id: str, **changes: Any) -> dict[str, Any]:
    told = {name: value for name, value in FEATURES.items() if name != "time_signature"}
    href = f"https://open.spotify.com/track/{track_id}"
    return {"id": "2f0d8e4c-own", "href": href, **told, **changes}


def test_features_of_reccobeats() -> None:
    """Matched by the id in href, in any order; what is not there is left, not called unknown."""
    entries = [reccobeats("y", key=7.0), None, "broken", reccobeats("z"), {"id": "x"}]
    told = metadata.reccobeats_features(body(content=[*entries, reccobeats("x")]), ["x", "y", "w"])
    rows = {row.id: row for row in told.features}
    assert rows.keys() == told.received == {"x", "y"}
    assert told.unknown == set()
    assert rows["x"]._asdict() == {"id": "x", **FEATURES, "time_signature": 0}
    assert rows["y"].key == 7
    assert {(note.id, note.field) for note in told.data_fixes} == {
        ("x", "time_signature"),
        ("y", "time_signature"),
    }


def test_incomplete_features_of_reccobeats() -> None:
    """A time signature that it tells is taken; another value that lacks costs the row, for now."""
    with_signature = reccobeats("x", time_signature=3)
    told = metadata.reccobeats_features(body(content=[with_signature]), ["x"])
    assert [row.time_signature for row in told.features] == [3]
    assert told.data_fixes == set()
    told = metadata.reccobeats_features(body(content=[reccobeats("x", tempo=None)]), ["x"])
    assert (told.received, told.unknown, told.features) == (set(), set(), [])
    assert {note.field for note in told.data_fixes} == {"tempo"}
    for nonsense in (b"", b'{"content": null}', b'{"content": [{"href": 5}]}'):
        assert metadata.reccobeats_features(nonsense, ["x"]).received == set()


@pytest.mark.parametrize("name", list(FEATURES))
@pytest.mark.parametrize("value", [None, "loud", 1e9, float("nan"), float("inf"), -61])
def test_bad_value_costs_the_features_and_counts_as_answered(name: str, value: Any) -> None:
    """It is missing, of a wrong type, or absurd; it is noted."""
    told = metadata.features(body(audio_features=[{"id": "x", **FEATURES, name: value}]), ["x"])
    assert told.features == []
    assert told.received == {"x"}
    assert {note.field for note in told.data_fixes} == {name}
