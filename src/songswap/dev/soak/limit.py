"""What a limit that does not serve all users an hour has cost, by the simulator's ledger.

A turn is how many hours it takes until such a limit has served everybody once. A play that stays in
its feed for a turn can be kept by whoever polls all in turn, without knowing anything of them; one
that leaves it sooner only by who polls its listener before the others.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from songswap.dev.soak.parts import Parts
from songswap.dev.soak.play import Play
from songswap.warehouse.limits.capacity import POLLS_SHARE

HOUR = timedelta(hours=1)


@dataclass
class LimitVerdict:
    """What became of the plays under a limit; times in hours.

    ``lost`` plays had stayed in their feed for a turn. Those that left it sooner were kept, or
    missed: of these, ``missed_within_an_hour`` had left before a poll each hour could return them.
    ``longest`` is the longest time that a user was without a poll.
    """

    served: int
    users: int
    turn: int
    lost: int = 0
    early_kept: int = 0
    early_missed: int = 0
    missed_within_an_hour: int = 0
    longest: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing was lost that the limit allowed, and everybody's turn came in time."""
        return not self.lost and self.longest <= 2 * self.turn

    def add(self, ledger: Iterable[Play]) -> None:
        """Add the plays of a listener."""
        for play in ledger:
            stay = play.left_at - play.listed_at if play.left_at else None
            if stay is None or stay >= self.turn * HOUR:
                self.lost += stay is not None and not play.reachable
            elif stay:
                # What a phone uploads at once can be more than a feed holds.
                self.early_kept += play.reachable
                self.early_missed += not play.reachable
                self.missed_within_an_hour += not play.reachable and stay < HOUR


def quota_of(users: int, served: float) -> int:
    """Return the requests in a day that serve a share of the users an hour."""
    return round(served * users * 24)


def limit_verdict(parts: Parts, served: float, now: datetime) -> LimitVerdict:
    """Judge a soak with a limit."""
    listeners = [each["id"] for each in parts.spotify.get("/admin/listeners")]
    users = len(listeners)
    turn = math.ceil(1 / (POLLS_SHARE * served))
    verdict = LimitVerdict(int(served * users), users, turn)
    for listener in listeners:
        verdict.add(map(Play.of, parts.spotify.ledger(listener)))
    for poll in parts.spotify.get("/admin/polls").values():
        since_last = (now - datetime.fromisoformat(poll["last"])).total_seconds()
        longest = max(poll["longest_s"], since_last) / 3600
        verdict.longest = max(verdict.longest, round(longest, 1))
    return verdict
