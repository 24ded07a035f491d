"""A mutilated response raises nothing, costs no good item, and gives no bad row."""

import copy
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from spotify_json import OBSERVED_AT, item

from songswap.models import Catalogue, RecentPlays
from songswap.transform import recent_plays

ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**31, max_value=10**40),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["", "\x00", "a\x00b", "\ud800", "x" * 300, "2026-11-22T07:00:00.1Z", "1e9"]),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "url", "height", "x"]), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)


def paths(value: Any, so_far: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, the value itself first."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [so_far, *(path for key, one in inner for path in paths(one, (*so_far, key)))]


@st.composite
def mutilated(draw: st.DrawFn, item: Any) -> Any:
    """``item`` with one to three of its places removed or replaced."""
    item = copy.deepcopy(item)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(item)))
        if not path:
            return draw(ODD_VALUES)
        *way, last = path
        parent = item
        for key in way:
            parent = parent[key]
        if draw(st.booleans()):
            del parent[last]
        else:
            parent[last] = draw(ODD_VALUES)
    return item


def assert_every_row_fits(recent: RecentPlays, catalogue: Catalogue) -> None:
    """The platform's contract, written down a second time and without the pipeline's own rules."""

    def fits(text: str, length: int) -> bool:
        return len(text) <= length and "\x00" not in text and bool(text.encode() or True)

    def is_id(text: str) -> bool:
        return re.fullmatch(r"[\w-]{1,24}", text, re.ASCII) is not None

    for play in recent.plays:
        assert play.played_at.tzinfo is UTC
        assert play.played_at.microsecond % 1000 == 0
        assert datetime(2006, 1, 1, tzinfo=UTC) < play.played_at <= OBSERVED_AT + timedelta(days=1)
        assert play.track_id in catalogue.tracks
    for track in catalogue.tracks.values():
        assert is_id(track.id)
        assert fits(track.name, 240)
        assert type(track.duration_ms) is int
        assert 0 <= track.duration_ms < 2**31
    for artist in catalogue.artists.values():
        assert is_id(artist.id)
        assert fits(artist.name, 120)
    for link in catalogue.artist_tracks.values():
        assert link.track_id in catalogue.tracks
        assert link.artist_id in catalogue.artists
    for popularity in catalogue.track_popularity.values():
        assert type(popularity.popularity) is int
        assert 0 <= popularity.popularity <= 100
    for image in catalogue.track_images.values():
        assert 0 < image.height < 2**31
        assert 0 < image.width < 2**31
        assert fits(image.url, 240)
    for preview in catalogue.track_previews.values():
        assert fits(preview.url, 240)
    for rejected in recent.rejected_items:
        assert fits(rejected.reason + (rejected.played_at or ""), 200)
    for note in catalogue.data_fixes:
        assert is_id(note.id)
        assert fits(note.field + note.problem, 200)


@settings(max_examples=examples(3))
@given(data=st.data())
def test_items_beside_damaged_ones_give_the_same_rows(data: st.DataObject) -> None:
    good = [item(number) for number in range(data.draw(st.integers(0, 3)))]
    broken = [
        data.draw(mutilated(item(100 + number))) for number in range(data.draw(st.integers(1, 3)))
    ]
    order = data.draw(st.permutations(good + broken))
    around = {name: data.draw(ODD_VALUES) for name in ("limit", "next", "cursors")}
    body = json.dumps({"items": order, **around}).encode()
    catalogue = Catalogue()
    recent = recent_plays.transform(body, 7, OBSERVED_AT, catalogue)
    recent_plays.fingerprint(body)
    assert recent.items == len(order)
    assert len(recent.plays) + len(recent.rejected_items) == len(order)
    assert_every_row_fits(recent, catalogue)

    alone = Catalogue()
    expected = recent_plays.transform(json.dumps({"items": good}).encode(), 7, OBSERVED_AT, alone)
    assert set(expected.plays) <= set(recent.plays)
    for name in ("tracks", "artists", "artist_tracks", "track_popularity", "track_images"):
        assert getattr(alone, name).items() <= getattr(catalogue, name).items()
    assert not catalogue.incomplete & set(alone.tracks)


@settings(max_examples=examples(3))
@given(data=st.data())
def test_damaged_bytes_raise_nothing_and_load_nothing_bad(data: st.DataObject) -> None:
    """They were cut, changed or inserted anywhere."""
    body = bytearray(json.dumps({"items": [item(1), item(2)]}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        until = data.draw(st.integers(at, min(len(body), at + 40)))
        body[at:until] = data.draw(st.binary(max_size=8))
    catalogue = Catalogue()
    recent = recent_plays.transform(bytes(body), 7, OBSERVED_AT, catalogue)
    assert_every_row_fits(recent, catalogue)
    recent_plays.fingerprint(bytes(body))


@given(body=st.binary(max_size=200))
def test_any_bytes_are_transformed_without_an_error(body: bytes) -> None:
    recent_plays.transform(body, 7, OBSERVED_AT, Catalogue())
