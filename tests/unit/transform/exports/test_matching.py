"""Plays of the API and streams of an export: the same is paired, one to one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.transform.exports.intervals import StreamInterval, in_order
from songswap.transform.exports.matching import NEAR, match

T = datetime(2026, 11, 22, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def intervals(*rows: tuple[str, float, float]) -> list[StreamInterval]:
    """Streams of (track, end in s, listened s)."""
    return in_order(
        StreamInterval(track, at(end), round(1000 * length)) for track, end, length in rows
    )


@pytest.mark.parametrize("played_s", [300.4, 100.2, 299, 101, 300 + 59, 100 - 59, 200])
def test_play_at_the_end_start_or_within_is_the_stream(played_s: float) -> None:
    assert match([(at(played_s), "a")], intervals(("a", 300, 200))) == {0: 0}


@pytest.mark.parametrize(("track", "played_s"), [("b", 300), ("a", 300 + 61), ("a", 100 - 61)])
def test_other_track_or_far_time_is_another_play(track: str, played_s: float) -> None:
    assert match([(at(played_s), track)], intervals(("c", 100, 50), ("a", 300, 200))) == {}


def test_start_may_lie_before_pauses_but_after_the_stream_before() -> None:
    streams = intervals(("b", 0, 100), ("a", 1000, 200))
    assert match([(at(30), "a")], streams) == {1: 0}
    assert match([(at(-30), "a")], streams) == {1: 0}
    assert match([(at(-90), "a")], streams) == {}


def test_repeated_streams_match_their_own_plays() -> None:
    """Whether plays are dated at their start or end."""
    streams = intervals(("a", 200, 200), ("a", 400, 200))
    ends = [(at(200.3), "a"), (at(400.3), "a")]
    starts = [(at(0.1), "a"), (at(200.1), "a")]
    assert match(ends, streams) == match(starts, streams) == {0: 0, 1: 1}


def test_play_near_two_streams_matches_one() -> None:
    assert len(match([(at(200), "a")], intervals(("a", 200, 200), ("a", 400, 200)))) == 1


def test_habit_decides_between_immediate_repeats() -> None:
    """It is that of the user's other plays."""
    life = [(f"t{number}", 1000.0 * number, 100.0) for number in range(1, 20)]
    streams = intervals(*life, ("a", 30_000, 200), ("a", 30_200, 200))
    ends = [(at(end), track) for track, end, _ in life] + [(at(30_000.4), "a")]
    starts = [(at(end - 100), track) for track, end, _ in life] + [(at(29_999.6), "a")]
    assert match(ends, streams)[19] == 19
    assert match(starts, streams)[20] == 19


def test_pause_while_another_device_plays() -> None:
    """What plays on another platform meanwhile says nothing of when a stream began."""
    streams = in_order(
        [
            StreamInterval("b", at(900), 60_000, platform="phone"),
            StreamInterval("a", at(1000), 200_000, platform="computer"),
        ]
    )
    assert match([(at(300), "a")], streams) == {1: 0}


def test_nearest_is_taken() -> None:
    """Of all ways with as many pairs the nearest is taken."""
    assert match([(at(331), "a")], intervals(("a", 300, 31), ("a", 331, 31), ("a", 362, 30.5))) in (
        {1: 0},
        {2: 0},
    )
    assert match([(at(300.2), "a")], intervals(("a", 300, 200), ("a", 340, 31))) == {0: 0}


def test_stream_to_the_minute_is_the_play_that_ended_in_it() -> None:
    rough = in_order([StreamInterval("a", at(0), 200_000, to_the_minute=True)])
    assert match([(at(59), "a")], rough) == {0: 0}
    assert match([(at(60 + NEAR.seconds + 1), "a")], rough) == {}


def to_the_minute(*rows: tuple[str, float, float]) -> list[StreamInterval]:
    """Streams of (track, minute in s, listened s), as account data tells them."""
    return in_order(
        StreamInterval(track, at(minute), round(1000 * length), to_the_minute=True)
        for track, minute, length in rows
    )


def test_minute_of_the_start() -> None:
    """Where plays tell starts, one that began in the minute in which another of its track ended is
    the one that began, at any second of it."""
    life = [(f"t{number}", 900.0 * number, 200.0) for number in range(1, 20)]
    streams = to_the_minute(*life, ("a", 30_000, 200), ("a", 30_240, 200))
    starts = [(at(minute + 40 - 200), track) for track, minute, _ in life]
    assert match([*starts, (at(30_055), "a")], streams)[20] == 19
    ends = [(at(minute + 40), track) for track, minute, _ in life]
    assert match([*ends, (at(30_055), "a")], streams)[19] == 19


def test_pause_on_an_unknown_device() -> None:
    """Without platforms, a stream that ended during a pause may be of another device."""
    streams = to_the_minute(("b", 600, 60), ("a", 960, 200))
    assert match([(at(300), "a")], streams) == {1: 0}
    assert match([(at(300), "a")], intervals(("b", 600, 60), ("a", 960, 200))) == {}


def test_one_track_on_two_devices_at_once() -> None:
    """Both plays are found, also where the API has first the one that ended last."""
    streams = in_order(
        [
            StreamInterval("b", at(465), 60_000, platform="phone"),
            StreamInterval("a", at(500), 32_000, platform="phone"),
            StreamInterval("a", at(900), 600_000, platform="computer"),
        ]
    )
    assert match([(at(300), "a"), (at(500), "a")], streams) == {1: 1, 2: 0}


def test_offline_pauses_lie_after_the_counted_end() -> None:
    """Until the next stream began, or the phone reported it."""
    streams = in_order(
        [
            StreamInterval("a", at(200), 200_000, platform="phone", reported_at=at(9_000)),
            StreamInterval("b", at(1_100), 100_000, platform="phone", reported_at=at(9_000)),
        ]
    )
    assert match([(at(990), "a"), (at(8_000), "b")], streams) == {0: 0, 1: 1}
    assert match([(at(1_100), "a"), (at(9_100), "b")], streams) == {}
    assert match([(at(-70), "a")], streams) == {}


def test_crowded_account_rows_may_have_begun_long_before() -> None:
    """They cannot all have ended in their minute."""
    rows = ("a", 90_000, 200), ("b", 90_000, 180)
    assert match([(at(300), "a"), (at(480), "b")], to_the_minute(*rows)) == {0: 0, 1: 1}
    assert match([(at(300), "a")], to_the_minute(rows[0])) == {}


def test_looped_for_a_week() -> None:
    """A track that was looped for a week is paired play by play, and costs no more than others."""
    streams = intervals(*(("a", 60.0 * number, 60.0) for number in range(1, 10_081)))
    plays = [(stream.ended_at + timedelta(milliseconds=300), "a") for stream in streams]
    assert match(plays, streams) == {place: place for place in range(10_080)}


LIFE = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(30, 400),  # s listened
        st.sampled_from((0, 0, 0, 1, 20, 3_000)),  # s until the next
        st.sampled_from((0, 0, 0, 0, 15, 600)),  # s paused
        st.booleans(),  # whether the API returned it
    ),
    max_size=30,
)


@given(life=LIFE, starts=st.booleans(), jitter=st.lists(st.floats(-2, 2), min_size=30, max_size=30))
def test_a_life_on_one_device(
    life: list[tuple[str, int, int, int, bool]], starts: bool, jitter: list[float]
) -> None:
    """Every play is paired with a stream of its track, one to one; with the right one where no
    other stream of the track is near."""
    now = 0.0
    rows: list[tuple[str, float, float]] = []
    plays: list[tuple[datetime, str]] = []
    truth: dict[int, int] = {}
    for number, (track, listened, wait, paused, returned) in enumerate(life):
        start, now = now, now + listened + paused
        rows.append((track, float(int(now)), float(listened)))
        if returned:
            truth[len(plays)] = number
            plays.append((at((start if starts else now) + jitter[number]), track))
        now += wait + 3
    pairs = match(plays, intervals(*rows))
    assert sorted(pairs.values()) == list(range(len(plays)))
    assert all(rows[stream][0] == plays[play][1] for stream, play in pairs.items())
    alone = {
        number
        for number, one in enumerate(life)
        if one[0] not in [near[0] for near in life[max(0, number - 3) : number]]
        and one[0] not in [near[0] for near in life[number + 1 : number + 4]]
    }
    for stream, play in pairs.items():
        if truth[play] in alone and stream in alone:
            assert truth[play] == stream
