"""The ledger: every play, how long it could be told, and whether somebody was told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.play import Play, reachable_until
from songswap.dev.simulator.world import Anybody, World


class Line(msgspec.Struct):
    """One play. `reachable_until` is null while it still can be told, or is yet to be listed.

    It can be told at t when `listed_at <= t < reachable_until`.
    """

    user: str
    played_at: str
    """As the API tells it: the play's end, or its start."""
    ended_at: str
    track_id: str | None
    listed_at: str
    reachable_until: str | None
    reachable_when_asked: bool
    """It was among the newest 50 at a recently-played call that was answered whole with 200."""
    told: bool
    """It stood in such an answer."""


class Marks:
    """Which plays could have been told and which were, as a bit for each play of a day."""

    def __init__(self) -> None:
        self._asked: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._told: defaultdict[tuple[str, int], int] = defaultdict(int)

    def answered(self, user: str, newest: Iterable[Play], told: Iterable[Play]) -> None:
        """Note one answer that went out whole: what existed, and what of it was told."""
        for play in newest:
            self._asked[user, play.day] |= 1 << play.place
        for play in told:
            self._told[user, play.day] |= 1 << play.place

    def of(self, user: str, play: Play) -> tuple[bool, bool]:
        """Return whether a play was reachable at an answered call, and whether it was told."""
        asked = self._asked.get((user, play.day), 0) >> play.place & 1
        told = self._told.get((user, play.day), 0) >> play.place & 1
        return bool(asked), bool(told)


def lines(world: World, marks: Marks, listener: Anybody, now: int) -> Iterator[Line]:
    """Yield a listener's plays that ended by a time in ms, in the order of `played_at`."""
    plays = listener.plays(now)
    listed = [play for play in plays if play.listed_at <= now]
    until = dict(zip((play.played_at for play in listed), reachable_until(listed), strict=True))
    for play in plays:
        end = until.get(play.played_at)
        asked, told = marks.of(listener.id, play)
        yield Line(
            user=listener.id,
            played_at=iso(play.played_at),
            ended_at=iso(play.ended_at),
            track_id=world.track_id(listener, play),
            listed_at=iso(play.listed_at),
            reachable_until=None if end is None else iso(end),
            reachable_when_asked=asked,
            told=told,
        )
