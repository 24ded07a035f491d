"""Joining: what answers tell, as one, in whichever order they came."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from songswap.models import Artist, ArtistTrack, Catalogue, Image, Popularity, Preview, Track
from songswap.transform import shapes
from songswap.transform.catalogue import merge_catalogues, select_tracks, with_one_primary
from songswap.transform.track import add_track

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def seen(hours: int = 0, url: str = "u", **changed: Any) -> Catalogue:
    """One track in a response of that hour."""
    track: dict[str, Any] = {
        "id": "t",
        "name": "Track",
        "duration_ms": 5,
        "popularity": 1,
        "preview_url": url,
        "artists": [shapes.Artist("a", "Artist")],
        "album": shapes.Album(images=[shapes.Image(url, 9, 9)]),
    }
    catalogue = Catalogue()
    add_track(catalogue, shapes.Track(**track | changed), {}, BEGIN + timedelta(hours=hours))
    return catalogue


def test_one_catalogue_is_merged_into_itself() -> None:
    catalogue = seen()
    assert merge_catalogues([catalogue]) is catalogue


PARTS = [
    seen(name=None, artists=[shapes.Artist("a", None)]),
    seen(1, "v", duration_ms=None),
    seen(
        2,
        name="Another",
        artists=[shapes.Artist("a", "B"), shapes.Artist("b")],
        duration_ms=7,
    ),
    seen(2, popularity=None, artists=[shapes.Artist("b", "C"), shapes.Artist("a")]),
]


@pytest.mark.parametrize("order", [*itertools.permutations(range(len(PARTS)))])
def test_larger_value_wins(order: tuple[int, ...]) -> None:
    """Any is larger than one that is missing."""
    rows = merge_catalogues([PARTS[number] for number in order])
    assert rows.tracks == {"t": Track("t", "Track", 7)}
    assert rows.artists == {"a": Artist("a", "B"), "b": Artist("b", "C")}
    assert rows.track_previews == {"t": Preview("t", "v")}
    assert list(rows.track_images.values()) == [Image("t", 9, 9, "v")]
    assert rows.artist_tracks == {
        ("t", one): ArtistTrack("t", one, is_primary=True) for one in "ab"
    }
    assert sorted(with_one_primary(rows.artist_tracks.values())) == [
        ArtistTrack("t", "a", is_primary=False),
        ArtistTrack("t", "b", is_primary=True),
    ]
    assert rows.forms == {"t": 0}
    assert merge_catalogues([PARTS[0], PARTS[0]]).forms == PARTS[0].forms


def test_one_primary_artist_remains() -> None:
    """Of those that a response marks; of none, none."""
    links = [ArtistTrack("t", one, is_primary=False) for one in "ab"]
    assert with_one_primary(links) == links


def test_earliest_observation_of_a_day_wins() -> None:
    """In any order; another day has its own."""
    rows = merge_catalogues([seen(2), seen(1), seen(3, popularity=4), seen(25)])
    assert set(rows.track_popularity.values()) == {
        Popularity("t", BEGIN + timedelta(hours=hours), value)
        for hours, value in ((1, 1), (3, 4), (25, 1))
    }


def test_merging_leaves_its_inputs_unchanged() -> None:
    """A load that is refused is tried again with parts of them."""
    parts = [seen(2, name=None), seen(1)]
    merge_catalogues(parts)
    assert parts == [seen(2, name=None), seen(1)]


def test_track_is_incomplete_if_one_response_of_several_had_it_so() -> None:
    """Whichever came first."""
    whole, part = seen(), seen(1, popularity=None)
    assert part.incomplete == {"t"}
    for order in ((whole, part), (part, whole)):
        assert merge_catalogues(order).incomplete == {"t"}


def test_select_tracks_has_all_rows_of_some_tracks() -> None:
    """With the artists of these tracks; selected apart and merged again, they are the whole."""
    catalogue = merge_catalogues([*PARTS, seen(2, id="u"), seen(3, id="v", popularity=None)])
    one, others = (select_tracks(catalogue, ids) for ids in ({"u"}, {"t", "v"}))
    assert one.tracks.keys() == one.forms.keys() == {"u"}
    assert one.artists.keys() == {"a"}
    assert (one.incomplete, others.incomplete) == (set(), {"t", "v"})
    assert others.forms.keys() == {"t", "v"}
    assert merge_catalogues([others, one]) == catalogue
    assert select_tracks(catalogue, set()) == Catalogue()
    assert select_tracks(catalogue, {"t", "u", "v"}) == catalogue
