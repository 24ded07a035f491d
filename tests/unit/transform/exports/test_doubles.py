"""Two rows of one play are one; two plays of one track stay two."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.models import Stream
from songswap.transform.exports.doubles import Double, without_doubles

T = datetime(2026, 1, 2, tzinfo=UTC)


def stream(
    ended_s: float, ms_played: int = 200_000, track: str = "a", platform: str | None = "phone"
) -> Stream:
    return Stream(T + timedelta(seconds=ended_s), ms_played, track, platform=platform)


def without_doubles_of(*streams: Stream, plays: tuple[Stream, ...] = ()) -> list[Stream]:
    return without_doubles(streams, range(len(streams)), plays)[0]


@pytest.mark.parametrize(
    "other",
    [
        stream(0, 199_999),
        stream(3),
        stream(-3),
        stream(100),
        stream(-100, 100_000),
        stream(-165, 35_000),
        stream(12, 30_000),
    ],
)
def test_overlapping_streams_are_one_play(other: Stream) -> None:
    """Whatever differs, end or length, and in whatever order they stand; the longest stays."""
    assert without_doubles_of(stream(0), other) in ([stream(0)], [other])
    assert without_doubles_of(stream(0), other) == without_doubles_of(other, stream(0))
    assert without_doubles_of(stream(0), other)[0].ms_played == 200_000


def test_repeats_stay_two() -> None:
    """A track that follows itself, with crossfade and times that differ by seconds."""
    assert len(without_doubles_of(stream(0), stream(200), stream(385))) == 3
    assert len(without_doubles_of(stream(0, 31_000), stream(19, 31_000))) == 2


def test_other_devices_and_tracks_stay_two() -> None:
    """At the same time on another platform, or another track, is another play."""
    assert (
        len(without_doubles_of(stream(0), stream(3, platform="computer"), stream(3, track="b")))
        == 3
    )
    assert (
        len(without_doubles_of(stream(0), stream(3, platform=None), stream(4, platform=None))) == 2
    )


@given(
    st.lists(
        st.builds(
            stream,
            st.integers(0, 400),
            st.sampled_from([1_000, 7_999, 30_000, 40_001, 200_000]),
            st.sampled_from("ab"),
            st.sampled_from(["phone", None]),
        ),
        max_size=12,
    )
)
def test_no_two_that_stay_are_one(streams: list[Stream]) -> None:
    """Whatever else was played meanwhile; and none is lost."""
    left, doubles = without_doubles(streams, range(len(streams)), [])
    for place, one in enumerate(left):
        assert not any(is_one(one, other) for other in left[:place])
    assert Counter([*left, *(double.stream for double in doubles)]) == Counter(streams)


def overlap_ms(one: Stream, other: Stream) -> float:
    end, start = min(one.ended_at, other.ended_at), max(one.started_at, other.started_at)
    return (end - start) / timedelta(milliseconds=1)


def is_one(one: Stream, other: Stream) -> bool:
    least_ms = min(20_000, one.ms_played / 2, other.ms_played / 2)
    same = (one.track_id, one.platform) == (other.track_id, other.platform)
    return same and overlap_ms(one, other) > least_ms


def test_three_rows_of_one_play() -> None:
    """However many rows a play has, one stays, and the next play of the track does too."""
    rows = [stream(0), stream(3), stream(6, 201_000), stream(206)]
    left, doubles = without_doubles(rows, range(4), [])
    assert left == rows[2:]
    assert sorted(doubles) == [Double(rows[0], rows[2], False), Double(rows[1], rows[2], False)]


def test_row_of_a_loaded_play_adds_none() -> None:
    """Even if it is longer."""
    streams = [stream(3, 230_000), stream(500)]
    assert without_doubles(streams, range(2), [stream(0)]) == (
        [streams[1]],
        [Double(streams[0], stream(0), True)],
    )


def test_stream_that_is_no_play_is_not_compared() -> None:
    """Such as one of a private session."""
    streams = [stream(0), stream(0, 210_000)]
    assert without_doubles(streams, [0], [])[0] == streams


def test_row_to_the_minute_is_a_double_where_no_repeat_fits() -> None:
    """A short track can end twice in two minutes."""

    def row(minute: int, ms_played: int) -> Stream:
        return Stream(
            T + timedelta(minutes=minute), ms_played, None, "Song", "Artist", to_the_minute=True
        )

    assert len(without_doubles_of(row(5, 200_000), row(5, 200_001))) == 1
    assert len(without_doubles_of(row(5, 200_000), row(6, 200_000))) == 1
    assert len(without_doubles_of(row(5, 200_000), row(8, 200_000))) == 2
    assert len(without_doubles_of(row(5, 61_000), row(6, 61_000))) == 2
