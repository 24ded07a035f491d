"""The ledger knows how long a play is reachable, and whether it was returned."""

from hypothesis import given
from hypothesis import strategies as st

from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.ledger import FeedHistory, entries
from songswap.dev.simulator.listener import DAY
from songswap.dev.simulator.play import FEED_SIZE, SimulatedPlay, reachable_until
from songswap.dev.simulator.world import SimulatedWorld

NOW = 20_010 * DAY


def plays_of(times: list[tuple[int, int]]) -> list[SimulatedPlay]:
    """Return plays of (played_at, delay) pairs."""
    return [
        SimulatedPlay(0, index, at, at, at + delay, 0)
        for index, (at, delay) in enumerate(sorted(times))
    ]


lives = st.lists(
    st.tuples(st.integers(0, 300), st.one_of(st.just(1), st.integers(0, 300))),
    max_size=140,
    unique_by=lambda pair: pair[0],
).map(plays_of)


@given(lives)
def test_reachable_plays_are_the_newest_fifty(plays: list[SimulatedPlay]) -> None:
    """At every time the reachable plays are the newest 50 of those listed."""
    until = reachable_until(plays)
    for at in range(0, 620, 7):
        listed = [play for play in plays if play.listed_at <= at]
        newest = sorted(play.played_at for play in listed)[-FEED_SIZE:]
        reachable = [
            play.played_at
            for play, end in zip(plays, until, strict=True)
            if play.listed_at <= at and (end is None or at < end)
        ]
        assert reachable == newest


def test_late_play_behind_fifty_newer_was_never_reachable() -> None:
    """Its reachability ends the moment it begins."""
    plays = plays_of([(0, 1_000), *((n, 0) for n in range(1, 51))])
    assert reachable_until(plays) == [1_000, *[None] * 50]


def test_fifty_first_play_pushes_the_first_out() -> None:
    """The oldest is unreachable once the 50th newer one is listed."""
    plays = plays_of([(n, 5) for n in range(51)])
    assert reachable_until(plays) == [55, *[None] * 50]


def test_reachable_plays_are_not_all_returned() -> None:
    """A poll with a small limit returns some of the 50 reachable ones; without a poll there are
    neither."""
    world, history = SimulatedWorld(5, 3, NOW - 9 * DAY), FeedHistory()
    heavy = max(world.listeners.values(), key=lambda listener: len(listener.plays(NOW)))
    newest = heavy.newest(NOW)
    history.record(heavy.id, newest, newest[:2], NOW)
    ledger = list(entries(world, history, heavy, NOW))
    assert len(ledger) == len(heavy.plays(NOW)) > 50
    assert sum(entry.reachable_when_polled for entry in ledger) == 50
    assert [entry.returned for entry in ledger[-2:]] == [True, True]
    assert sum(entry.returned for entry in ledger) == 2
    listed = [entry for entry in ledger if entry.listed_at <= iso(NOW)]
    assert sum(entry.reachable_until is None for entry in listed) == 50
    for other in world.listeners.values():
        if other is not heavy:
            assert not any(entry.returned for entry in entries(world, history, other, NOW))
