"""Listeners and their plays, each day derived from the seed alone.

A day runs from 04:00 to 04:00 in the listener's time zone; a play that would end later is dropped.
So days never overlap, and none depends on an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

from msgspec.structs import replace

from songswap.dev.simulator import draw, names
from songswap.dev.simulator.catalogue import MusicCatalogue
from songswap.dev.simulator.play import FEED_SIZE, SimulatedPlay

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_SHORTEST = 30 * SECOND  # Spotify counts a play from about here
_MAX_DEVICES = 3
_REPORT_START = 1 / 3  # share of devices whose `played_at` is the start; the others report the end
_CUT_SHORT, _REPEATED, _PAUSED = 0.15, 0.06, 0.03  # shares of plays
_SHORTEST_PAUSE, _LONGEST_PAUSE = 5 * SECOND, 10 * MINUTE
_RHYTHM = (1, 2, 5, 8, 6, 5, 5, 6, 6, 5, 5, 6, 8, 9, 9, 8, 7, 5, 3, 2, 1, 1, 1, 1)  # from 04:00
_ZONES = (-8, -7, -6, -5, -3, 0, 1, 1, 2, 3, 5.5, 8, 9, 10)  # hours ahead of UTC
_CONTEXTS = ("playlist", "album", "artist", "collection", None)
_CONTEXT_WEIGHTS = (35, 25, 10, 15, 15)


@dataclass(frozen=True)
class Listener:
    """A listener derived from the seed, whose first plays begin at `born` (ms)."""

    seed: int
    number: int
    born: int
    catalogue: MusicCatalogue

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
        """The e-mail address of the account."""
        return f"{self.id}@example.com"

    @cached_property
    def habits(self) -> Habits:
        """The listener's habits."""
        rng = draw.stream(self.seed, "habits", self.number)
        return Habits(
            sessions=min(20.0, max(0.3, rng.lognormvariate(0.8, 0.7))),
            session_plays=rng.uniform(4, 12),
            shift=rng.randint(-3, 4),
            zone=int(rng.choice(_ZONES) * HOUR),
            devices=rng.choices(range(1, _MAX_DEVICES + 1), (45, 40, 15))[0],
            offline=rng.choice((0.0, 0.02, 0.05, 0.1)),
            skims=rng.random() < 0.05,
            library=rng.randint(30, 300),
            taste=rng.random(),
        )

    @cached_property
    def reports_start(self) -> list[bool]:
        """Whether each device's `played_at` is the start of a play, not its end."""
        draws = [draw.share(self.seed, "tells", self.number, n) for n in range(_MAX_DEVICES)]
        return [drawn < _REPORT_START for drawn in draws]

    def day(self, day: int) -> list[SimulatedPlay]:
        """Return the plays of a day (days since 1970 UTC), in the order of their `played_at`."""
        plays = [play for play in _Day(self, day).plays() if play.played_at >= self.born]
        return [replace(play, day=day, index=index) for index, play in enumerate(plays)]

    def days(self, until: int) -> range:
        """Return the days in which something can have been played up to a time in ms."""
        ahead = self.habits.zone - 4 * HOUR
        return range((self.born + ahead) // DAY, (until + ahead) // DAY + 1)

    def plays(self, until: int) -> list[SimulatedPlay]:
        """Return every play that ended by a time in ms, in the order of their `played_at`."""
        return [
            play for day in self.days(until) for play in self.day(day) if play.ended_at <= until
        ]

    def newest(self, at: int) -> list[SimulatedPlay]:
        """Return the plays that the API returns at a time in ms: at most 50, newest first."""
        found: list[SimulatedPlay] = []
        for day in reversed(self.days(at)):
            found += [play for play in reversed(self.day(day)) if play.listed_at <= at]
            if len(found) >= FEED_SIZE:
                break
        return found[:FEED_SIZE]

    def draw_track(self, rng: Random) -> int:
        """Draw a track: from the listener's own library, or from the whole catalogue."""
        if rng.random() < 0.6:
            own = int(self.habits.library * rng.random() ** 2)
            # Multiples of an irrational number: as good as drawn, and far cheaper.
            return self.catalogue.ranked((self.habits.taste + own * 0.618033988749895) % 1)
        return self.catalogue.ranked(rng.random())


@dataclass(frozen=True)
class Habits:
    """What distinguishes listeners. Shares lie between 0 and 1, times are in ms."""

    sessions: float
    """The mean number of sessions a day."""
    session_plays: float
    """The mean number of plays of a session."""
    shift: int
    """By how many hours the day is later than usual."""
    zone: int
    """How far the time zone is ahead of UTC."""
    devices: int
    offline: float
    """The share of sessions on an offline device, which uploads its plays later."""
    skims: bool
    """Whether the listener has sessions of up to 140 short plays."""
    library: int
    """The number of tracks in the listener's own library."""
    taste: float
    """Which tracks these are: a quantile of the catalogue."""


class _Day:
    """A listener's day while it is drawn. The order of the draws decides its plays."""

    def __init__(self, listener: Listener, day: int) -> None:
        self._listener = listener
        self._habits = listener.habits
        self._rng = draw.stream(listener.seed, "day", listener.number, day)
        self._pauses = draw.stream(listener.seed, "pauses", listener.number, day)
        self._begins = day * DAY + 4 * HOUR - self._habits.zone
        self._plays: dict[int, SimulatedPlay] = {}

    def plays(self) -> list[SimulatedPlay]:
        """Draw the day's plays, in the order of their `played_at`."""
        sessions = sorted(self._session_starts())
        free_from = [self._begins] * self._habits.devices
        for begins, skims in sessions:
            device = self._rng.randrange(self._habits.devices)
            begins = max(begins, free_from[device])
            free_from[device] = self._add_session(begins, device, skims=skims)
        return [self._plays[played_at] for played_at in sorted(self._plays)]

    def _session_starts(self) -> list[tuple[int, bool]]:
        """Draw when sessions begin, and whether the listener skims through tracks in them."""
        habits, rng = self._habits, self._rng
        count = rng.gammavariate(2.0, habits.sessions / 2)
        starts = []
        for _ in range(int(count + rng.random())):
            hour = (rng.choices(range(24), _RHYTHM)[0] + habits.shift) % 24
            starts.append((self._begins + hour * HOUR + rng.randrange(HOUR), False))
        if habits.skims and rng.random() < 0.2:
            starts.append((self._begins + 12 * HOUR + rng.randrange(6 * HOUR), True))
        return starts

    def _add_session(self, begins: int, device: int, *, skims: bool) -> int:
        """Add a session's plays, and return when its device is free again."""
        rng, habits, listener = self._rng, self._habits, self._listener
        length = (
            rng.randint(90, 140) if skims else 1 + int(rng.expovariate(1 / habits.session_plays))
        )
        kind = rng.choices(_CONTEXTS, _CONTEXT_WEIGHTS)[0]
        track = listener.draw_track(rng)
        album, number, total = listener.catalogue.album_of(track)
        context = self._draw_context(kind, track, album)
        is_offline = rng.random() < habits.offline
        uploaded_after = rng.randint(1 * HOUR, 12 * HOUR) if is_offline else 0
        now, added = begins, []
        for position in range(length):
            play = self._draw_play(now, track, context, device, skims=skims)
            now = play.ended_at
            if max(now, play.played_at) >= self._begins + DAY:
                break
            added.append(play)
            self._plays[play.played_at] = play
            if rng.random() < _REPEATED:
                continue
            follows = kind == "album" and number + position < total
            track = track + 1 if follows else listener.draw_track(rng)
        if is_offline:
            for play in added:
                self._plays[play.played_at] = replace(play, listed_at=now + uploaded_after)
        return now

    def _draw_play(
        self, begins: int, track: int, context: tuple[str, int] | None, device: int, *, skims: bool
    ) -> SimulatedPlay:
        """Draw how long a track sounds and is paused after the one before it."""
        rng = self._rng
        listened = duration = self._listener.catalogue.duration_ms(track)
        if skims:
            listened = _SHORTEST + int(rng.random() * 20 * SECOND)
        elif rng.random() < _CUT_SHORT:
            listened = rng.randint(_SHORTEST, duration)
        paused = _draw_pause(self._pauses)
        ended_at = begins + listened + paused + int(rng.random() * 2 * SECOND)
        reports_start = self._listener.reports_start[device]
        return SimulatedPlay(
            day=0, index=0, track=track, context=context, device=device,
            played_at=self._free_ms(ended_at - listened - paused if reports_start else ended_at),
            ended_at=ended_at, listed_at=ended_at + 300, listened_ms=listened, paused_ms=paused,
        )  # fmt: skip

    def _free_ms(self, played_at: int) -> int:
        """Return the first ms, from `played_at` on, that no other play has."""
        while played_at in self._plays:
            played_at += 1
        return played_at

    def _draw_context(self, kind: str | None, track: int, album: int) -> tuple[str, int] | None:
        number = self._listener.number
        match kind:
            case "album":
                return "album", album
            case "artist":
                return "artist", self._listener.catalogue.artists_of(track)[0]
            case "playlist":
                return "playlist", number * 100 + self._rng.randrange(12)
            case "collection":
                return "collection", number
            case _:
                return None


def _draw_pause(rng: Random) -> int:
    """Draw how long a play is paused, in ms: mostly never, and short pauses are the likeliest."""
    if rng.random() >= _PAUSED:
        return 0
    return int(_SHORTEST_PAUSE * (_LONGEST_PAUSE / _SHORTEST_PAUSE) ** rng.random())
