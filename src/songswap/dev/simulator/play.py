"""A simulated play, and the rule that decides until when the API returns it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import msgspec

FEED_SIZE = 50
"""How many plays of a user the API returns; older ones are unreachable for ever."""


class SimulatedPlay(msgspec.Struct, frozen=True, gc=False):
    """A play. `day` and `index` identify it within its listener's life."""

    day: int
    index: int
    """Its position among the plays of the day, from 0."""
    played_at: int
    """The API's `played_at`, in ms: the play's start or end; unique for a listener.

    Plays that would share a ms are moved to the next free one.
    """
    ended_at: int
    """When it ended, in ms."""
    listed_at: int
    """When it entered the feed, in ms: moments after its end, or hours for an offline phone."""
    track: int
    """The catalogue's index of the track, or the item's index for a recorded listener."""
    context: tuple[str, int] | None = None
    """What it was played from: ("album" | "artist" | "playlist" | "collection", number)."""
    listened_ms: int = 0
    """How long it sounded; 0 for a recorded listener, where it is unknown like the pauses."""
    paused_ms: int = 0
    """How long it was paused before it ended."""
    device: int = 0
    """The number of the listener's device, from 0."""

    @property
    def started_at(self) -> int:
        """When it began, in ms."""
        return self.ended_at - self.listened_ms - self.paused_ms


def reachable_until(plays: Sequence[SimulatedPlay]) -> list[int | None]:
    """Return, for each play, when the 50th newer one entered the feed, or None when none did.

    A play is reachable at t when `listed_at <= t < reachable_until`. If 50 newer ones were listed
    before it, the two are equal and it never is.
    """
    until: list[int | None] = [None] * len(plays)
    newest: list[tuple[int, int]] = []
    order = sorted(range(len(plays)), key=lambda n: (plays[n].listed_at, plays[n].played_at))
    for position in order:
        heapq.heappush(newest, (plays[position].played_at, position))
        if len(newest) > FEED_SIZE:
            _, pushed_out = heapq.heappop(newest)
            until[pushed_out] = plays[position].listed_at
    return until
