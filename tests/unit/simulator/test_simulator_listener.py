"""Lives are derived a day at a time, and the feed tells only the newest 50 plays of them."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from songswap.simulator.catalogue import Catalogue
from songswap.simulator.listener import DAY, HOUR, Listener
from songswap.simulator.play import NEWEST, Play

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
        assert all(play.listed_at >= play.played_at >= BORN for play in plays)


def test_listeners_differ() -> None:
    """Light and heavy ones, late plays, repeats, contexts and none, night and day."""
    lives = [listener(number).plays(BORN + 10 * DAY) for number in range(1, 120)]
    counts = sorted(len(life) for life in lives)
    assert counts[5] < 100 < 400 < counts[-5]
    everything = [play for life in lives for play in life]
    late = sum(play.listed_at - play.played_at > HOUR for play in everything)
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


@settings(max_examples=60)
@given(number=st.integers(1, 200), at=st.integers(BORN, BORN + 8 * DAY))
def test_feed_is_the_newest_fifty_of_what_is_listed(number: int, at: int) -> None:
    """Against the whole life: of the plays listed by then, the 50 that ended last."""
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
