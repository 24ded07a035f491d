"""The ledger: every play, how long it was reachable, and whether a response returned it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.play import SimulatedPlay, reachable_until
from songswap.dev.simulator.world import AnyListener, SimulatedWorld


class LedgerEntry(msgspec.Struct):
    """A play, reachable at t when `listed_at <= t < reachable_until`."""

    user: str
    played_at: str
    """The API's `played_at`: the play's start or end."""
    ended_at: str
    track_id: str | None
    listed_at: str
    reachable_until: str | None
    """Null while it is reachable, or not listed yet."""
    reachable_when_polled: bool
    """Whether it was among the newest 50 when a complete response 200 left recently-played."""
    returned: bool
    """Whether such a response contained it."""


class PollTimes(msgspec.Struct):
    """When recently-played last returned a complete response for a user, in ms."""

    last: int
    longest: int = 0
    """The longest time between two such responses, in ms."""


class FeedHistory:
    """Which plays were reachable when polled and which were returned: a bit per play of a day."""

    def __init__(self) -> None:
        self._reachable: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._returned: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.polls: dict[str, PollTimes] = {}

    def record(
        self,
        user: str,
        reachable: Iterable[SimulatedPlay],
        returned: Iterable[SimulatedPlay],
        now: int,
    ) -> None:
        """Record a response that was sent completely at a time in ms."""
        poll = self.polls.setdefault(user, PollTimes(now))
        poll.longest = max(poll.longest, now - poll.last)
        poll.last = now
        for play in reachable:
            self._reachable[user, play.day] |= 1 << play.index
        for play in returned:
            self._returned[user, play.day] |= 1 << play.index

    def lookup(self, user: str, play: SimulatedPlay) -> tuple[bool, bool]:
        """Return whether a play was reachable when polled, and whether it was returned."""
        reachable = self._reachable.get((user, play.day), 0) >> play.index & 1
        returned = self._returned.get((user, play.day), 0) >> play.index & 1
        return bool(reachable), bool(returned)


def entries(
    world: SimulatedWorld, history: FeedHistory, listener: AnyListener, now: int
) -> Iterator[LedgerEntry]:
    """Yield a listener's plays that ended by a time in ms, in the order of `played_at`."""
    plays = listener.plays(now)
    listed = [play for play in plays if play.listed_at <= now]
    until = dict(zip((play.played_at for play in listed), reachable_until(listed), strict=True))
    for play in plays:
        end = until.get(play.played_at)
        reachable, returned = history.lookup(listener.id, play)
        yield LedgerEntry(
            user=listener.id,
            played_at=iso(play.played_at),
            ended_at=iso(play.ended_at),
            track_id=world.track_id(listener, play),
            listed_at=iso(play.listed_at),
            reachable_until=None if end is None else iso(end),
            reachable_when_polled=reachable,
            returned=returned,
        )
