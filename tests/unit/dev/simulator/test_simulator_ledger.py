"""How long a play can be told, and what the ledger remembers of the telling."""

from hypothesis import given
from hypothesis import strategies as st

from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.ledger import Marks, lines
from songswap.dev.simulator.listener import DAY
from songswap.dev.simulator.play import NEWEST, Play, reachable_until
from songswap.dev.simulator.world import World

NOW = 20_010 * DAY


def made(times: list[tuple[int, int]]) -> list[Play]:
    """Plays from (played_at, delay) pairs."""
    return [
        Play(0, place, at, at, at + delay, 0) for place, (at, delay) in enumerate(sorted(times))
    ]


lives = st.lists(
    st.tuples(st.integers(0, 300), st.one_of(st.just(1), st.integers(0, 300))),
    max_size=140,
    unique_by=lambda pair: pair[0],
).map(made)


@given(lives)
def test_reachability_is_that_of_the_feed(plays: list[Play]) -> None:
    """At every moment, the reachable plays are the newest 50 of those listed."""
    until = reachable_until(plays)
    for at in range(0, 620, 7):
        listed = [play for play in plays if play.listed_at <= at]
        newest = sorted(play.played_at for play in listed)[-NEWEST:]
        reachable = [
            play.played_at
            for play, end in zip(plays, until, strict=True)
            if play.listed_at <= at and (end is None or at < end)
        ]
        assert reachable == newest


def test_late_play_behind_fifty_newer_was_never_reachable() -> None:
    """It ends the moment it begins."""
    plays = made([(0, 1_000), *((n, 0) for n in range(1, 51))])
    assert reachable_until(plays) == [1_000, *[None] * 50]


def test_fifty_first_play_pushes_the_first_out() -> None:
    """The oldest goes when the 50th newer one is listed."""
    plays = made([(n, 5) for n in range(51)])
    assert reachable_until(plays) == [55, *[None] * 50]


def test_lines_tell_reached_from_told() -> None:
    """A call with a small limit reaches all 50 and tells few; without a call neither is so."""
    world, marks = World(5, 3, NOW - 9 * DAY), Marks()
    heavy = max(world.listeners.values(), key=lambda each: len(each.plays(NOW)))
    newest = heavy.newest(NOW)
    marks.answered(heavy.id, newest, newest[:2])
    written = list(lines(world, marks, heavy, NOW))
    assert len(written) == len(heavy.plays(NOW)) > 50
    assert sum(line.reachable_when_asked for line in written) == 50
    assert [line.told for line in written[-2:]] == [True, True]
    assert sum(line.told for line in written) == 2
    listed = [line for line in written if line.listed_at <= iso(NOW)]
    assert sum(line.reachable_until is None for line in listed) == 50
    for other in world.listeners.values():
        if other is not heavy:
            assert not any(line.told for line in lines(world, marks, other, NOW))
