"""One play as the simulator knows it, and the rule of which plays can still be told."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import msgspec

NEWEST = 50
"""How many plays of a user exist in the API; older ones are gone for ever."""


class Play(msgspec.Struct, frozen=True, gc=False):
    """A play. `day` and `place` name it within its listener's life."""

    day: int
    place: int
    played_at: int
    """When it was played as the API tells it, in ms: its end or its start; unique for a listener.

    A play that ends in the same ms as another is told a little later than it was.
    """
    ended_at: int
    """When it ended, in ms."""
    listed_at: int
    """When it came into the feed, in ms: moments after its end, or hours for an offline phone."""
    track: int
    """The catalogue's index of the track, or the item's place for a recorded listener."""
    context: tuple[str, int] | None = None
    """What it was played from: ("album" | "artist" | "playlist" | "collection", number)."""
    listened_ms: int = 0
    """How long it sounded; unknown, 0, for a recorded listener, as are pauses."""
    paused_ms: int = 0
    """How long it was paused before it ended."""
    device: int = 0
    """On which of the listener's devices, from 0."""

    @property
    def started_at(self) -> int:
        """When it began, in ms."""
        return self.ended_at - self.listened_ms - self.paused_ms


def reachable_until(plays: Sequence[Play]) -> list[int | None]:
    """Return, for each play, when the 50th newer one entered the feed, or None when none did.

    A play can be told at t when `listed_at <= t < reachable_until`. One that enters when 50 newer
    ones are there already can never be told: both are then the same.
    """
    until: list[int | None] = [None] * len(plays)
    newest: list[tuple[int, int]] = []
    order = sorted(range(len(plays)), key=lambda n: (plays[n].listed_at, plays[n].played_at))
    for position in order:
        heapq.heappush(newest, (plays[position].played_at, position))
        if len(newest) > NEWEST:
            _, pushed_out = heapq.heappop(newest)
            until[pushed_out] = plays[position].listed_at
    return until
