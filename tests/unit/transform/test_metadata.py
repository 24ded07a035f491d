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
    """Entries in another order give the same rows, and a null is the missing id."""
    ids = [f"{number:022d}" for number in (1, 2, 3)]
    found = metadata.tracks(body(tracks=[track(3), None, track(1)]), ids, OBSERVED_AT)
    assert found.received == {ids[0], ids[2]}
    assert found.unknown == {ids[1]}
    assert found.catalogue.tracks[ids[2]].name == "Track 3"


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
    found = metadata.artists(body(artists=entries), ["wanted"], OBSERVED_AT)
    assert found.received == set()
    assert found.unknown == set()


@pytest.mark.parametrize("response", [b"", b"nonsense", b"{}", b'{"artists": null}'])
def test_unreadable_body_says_nothing_of_any_id(response: bytes) -> None:
    found = metadata.artists(response, ["wanted"], OBSERVED_AT)
    assert (found.received, found.unknown) == (set(), set())


def test_whole_artist_gives_all_its_rows() -> None:
    """Name, images, popularity, followers and genres."""
    found = metadata.artists(body(artists=[artist("x")]), ["x"], OBSERVED_AT)
    assert found.catalogue.artists["x"].name == "X"
    assert [image.url for image in found.images.values()] == ["https://i/x"]
    assert found.popularity == [Popularity("x", OBSERVED_AT, 40)]
    assert found.followers == [Followers("x", OBSERVED_AT, 12345)]
    assert found.genres == {Genre("x", "post-punk"), Genre("x", "art rock")}
    assert found.data_fixes == set()


def test_artist_in_development_mode() -> None:
    """Fields that development mode leaves out are no rows, and the artist is complete."""
    found = metadata.artists(body(artists=[{"id": "x", "name": "X"}]), ["x"], OBSERVED_AT)
    assert found.received == {"x"}
    assert not any(
        (found.popularity, found.followers, found.genres, found.images, found.data_fixes)
    )


def test_broken_parts_of_an_artist() -> None:
    """Each broken part costs itself and is noted."""
    broken = artist(
        "x",
        genres=["ok", "", "g" * 121, 5],
        images=[{"height": None, "width": 1, "url": "u"}],
        popularity=-1,
        followers={"total": -5},
    )
    found = metadata.artists(body(artists=[broken]), ["x"], OBSERVED_AT)
    assert found.genres == {Genre("x", "ok")}
    assert not any((found.popularity, found.followers, found.images))
    assert {fix.field for fix in found.data_fixes} >= {
        "genres",
        "images",
        "popularity",
        "followers",
    }


def test_noise_and_loud_masters_are_ordinary_features() -> None:
    """A tempo of 0, and more than 0 dB."""
    found = metadata.features(body(audio_features=[{"id": "x", **FEATURES}]), ["x"])
    assert [row._asdict() for row in found.features] == [{"id": "x", **FEATURES}]


def reccobeats(track_id: str, **changes: Any) -> dict[str, Any]:
    features = {name: value for name, value in FEATURES.items() if name != "time_signature"}
    href = f"https://open.spotify.com/track/{track_id}"
    return {"id": "2f0d8e4c-own", "href": href, **features, **changes}


def test_features_of_reccobeats() -> None:
    """Matched by the id in href, in any order; what is not there is left, not called unknown."""
    entries = [reccobeats("y", key=7.0), None, "broken", reccobeats("z"), {"id": "x"}]
    found = metadata.reccobeats_features(body(content=[*entries, reccobeats("x")]), ["x", "y", "w"])
    rows = {row.id: row for row in found.features}
    assert rows.keys() == found.received == {"x", "y"}
    assert found.unknown == set()
    assert rows["x"]._asdict() == {"id": "x", **FEATURES, "time_signature": 0}
    assert rows["y"].key == 7
    assert {(fix.id, fix.field) for fix in found.data_fixes} == {
        ("x", "time_signature"),
        ("y", "time_signature"),
    }


def test_incomplete_features_of_reccobeats() -> None:
    """A time signature that it tells is taken; another value that lacks costs the row, for now."""
    with_signature = reccobeats("x", time_signature=3)
    found = metadata.reccobeats_features(body(content=[with_signature]), ["x"])
    assert [row.time_signature for row in found.features] == [3]
    assert found.data_fixes == set()
    found = metadata.reccobeats_features(body(content=[reccobeats("x", tempo=None)]), ["x"])
    assert (found.received, found.unknown, found.features) == (set(), set(), [])
    assert {fix.field for fix in found.data_fixes} == {"tempo"}
    for nonsense in (b"", b'{"content": null}', b'{"content": [{"href": 5}]}'):
        assert metadata.reccobeats_features(nonsense, ["x"]).received == set()


@pytest.mark.parametrize("name", list(FEATURES))
@pytest.mark.parametrize("value", [None, "loud", 1e9, float("nan"), float("inf"), -61])
def test_bad_value_costs_the_features_and_counts_as_answered(name: str, value: Any) -> None:
    """It is missing, of a wrong type, or absurd; it is noted."""
    found = metadata.features(body(audio_features=[{"id": "x", **FEATURES, name: value}]), ["x"])
    assert found.features == []
    assert found.received == {"x"}
    assert {fix.field for fix in found.data_fixes} == {name}
