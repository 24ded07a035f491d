"""All that a listener heard: the ledger's plays, and what the API never tells of.

A day's rows are drawn from that day alone, so that a later export repeats an earlier one's rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

import msgspec

from songswap.dev.simulator import draw
from songswap.dev.simulator.listener import DAY, HOUR, MINUTE, SECOND, Listener
from songswap.dev.simulator.play import Play

What = Literal[
    "play", "double", "skip", "nothing", "unnamed", "private", "episode", "chapter", "video"
]

_SKIPS = 0.12
_NOTHING = 0.03
_UNNAMED = 0.004
_PRIVATE_DAYS = 0.15
_EPISODE_DAYS = 0.2
_CHAPTER_DAYS = 0.1
_VIDEO_DAYS = 0.08
_LONGEST_SKIP = 29 * SECOND
_DOUBLES = ((1, 0), (0, 3 * SECOND), (0, SECOND), (-5 * SECOND, -5 * SECOND))
"""How a row that repeats a play differs from it: in `ms_played` and in its end, both in ms."""


class Heard(msgspec.Struct, frozen=True, gc=False):
    """Something that sounded for `ms_played` until `ended_at` (ms)."""

    ended_at: int
    ms_played: int
    what: What
    """`play`: one of the ledger, the only kind that the API tells; `double`: the same once more, as
    real exports repeat a play with another second or length. The others: a track skipped
    within 30 s; one that sounded for 0 ms; one that Spotify cannot name any more; one of a private
    session; a podcast's episode; an audiobook's chapter; a video."""
    number: int
    """The catalogue's index of the track, or the number of the episode, chapter or video."""
    look: int
    """64 random bits for all that is incidental."""
    synced_at: int | None = None
    """When a phone that was offline reported it, in ms; None where it was online."""
    played_at: int | None = None
    """What the API calls this play, in ms."""
    device: int = 0
    """On which of the listener's devices, from 0."""
    paused_ms: int = 0
    """How long it was paused before it ended."""

    @property
    def started_at(self) -> int:
        """When it began, in ms."""
        return self.ended_at - self.ms_played - self.paused_ms


def heard(listener: Listener, until: int, since: int) -> list[Heard]:
    """Return what Spotify knows to have been heard between two times in ms, by its ends.

    A play of an offline phone is not among it before the phone has told of it.
    """
    rows = [
        row
        for day in listener.days(until)
        if (day + 2) * DAY > since  # a day goes on until the next morning in its time zone
        for row in _day(listener, day, until)
        if since <= row.ended_at <= until
    ]
    rows.sort(key=lambda row: row.ended_at)
    return rows


def _day(listener: Listener, day: int, until: int) -> Iterator[Heard]:
    plays = listener.day(day)
    if not plays:
        return
    rng = draw.stream(listener.seed, "heard", listener.number, day)
    bits, share = rng.getrandbits, rng.random
    for play in plays:
        look, drawn = bits(64), share()
        if drawn < _SKIPS + _NOTHING + _UNNAMED:
            yield from _beside(listener, play, drawn, rng)
        if play.listed_at <= until:
            yield from _played(play, look)
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


def _played(play: Play, look: int) -> Iterator[Heard]:
    """Yield a play, and now and then a second row of it."""
    synced_at = play.listed_at if play.listed_at - play.ended_at > MINUTE else None
    row = Heard(
        play.ended_at,
        play.listened_ms,
        "play",
        play.track,
        look,
        synced_at,
        play.played_at,
        play.device,
        play.paused_ms,
    )
    yield row
    if look >> 52 & 127 == 0:
        longer, later = _DOUBLES[look >> 59 & 3]
        yield msgspec.structs.replace(
            row,
            what="double",
            ended_at=row.ended_at + later,
            ms_played=row.ms_played + longer,
        )


def _beside(listener: Listener, play: Play, drawn: float, rng: Random) -> Iterator[Heard]:
    """Yield what surrounds a play: skips before it, or something of 0 ms that ends with it."""
    if drawn < _SKIPS:
        ended_at = play.started_at
        for _ in range(rng.randint(1, 3)):
            # The very track that is heard afterwards is skipped too: a false start.
            track = play.track if rng.random() < 0.25 else listener.pick(rng)
            ended_at -= rng.randrange(2 * SECOND)
            lasted = rng.randrange(1, _LONGEST_SKIP)
            yield Heard(ended_at, lasted, "skip", track, rng.getrandbits(64), device=play.device)
    elif drawn < _SKIPS + _NOTHING:
        number, look = listener.pick(rng), rng.getrandbits(64)
        yield Heard(play.ended_at, 0, "nothing", number, look, device=play.device)
    else:
        lasted = rng.randrange(5 * MINUTE)
        look = rng.getrandbits(64)
        yield Heard(play.started_at, lasted, "unnamed", play.track, look, device=play.device)


def _private(listener: Listener, begins: int, rng: Random) -> Iterator[Heard]:
    """Yield a private session: whole tracks and skipped ones."""
    now = begins
    for _ in range(rng.randint(2, 8)):
        track = listener.pick(rng)
        full = listener.catalogue.duration_ms(track)
        lasted = full if rng.random() < 0.7 else rng.randrange(full)
        now += lasted + rng.randrange(2 * SECOND)
        yield Heard(now, lasted, "private", track, rng.getrandbits(64))


def _spoken(what: What, begins: int, rng: Random, longest: int) -> Iterator[Heard]:
    """Yield one to three episodes, chapters or videos of at most `longest` minutes."""
    now = begins
    for _ in range(rng.randint(1, 3)):
        lasted = rng.randrange(longest * MINUTE)
        now += lasted + rng.randrange(MINUTE)
        yield Heard(now, lasted, what, rng.randrange(5_000), rng.getrandbits(64))
