"""What becomes a row about a track, and what of it is noted."""

from typing import Any

import msgspec
import pytest
from spotify_json import OBSERVED_AT, track

from songswap.models import Artist, ArtistTrack, Catalogue, Image, Popularity, Preview, Track
from songswap.transform import responses, shapes
from songswap.transform.track import add_track

ID = f"{1:022d}"


def add(track: dict[str, Any], into: Catalogue | None = None) -> Catalogue:
    catalogue = into or Catalogue()
    body = msgspec.json.encode({"tracks": [track]})
    entries = responses.read(body, shapes.Tracks, shapes.Track)
    assert entries is not None
    [entry] = entries
    assert entry.value is not None
    add_track(catalogue, entry.value, entry.problems, OBSERVED_AT)
    return catalogue


def noted(catalogue: Catalogue) -> set[str]:
    return {note.field for note in catalogue.data_fixes}


def test_whole_track_gives_all_its_rows() -> None:
    """Only the first artist is primary."""
    catalogue = add(track(1))
    first, second = f"A{1:021d}", f"B{1:021d}"
    assert catalogue == Catalogue(
        tracks={ID: Track(ID, "Track 1", 180_001)},
        artists={first: Artist(first, "Artist 1"), second: Artist(second, "Guest 1")},
        artist_tracks={
            (ID, first): ArtistTrack(ID, first, True),
            (ID, second): ArtistTrack(ID, second, False),
        },
        track_popularity={(ID, OBSERVED_AT.date(), 1): Popularity(ID, OBSERVED_AT, 1)},
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
def test_broken_field_costs_only_its_row(change: dict[str, Any]) -> None:
    """It is noted."""
    catalogue = add(track(1, **change))
    whole = add(track(1))
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
def test_broken_image_costs_only_itself(image: Any) -> None:
    """It has no usable size or URL."""
    images = track(1)["album"]["images"]
    catalogue = add(track(1, album={"images": [images[0], image, images[2]]}))
    assert {key[1] for key in catalogue.track_images} == {640, 64}
    assert any(
        field in ("images", "album.images.height", "album.images") for field in noted(catalogue)
    )


def test_image_has_a_url_that_can_be_stored() -> None:
    images = [{"height": 64, "width": 64, "url": "https://x\x00/1"}]
    catalogue = add(track(1, album={"images": images}))
    assert catalogue.track_images == {(ID, 64, 64): Image(ID, 64, 64, "https://x/1")}


def test_primary_is_never_invented() -> None:
    """Where the first artist has no id, no other artist becomes primary."""
    catalogue = add(track(1, artists=[{"id": None}, {"id": "second", "name": "S"}]))
    assert list(catalogue.artist_tracks.values()) == [ArtistTrack(ID, "second", False)]
    assert ID in catalogue.incomplete


def test_long_name_is_cut() -> None:
    """Names are cut to their columns in characters, and a cut name is not requested again."""
    long = "é" * 300
    catalogue = add(track(1, name=long, artists=[{"id": "a", "name": long}]))
    assert catalogue.tracks[ID].name == "é" * 240
    assert catalogue.artists["a"].name == "é" * 120
    assert {(note.kind, note.problem) for note in catalogue.data_fixes} == {
        ("track", "cut to 240 characters"),
        ("artist", "cut to 120 characters"),
    }
    assert catalogue.incomplete == set()


def test_nul_is_dropped() -> None:
    """A NUL byte costs itself, not the name."""
    catalogue = add(track(1, name="a\x00b"))
    assert catalogue.tracks[ID].name == "ab"
    assert noted(catalogue) == {"name"}


@pytest.mark.parametrize("left_out", ["popularity", "album", "artists"])
def test_left_out_is_not_noted(left_out: str) -> None:
    """What development mode leaves out is no row and no problem, but can be requested."""
    entry = track(1)
    del entry[left_out]
    catalogue = add(entry)
    assert catalogue.data_fixes == set()
    assert catalogue.incomplete == {ID}


def test_no_preview_and_no_images_are_complete() -> None:
    """Most tracks have no preview, some albums no image: there is nothing to ask for."""
    catalogue = add(track(1, preview_url=None, album={"images": []}))
    assert catalogue.incomplete == set()
    assert catalogue.data_fixes == set()


@pytest.mark.parametrize("whole_first", [True, False])
def test_whole_track_completes_a_broken_one_in_any_order(whole_first: bool) -> None:
    """Although both give the same values."""
    entries = [track(1), track(1, uri=5)]
    catalogue = Catalogue()
    for one in entries if whole_first else reversed(entries):
        add(one, catalogue)
    assert catalogue.incomplete == set()


def test_later_item_fills_what_an_earlier_left_out() -> None:
    catalogue = add(track(1, name=None, duration_ms=None, popularity=None))
    add(track(1), catalogue)
    whole = add(track(1))
    assert catalogue.tracks == whole.tracks
    assert catalogue.track_popularity == whole.track_popularity
    assert catalogue.incomplete == set()
    add(track(1, name="Another"), catalogue)
    assert catalogue.tracks == whole.tracks
