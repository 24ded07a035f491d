"""Lives are derived a day at a time, and the feed tells only the newest 50 plays of them."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from songswap.dev.simulator.catalogue import Catalogue
from songswap.dev.simulator.listener import DAY, HOUR, Listener
from songswap.dev.simulator.play import NEWEST, Play

BORN = 20_000 * DAY + 5 * HOUR
CATALOGUE = Catalogue(5, 2_000)


def listener(number: int) -> Listener:
    return Listener(5, number, BORN, CATALOGUE)


def test_days_do_not_depend_on_what_was_asked_before() -> None:
    """The same seed, listener and day give the same plays, whatever came first."""
    first = [listener(3).day(day) for day in (20_001, 20_002, 20_003)]
    second = [listener(3).day(day) for day in (20_003, 20_002, 20_001)]
    assert first == second[::-1]


def test_life_is_the_same_with_another_beginning() -> None:
    """A later birth cuts plays off; it changes none."""
    later = Listener(5, 4, BORN + 2 * DAY, CATALOGUE)
    until = BORN + 4 * DAY
    tail = [play.played_at for play in listener(4).plays(until) if play.played_at >= BORN + 2 * DAY]
    assert [play.played_at for play in later.plays(until)] == tail


def test_plays_are_unique_and_in_order() -> None:
    """(user, played_at) never repeats, days do not overlap, nothing is listed before its end."""
    for number in range(1, 60):
        plays = listener(number).plays(BORN + 10 * DAY)
        times = [play.played_at for play in plays]
        assert times == sorted(set(times))
        assert all(play.listed_at > play.ended_at for play in plays)
        assert all(play.played_at >= BORN for play in plays)


def test_some_devices_tell_the_start_and_the_others_the_end() -> None:
    """`played_at` is a play's start or its end; a listener with several devices may have both."""
    told: set[frozenset[str]] = set()
    for number in range(1, 60):
        ways = set()
        for play in listener(number).plays(BORN + 10 * DAY):
            moments = {"start": play.started_at, "end": play.ended_at}
            (way,) = (name for name, at in moments.items() if 0 <= play.played_at - at < 5)
            ways.add(way)
        told.add(frozenset(ways))
    assert told >= {frozenset({"start"}), frozenset({"end"}), frozenset({"start", "end"})}


def test_plays_last_as_long_as_they_sounded_and_were_paused() -> None:
    """From 30 s to the whole track; 3 in 100 were paused, for 5 s to 10 minutes."""
    plays = [p for number in range(1, 60) for p in listener(number).plays(BORN + 10 * DAY)]
    for play in plays:
        assert 30_000 <= play.listened_ms <= max(51_000, CATALOGUE.duration_ms(play.track))
    pauses = [play.paused_ms for play in plays if play.paused_ms]
    assert 0.02 < len(pauses) / len(plays) < 0.04
    assert 5_000 <= min(pauses) < 10_000
    assert 300_000 < max(pauses) <= 600_000


def test_a_device_plays_one_thing_at_a_time() -> None:
    """Where a listener has one device, no play begins before the one before it ended."""
    single = [
        plays
        for number in range(1, 60)
        for plays in [listener(number).plays(BORN + 10 * DAY)]
        if all(a.ended_at <= b.started_at for a, b in pairwise(plays))
    ]
    assert len(single) > 15


def test_listeners_differ() -> None:
    """Light and heavy ones, late plays, repeats, contexts and none, night and day."""
    lives = [listener(number).plays(BORN + 10 * DAY) for number in range(1, 120)]
    counts = sorted(len(life) for life in lives)
    assert counts[5] < 100 < 400 < counts[-5]
    everything = [play for life in lives for play in life]
    late = sum(play.listed_at - play.ended_at > HOUR for play in everything)
    assert 0.005 < late / len(everything) < 0.15
    kinds = {play.context[0] if play.context else None for play in everything}
    assert kinds == {"album", "artist", "playlist", "collection", None}
    assert any(a.track == b.track for life in lives for a, b in pairwise(life))


def test_some_hour_of_some_listener_overflows_the_feed() -> None:
    """Over 50 plays between two hours happen, rarely."""
    hours = [
        sum(at - HOUR < play.played_at <= at for play in plays)
        for number in range(1, 120)
        for plays in [listener(number).plays(BORN + 5 * DAY)]
        for at in range(BORN, BORN + 5 * DAY, HOUR)
    ]
    overflowing = sum(count > NEWEST for count in hours)
    assert 0 < overflowing < len(hours) / 100


@settings(max_examples=settings.default.max_examples * 3 // 5)
@given(number=st.integers(1, 200), at=st.integers(BORN, BORN + 8 * DAY))
def test_feed_is_the_newest_fifty_of_what_is_listed(number: int, at: int) -> None:
    """Against the whole life: of the plays listed by then, the 50 played last."""
    someone = listener(number)
    listed = [play for play in someone.plays(at) if play.listed_at <= at]
    expected = sorted(listed, key=lambda play: play.played_at, reverse=True)[:NEWEST]
    assert someone.newest(at) == expected


def test_profile_fits_the_platform() -> None:
    """Names have 1 to 20 characters, addresses and ids are unique."""
    everybody = [listener(number) for number in range(1, 500)]
    assert all(1 <= len(each.name) <= 20 for each in everybody)
    assert len({each.email for each in everybody}) == len({each.id for each in everybody}) == 499


def test_place_counts_within_a_day() -> None:
    """`day` and `place` name a play: places run from 0 without a hole."""
    plays: list[Play] = listener(1).day(20_002)
    assert [play.place for play in plays] == list(range(len(plays)))
    assert {play.day for play in plays} <= {20_002}
