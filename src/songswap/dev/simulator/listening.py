"""All that a listener heard: the plays of the ledger, and what the API never returns.

Events are drawn day by day, so that a later export repeats those of an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

import msgspec
from msgspec.structs import replace

from songswap.dev.simulator import draw
from songswap.dev.simulator.listener import DAY, HOUR, MINUTE, SECOND, Listener
from songswap.dev.simulator.play import SimulatedPlay

Category = Literal[
    "play", "duplicate", "skip", "silent", "unnamed", "private", "episode", "chapter", "video"
]
"""What an event is. The API returns the first only.

play: a play of the ledger.
duplicate: the same play once more, with another second or length, as real exports repeat some.
skip: a track that was skipped within 30 s.
silent: a track that sounded for 0 ms.
unnamed: a track that Spotify cannot name any more.
private: a track in a private session.
episode, chapter, video: of a podcast, of an audiobook, a video.
"""

_SKIPS = 0.12
_SILENT = 0.03
_UNNAMED = 0.004
_PRIVATE_DAYS = 0.15
_EPISODE_DAYS = 0.2
_CHAPTER_DAYS = 0.1
_VIDEO_DAYS = 0.08
_LONGEST_SKIP = 29 * SECOND
_DUPLICATES = ((1, 0), (0, 3 * SECOND), (0, SECOND), (-5 * SECOND, -5 * SECOND))
"""How a duplicate differs from its play: in `ms_played` and in its end, both in ms."""


class ListeningEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that sounded for `ms_played` until `ended_at` (ms)."""

    ended_at: int
    ms_played: int
    category: Category
    number: int
    """The catalogue's index of the track, or the number of the episode, chapter or video."""
    bits: int
    """64 random bits; each incidental field of its row in an export depends on some of them."""
    synced_at: int | None = None
    """When a phone that was offline uploaded it, in ms; None if it was online."""
    played_at: int | None = None
    """The API's `played_at` of the play, in ms."""
    device: int = 0
    """The number of the listener's device, from 0."""
    paused_ms: int = 0
    """How long it was paused before it ended."""

    @property
    def started_at(self) -> int:
        """When it began, in ms."""
        return self.ended_at - self.ms_played - self.paused_ms


def listening_events(listener: Listener, until: int, since: int) -> list[ListeningEvent]:
    """Return what ended between two times in ms and is known to Spotify by the later one.

    A play on an offline phone is known once the phone has uploaded it.
    """
    events = [
        event
        for day in listener.days(until)
        if (day + 2) * DAY > since  # a day lasts until the next morning in its time zone
        for event in _day(listener, day, until)
        if since <= event.ended_at <= until
    ]
    events.sort(key=lambda event: event.ended_at)
    return events


def _day(listener: Listener, day: int, until: int) -> Iterator[ListeningEvent]:
    plays = listener.day(day)
    if not plays:
        return
    rng = draw.stream(listener.seed, "heard", listener.number, day)
    draw_bits, share = rng.getrandbits, rng.random
    for play in plays:
        bits, drawn = draw_bits(64), share()
        if drawn < _SKIPS + _SILENT + _UNNAMED:
            yield from _beside(listener, play, drawn, rng)
        if play.listed_at <= until:
            yield from _played(play, bits)
    evening = max(play.ended_at for play in plays)
    if share() < _PRIVATE_DAYS:
        yield from _private(listener, evening + 20 * MINUTE, rng)
    begins = plays[0].started_at - 3 * HOUR
    if share() < _EPISODE_DAYS:
        yield from _spoken("episode", begins, rng, 55)
    if share() < _CHAPTER_DAYS:
        yield from _spoken("chapter", begins + HOUR, rng, 30)
    if share() < _VIDEO_DAYS:
        yield from _spoken("video", evening + 2 * HOUR, rng, 25)


def _played(play: SimulatedPlay, bits: int) -> Iterator[ListeningEvent]:
    """Yield a play, and of one in 128 a duplicate."""
    synced_at = play.listed_at if play.listed_at - play.ended_at > MINUTE else None
    event = ListeningEvent(
        ended_at=play.ended_at, ms_played=play.listened_ms, category="play", number=play.track,
        bits=bits, synced_at=synced_at, played_at=play.played_at, device=play.device,
        paused_ms=play.paused_ms,
    )  # fmt: skip
    yield event
    if bits >> 52 & 127 == 0:
        longer, later = _DUPLICATES[bits >> 59 & 3]
        ended_at, ms_played = event.ended_at + later, event.ms_played + longer
        yield replace(event, category="duplicate", ended_at=ended_at, ms_played=ms_played)


def _beside(
    listener: Listener, play: SimulatedPlay, drawn: float, rng: Random
) -> Iterator[ListeningEvent]:
    """Yield what surrounds a play: skips, a track of 0 ms that ends with it, or an unnamed one."""
    if drawn < _SKIPS:
        ended_at = play.started_at
        for _ in range(rng.randint(1, 3)):
            # A false start: the very track that is played afterwards is skipped first.
            track = play.track if rng.random() < 0.25 else listener.draw_track(rng)
            ended_at -= rng.randrange(2 * SECOND)
            ms, bits = rng.randrange(1, _LONGEST_SKIP), rng.getrandbits(64)
            yield ListeningEvent(ended_at, ms, "skip", track, bits, device=play.device)
    elif drawn < _SKIPS + _SILENT:
        track, bits = listener.draw_track(rng), rng.getrandbits(64)
        yield ListeningEvent(play.ended_at, 0, "silent", track, bits, device=play.device)
    else:
        ms, bits = rng.randrange(5 * MINUTE), rng.getrandbits(64)
        yield ListeningEvent(play.started_at, ms, "unnamed", play.track, bits, device=play.device)


def _private(listener: Listener, begins: int, rng: Random) -> Iterator[ListeningEvent]:
    """Yield a private session: whole tracks and skipped ones."""
    now = begins
    for _ in range(rng.randint(2, 8)):
        track = listener.draw_track(rng)
        full = listener.catalogue.duration_ms(track)
        ms = full if rng.random() < 0.7 else rng.randrange(full)
        now += ms + rng.randrange(2 * SECOND)
        yield ListeningEvent(now, ms, "private", track, rng.getrandbits(64))


def _spoken(category: Category, begins: int, rng: Random, longest: int) -> Iterator[ListeningEvent]:
    """Yield one to three episodes, chapters or videos of at most `longest` minutes."""
    now = begins
    for _ in range(rng.randint(1, 3)):
        ms = rng.randrange(longest * MINUTE)
        now += ms + rng.randrange(MINUTE)
        yield ListeningEvent(now, ms, category, rng.randrange(5_000), rng.getrandbits(64))
