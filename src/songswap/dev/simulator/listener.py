"""Listeners: who they are, and what they play on any day, each day derived on its own.

A listener's day runs from four in the morning to four in the morning in their own time zone; what
would end later is not played. So days never overlap, and a day can be known without its past.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

from msgspec.structs import replace

from songswap.dev.simulator import draw, names
from songswap.dev.simulator.catalogue import Catalogue
from songswap.dev.simulator.play import NEWEST, Play

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_LEAST = 30 * SECOND  # Spotify counts a play from about here
_MOST_DEVICES = 3
_TELL_STARTS = 1 / 3  # of the devices; the others tell when a play ended
_PAUSED = 0.03
_SHORTEST_PAUSE, _LONGEST_PAUSE = 5 * SECOND, 10 * MINUTE
_RHYTHM = (1, 2, 5, 8, 6, 5, 5, 6, 6, 5, 5, 6, 8, 9, 9, 8, 7, 5, 3, 2, 1, 1, 1, 1)  # from 04:00
_ZONES = (-8, -7, -6, -5, -3, 0, 1, 1, 2, 3, 5.5, 8, 9, 10)  # hours ahead of UTC
_CONTEXTS = ("playlist", "album", "artist", "collection", None)
_CONTEXT_WEIGHTS = (35, 25, 10, 15, 15)


@dataclass(frozen=True)
class Listener:
    """A listener whose life is derived from the seed. `born` is when it begins, in ms."""

    seed: int
    number: int
    born: int
    catalogue: Catalogue

    @property
    def id(self) -> str:
        """The Spotify user id: `listener-0001`."""
        return f"listener-{self.number:04d}"

    @cached_property
    def name(self) -> str:
        """The display name, 1 to 20 characters."""
        return names.person(draw.stream(self.seed, "name", self.number))

    @property
    def email(self) -> str:
        """The address of the account."""
        return f"{self.id}@example.com"

    @cached_property
    def _habits(self) -> _Habits:
        rng = draw.stream(self.seed, "habits", self.number)
        return _Habits(
            sessions=min(20.0, max(0.3, rng.lognormvariate(0.8, 0.7))),
            session_plays=rng.uniform(4, 12),
            shift=rng.randint(-3, 4),
            zone=int(rng.choice(_ZONES) * HOUR),
            devices=rng.choices(range(1, _MOST_DEVICES + 1), (45, 40, 15))[0],
            offline=rng.choice((0.0, 0.02, 0.05, 0.1)),
            skims=rng.random() < 0.05,
            library=rng.randint(30, 300),
            taste=rng.random(),
        )

    @cached_property
    def _tells_start(self) -> list[bool]:
        """Whether the API tells the start of what each device plays, instead of the end."""
        draws = [draw.share(self.seed, "tells", self.number, n) for n in range(_MOST_DEVICES)]
        return [drawn < _TELL_STARTS for drawn in draws]

    def day(self, day: int) -> list[Play]:
        """Return the plays of a day (days since 1970 UTC), in the order of their `played_at`."""
        habits = self._habits
        rng = draw.stream(self.seed, "day", self.number, day)
        pauses = draw.stream(self.seed, "pauses", self.number, day)
        morning = day * DAY + 4 * HOUR - habits.zone
        sessions = sorted(self._session_starts(rng, morning))
        free_from = [morning] * habits.devices
        plays: dict[int, Play] = {}
        for begins, is_skim in sessions:
            device = rng.randrange(habits.devices)
            free_from[device] = self._session(
                rng,
                pauses,
                max(begins, free_from[device]),
                morning + DAY,
                plays,
                skims=is_skim,
                device=device,
            )
        born = self.born
        lived = [plays[at] for at in sorted(plays) if at >= born]
        return [replace(play, day=day, place=place) for place, play in enumerate(lived)]

    def days(self, until: int) -> range:
        """Return the days in which something can have been played up to a time in ms."""
        ahead = self._habits.zone - 4 * HOUR
        return range((self.born + ahead) // DAY, (until + ahead) // DAY + 1)

    def plays(self, until: int) -> list[Play]:
        """Return every play that ended by a time in ms, in the order of their `played_at`."""
        return [
            play for day in self.days(until) for play in self.day(day) if play.ended_at <= until
        ]

    def newest(self, at: int) -> list[Play]:
        """Return the plays that the API can tell at a time in ms: at most 50, newest first."""
        found: list[Play] = []
        for day in reversed(self.days(at)):
            found += [play for play in reversed(self.day(day)) if play.listed_at <= at]
            if len(found) >= NEWEST:
                break
        return found[:NEWEST]

    def pick(self, rng: Random) -> int:
        """Draw a track: from the listener's own library, or from what everybody hears."""
        if rng.random() < 0.6:
            own = int(self._habits.library * rng.random() ** 2)
            # Multiples of an irrational number: as good as drawn, and far cheaper.
            return self.catalogue.ranked((self._habits.taste + own * 0.618033988749895) % 1)
        return self.catalogue.ranked(rng.random())

    def _session_starts(self, rng: Random, morning: int) -> list[tuple[int, bool]]:
        habits = self._habits
        wanted = rng.gammavariate(2.0, habits.sessions / 2)
        starts = []
        for _ in range(int(wanted + rng.random())):
            hour = (rng.choices(range(24), _RHYTHM)[0] + habits.shift) % 24
            starts.append((morning + hour * HOUR + rng.randrange(HOUR), False))
        if habits.skims and rng.random() < 0.2:
            starts.append((morning + 12 * HOUR + rng.randrange(6 * HOUR), True))
        return starts

    def _session(
        self,
        rng: Random,
        pauses: Random,
        begins: int,
        ends: int,
        plays: dict[int, Play],
        *,
        skims: bool,
        device: int,
    ) -> int:
        """Add a session's plays by their `played_at`, and return when its device is free again."""
        habits = self._habits
        length = (
            rng.randint(90, 140) if skims else 1 + int(rng.expovariate(1 / habits.session_plays))
        )
        kind = rng.choices(_CONTEXTS, _CONTEXT_WEIGHTS)[0]
        track = self.pick(rng)
        album, number, total = self.catalogue.album_of(track)
        context = self._context(kind, track, album, rng)
        synced = None
        now = begins
        made = []
        if rng.random() < habits.offline:
            synced = rng.randint(1 * HOUR, 12 * HOUR)
        for position in range(length):
            full = self.catalogue.duration_ms(track)
            listened = full
            if skims:
                listened = _LEAST + int(rng.random() * 20 * SECOND)
            elif rng.random() < 0.15:
                listened = rng.randint(_LEAST, full)
            paused = _pause(pauses)
            now += listened + paused + int(rng.random() * 2 * SECOND)
            played_at = now - listened - paused if self._tells_start[device] else now
            while played_at in plays:
                played_at += 1
            if max(now, played_at) >= ends:
                break
            made.append(played_at)
            plays[played_at] = Play(
                0, 0, played_at, now, now + 300, track, context, listened, paused, device
            )
            if rng.random() < 0.06:
                continue  # the same again
            if kind == "album" and number + position < total:
                track += 1
            else:
                track = self.pick(rng)
        if synced is not None:
            arrives = now + synced
            for played_at in made:
                plays[played_at] = replace(plays[played_at], listed_at=arrives)
        return now

    def _context(
        self, kind: str | None, track: int, album: int, rng: Random
    ) -> tuple[str, int] | None:
        match kind:
            case "album":
                return "album", album
            case "artist":
                return "artist", self.catalogue.artists_of(track)[0]
            case "playlist":
                return "playlist", self.number * 100 + rng.randrange(12)
            case "collection":
                return "collection", self.number
            case _:
                return None


def _pause(rng: Random) -> int:
    """Draw how long a play is paused, in ms: mostly never, and short pauses are the likeliest."""
    if rng.random() >= _PAUSED:
        return 0
    return int(_SHORTEST_PAUSE * (_LONGEST_PAUSE / _SHORTEST_PAUSE) ** rng.random())


@dataclass(frozen=True)
class _Habits:
    """What sets listeners apart: means per day and session, shares 0 to 1, times in ms."""

    sessions: float
    session_plays: float
    shift: int
    zone: int
    devices: int
    offline: float
    skims: bool
    library: int
    taste: float
