"""What becomes a row about a track, and what of it is noted."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from songswap.models import Artist, ArtistTrack, Catalogue, Image, Popularity, Preview, Track
from songswap.transform import responses, shapes
from songswap.transform.track import add_track

ID = f"{1:022d}"


def add(told: dict[str, Any], observed_at: datetime, into: Catalogue | None = None) -> Catalogue:
    catalogue = into or Catalogue()
    body = msgspec.json.encode({"tracks": [told]})
    entries = responses.read(body, shapes.Tracks, shapes.Track)
    assert entries is not None
    add_track(catalogue, entries[0].value, entries[0].problems, observed_at)
    return catalogue


def noted(catalogue: Catalogue) -> set[str]:
    return {note.field for note in catalogue.data_fixes}


def test_whole_track(track: Any, observed_at: datetime) -> None:
    """A whole track gives all its rows; only the first artist is primary."""
    catalogue = add(track(1), observed_at)
    first, second = f"A{1:021d}", f"B{1:021d}"
    assert catalogue == Catalogue(
        tracks={ID: Track(ID, "Track 1", 180_001)},
        artists={first: Artist(first, "Artist 1"), second: Artist(second, "Guest 1")},
        artist_tracks={
            (ID, first): ArtistTrack(ID, first, True),
            (ID, second): ArtistTrack(ID, second, False),
        },
        track_popularity={(ID, observed_at.date(), 1): Popularity(ID, observed_at, 1)},
        track_images={
            (ID, size, size): Image(ID, size, size, f"https://i.scdn.co/1/{size}")
            for size in (640, 300, 64)
        },
        track_previews={ID: Preview(ID, "https://p.scdn.co/1")},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": 5},
        {"duration_ms": None},
        {"duration_ms": -1},
        {"duration_ms": 2**31},
        {"duration_ms": True},
        {"popularity": 101},
        {"popularity": "35"},
        {"preview_url": ""},
        {"preview_url": "https://" + "x" * 240},
        {"preview_url": ["x"]},
        {"artists": "nobody"},
    ],
)
def test_one_field_costs_itself(track: Any, observed_at: datetime, change: dict[str, Any]) -> None:
    """A broken field is noted and costs its own row; every other row of the track is there."""
    catalogue = add(track(1, **change), observed_at)
    whole = add(track(1), observed_at)
    (field,) = change
    assert noted(catalogue) == {field}
    assert ID in catalogue.incomplete
    assert set(catalogue.tracks) == {ID}
    assert catalogue.track_images == whole.track_images
    if field != "artists":
        assert catalogue.artist_tracks == whole.artist_tracks
        assert catalogue.artists == whole.artists
    if field != "popularity":
        assert catalogue.track_popularity == whole.track_popularity
    if field != "preview_url":
        assert catalogue.track_previews == whole.track_previews


@pytest.mark.parametrize(
    "image",
    [
        {"height": None, "width": 300, "url": "https://x"},
        {"width": 300, "url": "https://x"},
        {"height": 0, "width": 300, "url": "https://x"},
        {"height": "300", "width": 300, "url": "https://x"},
        {"height": 300, "width": 300, "url": None},
        {"height": 300, "width": 300, "url": "https://" + "x" * 240},
        None,
        "https://x",
    ],
)
def test_one_image_costs_itself(track: Any, observed_at: datetime, image: Any) -> None:
    """An image without a usable size or URL costs that image alone."""
    images = track(1)["album"]["images"]
    catalogue = add(track(1, album={"images": [images[0], image, images[2]]}), observed_at)
    assert {key[1] for key in catalogue.track_images} == {640, 64}
    assert any(
        field in ("images", "album.images.height", "album.images") for field in noted(catalogue)
    )


def test_primary_is_never_invented(track: Any, observed_at: datetime) -> None:
    """Where the first artist has no id, no other artist becomes primary."""
    catalogue = add(track(1, artists=[{"id": None}, {"id": "second", "name": "S"}]), observed_at)
    assert list(catalogue.artist_tracks.values()) == [ArtistTrack(ID, "second", False)]
    assert ID in catalogue.incomplete


def test_long_name_is_cut(track: Any, observed_at: datetime) -> None:
    """Names are cut to their columns in characters, and a cut name is not asked for again."""
    long = "é" * 300
    catalogue = add(track(1, name=long, artists=[{"id": "a", "name": long}]), observed_at)
    assert catalogue.tracks[ID].name == "é" * 240
    assert catalogue.artists["a"].name == "é" * 120
    assert {(note.kind, note.problem) for note in catalogue.data_fixes} == {
        ("track", "cut to 240 characters"),
        ("artist", "cut to 120 characters"),
    }
    assert catalogue.incomplete == set()


def test_nul_is_dropped(track: Any, observed_at: datetime) -> None:
    """A NUL byte costs itself, not the name."""
    catalogue = add(track(1, name="a\x00b"), observed_at)
    assert catalogue.tracks[ID].name == "ab"
    assert noted(catalogue) == {"name"}


@pytest.mark.parametrize("left_out", ["popularity", "album", "artists"])
def test_left_out_is_not_noted(track: Any, observed_at: datetime, left_out: str) -> None:
    """What development mode leaves out is no row and no problem, but can be asked for."""
    told = track(1)
    del told[left_out]
    catalogue = add(told, observed_at)
    assert catalogue.data_fixes == set()
    assert catalogue.incomplete == {ID}


def test_no_preview_and_no_images_are_complete(track: Any, observed_at: datetime) -> None:
    """Most tracks have no preview, some albums no image: there is nothing to ask for."""
    catalogue = add(track(1, preview_url=None, album={"images": []}), observed_at)
    assert catalogue.incomplete == set()
    assert catalogue.data_fixes == set()


@pytest.mark.parametrize("whole_first", [True, False])
def test_whole_telling_completes_in_any_order(
    track: Any, observed_at: datetime, whole_first: bool
) -> None:
    """One that is read without a problem does, although both give the same values."""
    told = [track(1), track(1, uri=5)]
    catalogue = Catalogue()
    for one in told if whole_first else reversed(told):
        add(one, observed_at, catalogue)
    assert catalogue.incomplete == set()


def test_later_telling_completes(track: Any, observed_at: datetime) -> None:
    """What one item leaves out of a track, another item of the same track fills in."""
    catalogue = add(track(1, name=None, duration_ms=None, popularity=None), observed_at)
    add(track(1), observed_at, catalogue)
    whole = add(track(1), observed_at)
    assert catalogue.tracks == whole.tracks
    assert catalogue.track_popularity == whole.track_popularity
    assert catalogue.incomplete == set()
    add(track(1, name="Another"), observed_at, catalogue)
    assert catalogue.tracks == whole.tracks
