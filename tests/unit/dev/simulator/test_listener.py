"""Plays are derived a day at a time, and the feed has only the newest 50."""

from itertools import pairwise

from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from songswap.dev.simulator.catalogue import MusicCatalogue
from songswap.dev.simulator.listener import DAY, HOUR, Listener
from songswap.dev.simulator.play import FEED_SIZE, SimulatedPlay

BORN = 20_000 * DAY + 5 * HOUR
CATALOGUE = MusicCatalogue(5, 2_000)


def listener(number: int) -> Listener:
    return Listener(5, number, BORN, CATALOGUE)


def test_days_do_not_depend_on_each_other() -> None:
    """The same seed, listener and day give the same plays, whichever day is derived first."""
    first = [listener(3).day(day) for day in (20_001, 20_002, 20_003)]
    second = [listener(3).day(day) for day in (20_003, 20_002, 20_001)]
    assert first == second[::-1]


def test_later_beginning_changes_no_play() -> None:
    """A listener who is born later only lacks the plays before."""
    later = Listener(5, 4, BORN + 2 * DAY, CATALOGUE)
    until = BORN + 4 * DAY
    tail = [play.played_at for play in listener(4).plays(until) if play.played_at >= BORN + 2 * DAY]
    assert [play.played_at for play in later.plays(until)] == tail


def test_plays_are_unique_and_in_order() -> None:
    """No `played_at` repeats, days do not overlap, and no play is listed before its end."""
    for number in range(1, 60):
        plays = listener(number).plays(BORN + 10 * DAY)
        times = [play.played_at for play in plays]
        assert times == sorted(set(times))
        assert all(play.listed_at > play.ended_at for play in plays)
        assert all(play.played_at >= BORN for play in plays)


def test_some_devices_report_the_start_and_others_the_end() -> None:
    """`played_at` is a play's start or its end; a listener with several devices may have both."""
    found: set[frozenset[str]] = set()
    for number in range(1, 60):
        meanings = set()
        for play in listener(number).plays(BORN + 10 * DAY):
            times = {"start": play.started_at, "end": play.ended_at}
            (meaning,) = (name for name, at in times.items() if 0 <= play.played_at - at < 5)
            meanings.add(meaning)
        found.add(frozenset(meanings))
    assert found >= {frozenset({"start"}), frozenset({"end"}), frozenset({"start", "end"})}


def test_plays_and_pauses_have_plausible_lengths() -> None:
    """Plays last from 30 s to the whole track; 3 in 100 are paused, for 5 s to 10 minutes."""
    plays = [p for number in range(1, 60) for p in listener(number).plays(BORN + 10 * DAY)]
    for play in plays:
        assert 30_000 <= play.listened_ms <= max(51_000, CATALOGUE.duration_ms(play.track))
    pauses = [play.paused_ms for play in plays if play.paused_ms]
    assert 0.02 < len(pauses) / len(plays) < 0.04
    assert 5_000 <= min(pauses) < 10_000
    assert 300_000 < max(pauses) <= 600_000


def test_a_device_plays_one_track_at_a_time() -> None:
    """On a single device no play begins before the one before it ended."""
    single = [
        plays
        for number in range(1, 60)
        for plays in [listener(number).plays(BORN + 10 * DAY)]
        if all(a.ended_at <= b.started_at for a, b in pairwise(plays))
    ]
    assert len(single) > 15


def test_listeners_differ() -> None:
    """There are light and heavy ones, late plays, repeats, and plays with and without a context."""
    by_listener = [listener(number).plays(BORN + 10 * DAY) for number in range(1, 120)]
    counts = sorted(len(plays) for plays in by_listener)
    assert counts[5] < 100 < 400 < counts[-5]
    everything = [play for plays in by_listener for play in plays]
    late = sum(play.listed_at - play.ended_at > HOUR for play in everything)
    assert 0.005 < late / len(everything) < 0.15
    kinds = {play.context[0] if play.context else None for play in everything}
    assert kinds == {"album", "artist", "playlist", "collection", None}
    assert any(a.track == b.track for plays in by_listener for a, b in pairwise(plays))


def test_feed_overflows_in_some_hours() -> None:
    """More than 50 plays in an hour are rare, but happen."""
    hours = [
        sum(at - HOUR < play.played_at <= at for play in plays)
        for number in range(1, 120)
        for plays in [listener(number).plays(BORN + 5 * DAY)]
        for at in range(BORN, BORN + 5 * DAY, HOUR)
    ]
    overflowing = sum(count > FEED_SIZE for count in hours)
    assert 0 < overflowing < len(hours) / 100


@settings(max_examples=examples(0.6))
@given(number=st.integers(1, 200), at=st.integers(BORN, BORN + 8 * DAY))
def test_feed_is_the_newest_fifty_of_what_is_listed(number: int, at: int) -> None:
    """Of all plays listed by then, the feed has the 50 with the latest `played_at`."""
    someone = listener(number)
    listed = [play for play in someone.plays(at) if play.listed_at <= at]
    expected = sorted(listed, key=lambda play: play.played_at, reverse=True)[:FEED_SIZE]
    assert someone.newest(at) == expected


def test_profile_fits_the_platform() -> None:
    """Names have 1 to 20 characters, e-mail addresses and ids are unique."""
    listeners = [listener(number) for number in range(1, 500)]
    assert all(1 <= len(someone.name) <= 20 for someone in listeners)
    assert len({someone.email for someone in listeners}) == 499
    assert len({someone.id for someone in listeners}) == 499


def test_index_counts_within_a_day() -> None:
    """`day` and `index` identify a play: indices run from 0 without a hole."""
    plays: list[SimulatedPlay] = listener(1).day(20_002)
    assert [play.index for play in plays] == list(range(len(plays)))
    assert {play.day for play in plays} <= {20_002}
