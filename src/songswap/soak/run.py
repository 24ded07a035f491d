"""The soak itself: hour after hour, what the storm brings, and the loads."""

import os
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from songswap.follow import INTERVAL
from songswap.soak.load import OtherProcess, load, load_heavy
from songswap.soak.parts import Parts, running
from songswap.soak.storm import FEED, Hour, storm
from songswap.soak.verdict import Verdict, judge

BEGINS = datetime(2026, 11, 22, 0, 7, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@dataclass
class Tally:
    """What happened: hours by how they went, what came by kind (``struck``: calls), MiB by part.

    ``memory`` holds the most that was resident, ``resident`` what was, a day for a day.
    """

    runs: Counter[str] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    memory: dict[str, int] = field(default_factory=dict)
    resident: list[dict[str, int]] = field(default_factory=list)
    user_hours: int = 0


@dataclass
class _Soak:
    """A soak under way; ``faults`` maps the simulator's ids to the kinds and their last hours."""

    parts: Parts
    tally: Tally
    faults: dict[int, tuple[str, int]] = field(default_factory=dict)
    postgres_from: int = 0
    s3_from: int = 0

    def hour(self, number: int, hour: Hour) -> None:
        """Live through an hour."""
        now = BEGINS + number * _HOUR
        parts = self.parts
        self._mend(number)
        parts.move_to(now)
        for kind in filter(None, (hour.own, "development" * hour.development)):
            self.tally.came[kind] += 1
        self._authorize(hour, now)
        self._begin_faults(number, hour, now)
        self.tally.user_hours += len(parts.spotify.get("/admin/listeners")) - len(parts.deleted)
        if hour.own != "missed":
            good = self._load(number, hour, now)
            self.tally.runs["good" if good else "failed"] += 1
            self._follow(number, now)
        self._end_faults(number)

    def _follow(self, number: int, now: datetime) -> None:
        """Look for the endangered until the next hour comes."""
        for look in range(1, _HOUR // INTERVAL):
            then = now + look * INTERVAL
            self.parts.move_to(then)
            asked = load_heavy(self.parts.settings, f"hour {number}, look {look}", then)
            self.tally.runs["between the hours"] += asked > 0

    def _authorize(self, hour: Hour, now: datetime) -> None:
        parts = self.parts
        if parts.postgres.running and (ended := parts.ended(now)):
            parts.authorize_again(ended, now)
            self.tally.came["six months over"] += len(ended)
        if hour.lives == "join" and parts.postgres.running:
            parts.spotify.post("/admin/listeners", {"count": 1})
            parts.sign_up(now)
            self.tally.came["join"] += 1
        elif hour.lives == "revoke":
            parts.spotify.post(f"/admin/listeners/{hour.user}/revoke", {})
            parts.revoked.add(hour.user)
            self.tally.came["revoke"] += 1
        elif hour.lives == "return" and parts.revoked and parts.postgres.running:
            parts.authorize_again(sorted(parts.revoked - parts.deleted)[:1], now)
            self.tally.came["return"] += 1

    def _load(self, number: int, hour: Hour, now: datetime) -> bool:
        settings, run_id = self.parts.settings, f"hour {number}"
        if hour.own == "kill" and self.parts.postgres.running:
            other = OtherProcess(settings, run_id, now, hour.at_call)
            other.go()
            self.tally.runs["killed" if other.end() else "ended before the kill"] += 1
        beside = None
        if hour.own == "two at once":
            beside = OtherProcess(settings, f"{run_id}, beside", now)
            beside.go()
        good = load(settings, run_id, now, hour.at_call, self._trouble(number, hour))
        if beside is not None:
            beside.end()
        if hour.own == "run twice":
            load(settings, f"{run_id}, again", now)
        return good

    def _trouble(self, number: int, hour: Hour) -> Callable[[], None] | None:
        """What comes in the middle of the load."""
        parts = self.parts
        if hour.own == "s3 outage" and parts.s3.process.running:
            self.s3_from = number + 1 + hour.lasts
            return parts.s3.stop
        if hour.own == "postgres outage" and parts.postgres.running:
            self.postgres_from = number + 1 + hour.lasts
            return parts.postgres.stop
        if hour.lives == "delete" and parts.postgres.running:
            self.tally.came["delete"] += 1
            return partial(parts.delete, hour.user)
        return None

    def _mend(self, number: int) -> None:
        if not self.parts.postgres.running and number >= self.postgres_from:
            self.parts.postgres.start()
        if not self.parts.s3.process.running and number >= self.s3_from:
            self.parts.s3.start()

    def _begin_faults(self, number: int, hour: Hour, now: datetime) -> None:
        spotify = self.parts.spotify
        spotify.post("/admin/mode", {"mode": "development" if hour.development else "extended"})
        for kind, order in hour.faults:
            self.faults[spotify.post("/admin/faults", order)["id"]] = (kind, number)
        if hour.stalled:
            stall = {"path": FEED, "action": "stall", "since": now.isoformat()}
            fault = spotify.post("/admin/faults", {**stall, "user": hour.stalled})
            self.faults[fault["id"]] = ("stalled feed", number + hour.stalled_for)

    def _end_faults(self, number: int) -> None:
        spotify = self.parts.spotify
        struck = {one["id"]: one["struck"] for one in spotify.get("/admin/faults")}
        for ident, (kind, until) in list(self.faults.items()):
            if until <= number:
                self.tally.came[kind] += 1
                self.tally.struck[kind] += struck[ident]
                spotify.delete(f"/admin/faults/{ident}")
                del self.faults[ident]

    def settle(self) -> None:
        """End what still lasts."""
        self._mend(self.postgres_from + self.s3_from)
        self._end_faults(max((until for _, until in self.faults.values()), default=0))


def soak(
    folder: Path, users: int, days: float, seed: int, told: Callable[[int, int, datetime], None]
) -> tuple[Verdict, Tally]:
    """Live through ``days`` with ``users``, and judge what came of it.

    Args:
        folder: keeps databases, objects, spool and logs; empty.
        told: hears how many hours are done, how many there are, and the simulated time.

    Raises:
        StackError: a part did not start.
    """
    hours = max(1, round(days * 24))
    with running(folder, users, seed, BEGINS) as parts:
        tally = live(parts, storm(seed, users, hours), told)
        verdict = judge(parts, BEGINS, BEGINS + hours * _HOUR)
        tally.memory = _memory(parts, "VmHWM") | {"its other loads": _children()}
    return verdict, tally


def live(parts: Parts, hours: Sequence[Hour], told: Callable[[int, int, datetime], None]) -> Tally:
    """Live through these hours; at the end all parts are up, and no fault lasts."""
    tally = Tally()
    here = _Soak(parts, tally)
    for number, hour in enumerate(hours):
        told(number, len(hours), BEGINS + number * _HOUR)
        here.hour(number, hour)
        if number % 24 == 23:
            tally.resident.append(_memory(parts, "VmRSS"))
    here.settle()
    return tally


def _memory(parts: Parts, kind: Literal["VmRSS", "VmHWM"]) -> dict[str, int]:
    """What is resident of this process and of the Python parts, or was at most, in MiB."""
    found = {}
    for name, pid in {"soak": os.getpid(), **parts.pids()}.items():
        status = Path(f"/proc/{pid}/status").read_text()
        line = next(line for line in status.splitlines() if kind in line)
        found[name] = int(line.split()[1]) // 1024
    return found


def _children() -> int:
    """The most memory of any process that this one has waited for, in MiB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
