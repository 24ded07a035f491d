"""Joining: what answers tell one after the other, as one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from songswap.models import Artist, Catalogue, Image, Popularity, Track
from songswap.transform import answer
from songswap.transform.catalogue import joined
from songswap.transform.track import add_track

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def told(hours: int = 0, url: str = "u", **changed: Any) -> Catalogue:
    """What an answer of that hour tells of one track."""
    track: dict[str, Any] = {
        "id": "t",
        "name": "Track",
        "duration_ms": 5,
        "popularity": 1,
        "preview_url": url,
        "artists": [answer.Artist("a", "Artist")],
        "album": answer.Album(images=[answer.Image(url, 9, 9)]),
    }
    catalogue = Catalogue()
    add_track(catalogue, answer.Track(**track | changed), {}, BEGIN + timedelta(hours=hours))
    return catalogue


def test_one_is_itself() -> None:
    """A load of one round has nothing to join."""
    one = told()
    assert joined([one]) is one


def test_the_first_stands_and_is_filled_in() -> None:
    """A name, a duration, an artist that were missing come with the next answer that has them."""
    rows = joined(
        [
            told(name=None, artists=[answer.Artist("a", None)]),
            told(1, "v", duration_ms=None),
            told(2, name="Another", artists=[answer.Artist("a", "B")], duration_ms=7),
        ]
    )
    assert rows.tracks == {"t": Track("t", "Track", 5)}
    assert rows.artists == {"a": Artist("a", "Artist")}
    assert rows.artist_tracks == told().artist_tracks
    assert rows.track_previews == told().track_previews
    assert list(rows.track_images.values()) == [Image("t", 9, 9, "u")]


def test_the_earliest_observation_stands() -> None:
    """Of a day and value the earliest is kept, in whichever order; another day has its own."""
    rows = joined([told(2), told(1), told(3, popularity=4), told(25)])
    assert set(rows.track_popularity.values()) == {
        Popularity("t", BEGIN + timedelta(hours=hours), value)
        for hours, value in ((1, 1), (3, 4), (25, 1))
    }


def test_what_was_told_is_left_as_it_is() -> None:
    """Catalogues keep what is theirs: a load that is refused is tried again with parts of them."""
    parts = [told(2, name=None), told(1)]
    joined(parts)
    assert parts == [told(2, name=None), told(1)]
