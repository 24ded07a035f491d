"""The soak itself: hour after hour, what the storm brings, and the loads."""

import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil

from songswap.dev.simulator import draw
from songswap.dev.soak.kinds import TOKEN
from songswap.dev.soak.load import OtherProcess, load, load_heavy
from songswap.dev.soak.parts import Parts, running
from songswap.dev.soak.storm import KINDS, SIGNALS, Fault, Hour, storm
from songswap.dev.soak.trouble import damage_answer, damage_spool, freeze_spotify, lock_history
from songswap.dev.soak.verdict import Verdict, judge
from songswap.pipelines.heavy_listeners import INTERVAL
from songswap.settings import Settings

BEGINS = datetime(2026, 11, 22, 0, 7, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_MORE_TRIES = 3
_FREEZES_WITHIN = 100
"""Of so many looks at the clock one is drawn, after a kill."""
_SHORT_TIMEOUT_S = 2.0
"""Of an hour with answers that come later than that. In all others nothing is decided by how busy
the machine is."""


@dataclass
class Tally:
    """What happened: hours by how they went, what came by kind (``struck``: calls), MiB by part.

    ``memory`` holds the most that was resident (of the parts: at the end of an hour), ``resident``
    what was, a day for a day. ``broken`` counts what must not be and was seen on the way, see
    `Verdict`.
    """

    runs: Counter[str] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    memory: dict[str, int] = field(default_factory=dict)
    resident: list[dict[str, int]] = field(default_factory=list)
    user_hours: int = 0


@dataclass
class _Soak:
    """A soak under way; ``faults`` maps the simulator's ids to what is in force, and until when."""

    parts: Parts
    tally: Tally
    faults: dict[int, tuple[Fault, int]] = field(default_factory=dict)
    postgres_from: int = 0
    s3_from: int = 0
    writable_from: int = 0

    def hour(self, number: int, hour: Hour) -> None:
        """Live through an hour."""
        now = BEGINS + number * _HOUR
        parts = self.parts
        self._mend(number)
        parts.move_to(now)
        if hour.development:
            self.tally.came["development"] += 1
        self._authorize(hour, now)
        self._begin_faults(number, hour, now)
        self.tally.user_hours += len(parts.spotify.get("/admin/listeners")) - len(parts.deleted)
        if hour.own != "missed":
            good = self._load(number, hour, now)
            self.tally.runs["good" if good else "failed"] += 1
            if hour.own in SIGNALS:
                # Answers were held back for the signal alone.
                self._end_faults(number)
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
        # The web app signs nobody up while tokens are odd: what it does then is not ours.
        if not any(fault.order.get("path") == TOKEN for fault, _ in self.faults.values()):
            self._sign_up(hour, now)
        if hour.lives == "revoke":
            parts.spotify.post(f"/admin/listeners/{hour.user}/revoke", {})
            parts.revoked.add(hour.user)
            self.tally.came["revoke"] += 1

    def _sign_up(self, hour: Hour, now: datetime) -> None:
        parts = self.parts
        if parts.postgres.running and (ended := parts.ended(now)):
            parts.authorize_again(ended, now)
            self.tally.came["six months over"] += len(ended)
        if hour.lives == "join" and parts.postgres.running:
            parts.spotify.post("/admin/listeners", {"count": 1})
            parts.sign_up(now)
            self.tally.came["join"] += 1
        elif hour.lives == "return" and parts.revoked and parts.postgres.running:
            parts.authorize_again(sorted(parts.revoked - parts.deleted)[:1], now)
            self.tally.came["return"] += 1

    def _load(self, number: int, hour: Hour, now: datetime) -> bool:
        settings, run_id = self._settings(hour), f"hour {number}"
        if hour.own == "damaged spool":
            rng = draw.stream("damage", number, hour.at_call)
            self.tally.came[hour.own] += damage_spool(settings.spool, rng)
        elif hour.own == "damaged answer":
            self.tally.came[hour.own] += damage_answer(settings.spool)
        elif hour.own == "kill" and self.parts.writable:
            self.tally.came[hour.own] += 1
            return self._load_and_kill(settings, run_id, hour, now)
        elif hour.own in SIGNALS and self.parts.writable:
            self.tally.came[hour.own] += 1
            self._load_and_interrupt(settings, run_id, hour, now)
            return False
        elif hour.own in ("run twice", "two at once", "wrong clock"):
            self.tally.came[hour.own] += 1
        beside = None
        if hour.own == "two at once":
            beside = OtherProcess(settings, f"{run_id}, beside", now)
            beside.go()
        wrong = timedelta(hours=hour.clock_off)
        good = load(settings, run_id, now + wrong, hour.at_call, self._trouble(number, hour))
        self.tally.broken["clock_unnoticed"] += good and bool(wrong)
        if beside is not None:
            beside.end()
        if hour.own == "run twice":
            load(settings, f"{run_id}, again", now)
        return good

    def _load_and_kill(self, settings: Settings, run_id: str, hour: Hour, now: datetime) -> bool:
        """Load in another process that is killed, and then ask everybody again.

        What it had in hand only Spotify can give again, at the same simulated time: somebody who
        retries does it until a run is a good one. The first of them meets a Spotify that stands
        still for seconds: who gives up on a user then has lost that user.
        """
        other = OtherProcess(settings, run_id, now, hour.at_call)
        other.go()
        self.tally.runs[f"kill: {other.end()}"] += 1
        looks, freeze = 1 + hour.at_call % _FREEZES_WITHIN, partial(freeze_spotify, self.parts)
        return load(settings, run_id, now, looks, freeze) or any(
            load(settings, run_id, now) for _ in range(_MORE_TRIES)
        )

    def _load_and_interrupt(
        self, settings: Settings, run_id: str, hour: Hour, now: datetime
    ) -> None:
        """Load in another process that gets a signal while it exchanges tokens.

        Nothing is done after that: it is the process that has to keep what it has begun.
        """
        sign = signal.SIGINT if hour.own == "sigint" else signal.SIGTERM
        other = OtherProcess(settings, run_id, now)
        other.go()
        other.interrupt(sign, lambda: self._struck("slow tokens") >= hour.at_call)
        ended = other.end()
        self.tally.runs[f"{hour.own}: {ended}"] += 1
        self.tally.broken["ended_late"] += ended == "late"

    def _struck(self, kind: str) -> int:
        """How many calls the faults in force of a kind have struck."""
        ids = {ident for ident, (fault, _) in self.faults.items() if fault.kind == kind}
        standing = self.parts.spotify.get("/admin/faults")
        return sum(one["struck"] for one in standing if one["id"] in ids)

    def _settings(self, hour: Hour) -> Settings:
        """With patience, but where the storm has answers that come too late."""
        settings = self.parts.settings
        if all(fault.kind != "timeout" for fault in hour.faults):
            return settings
        return replace(settings, spotify=replace(settings.spotify, timeout_s=_SHORT_TIMEOUT_S))

    def _trouble(self, number: int, hour: Hour) -> Callable[[], None] | None:
        """What comes in the middle of the load."""
        parts, until = self.parts, number + 1 + hour.lasts
        trouble: Callable[[], None] | None = None
        kind = hour.own
        if hour.own == "s3 outage" and parts.s3.process.running:
            self.s3_from, trouble = until, parts.s3.stop
        elif hour.own == "postgres outage" and parts.postgres.running:
            self.postgres_from, trouble = until, parts.postgres.stop
        elif hour.own == "read-only" and parts.writable:
            self.writable_from, trouble = until, partial(parts.fail_over, True)
        elif hour.own == "locked table" and parts.writable:
            trouble = partial(lock_history, parts)
        elif hour.lives == "delete" and parts.postgres.running:
            kind, trouble = hour.lives, partial(parts.delete, hour.user)
        if trouble is not None:
            self.tally.came[kind] += 1
        return trouble

    def _mend(self, number: int) -> None:
        if not self.parts.postgres.running and number >= self.postgres_from:
            self.parts.postgres.start()
        if self.parts.postgres.running and self.parts.read_only and number >= self.writable_from:
            self.parts.fail_over(False)
        if not self.parts.s3.process.running and number >= self.s3_from:
            self.parts.s3.start()

    def _begin_faults(self, number: int, hour: Hour, now: datetime) -> None:
        spotify = self.parts.spotify
        spotify.post("/admin/mode", {"mode": "development" if hour.development else "extended"})
        for fault in hour.faults:
            stalls = fault.order.get("action") == "stall"
            order = fault.order | ({"since": now.isoformat()} if stalls else {})
            ident = spotify.post("/admin/faults", order)["id"]
            self.faults[ident] = (fault, number + fault.hours)

    def _end_faults(self, number: int) -> None:
        spotify = self.parts.spotify
        struck = {one["id"]: one["struck"] for one in spotify.get("/admin/faults")}
        for ident, (fault, until) in list(self.faults.items()):
            if until <= number:
                self.tally.came[fault.kind] += 1
                self.tally.struck[fault.kind] += struck[ident]
                spotify.delete(f"/admin/faults/{ident}")
                del self.faults[ident]

    def settle(self) -> None:
        """End what still lasts."""
        self._mend(max(self.postgres_from, self.s3_from, self.writable_from))
        self._end_faults(max((until for _, until in self.faults.values()), default=0))


def soak(
    folder: Path,
    users: int,
    days: float,
    seed: int,
    told: Callable[[int, int, datetime], None],
    kinds: Collection[str] = KINDS,
) -> tuple[Verdict, Tally]:
    """Live through ``days`` with ``users``, and judge what came of it.

    Args:
        folder: keeps databases, objects, spool and logs; empty.
        told: hears how many hours are done, how many there are, and the simulated time.
        kinds: what the storm may bring, of `KINDS`.

    Raises:
        StackError: a part did not start.
    """
    hours = max(1, round(days * 24))
    with running(folder, users, seed, BEGINS) as parts:
        tally = live(parts, storm(seed, users, hours, kinds), told)
        verdict = judge(parts, BEGINS, BEGINS + hours * _HOUR)
        verdict.counts += tally.broken
        tally.memory["soak"] = _peak_mib(resource.RUSAGE_SELF)
        tally.memory["its other loads"] = _peak_mib(resource.RUSAGE_CHILDREN)
    return verdict, tally


def live(parts: Parts, hours: Sequence[Hour], told: Callable[[int, int, datetime], None]) -> Tally:
    """Live through these hours; at the end all parts are up, and no fault lasts."""
    tally = Tally()
    here = _Soak(parts, tally)
    for number, hour in enumerate(hours):
        told(number, len(hours), BEGINS + number * _HOUR)
        here.hour(number, hour)
        resident = _resident_mib(parts)
        for name, mib in resident.items():
            tally.memory[name] = max(mib, tally.memory.get(name, 0))
        if number % 24 == 23:
            tally.resident.append(resident)
    here.settle()
    return tally


def _resident_mib(parts: Parts) -> dict[str, int]:
    """Measure what is resident of this process and of the Python parts."""
    pids = {"soak": os.getpid(), **parts.pids()}
    return {name: psutil.Process(pid).memory_info().rss >> 20 for name, pid in pids.items()}


def _peak_mib(who: int) -> int:
    """Say what this process had at most, or the largest of those that it has waited for."""
    peak = resource.getrusage(who).ru_maxrss
    # Bytes on macOS, KiB elsewhere.
    return peak >> 20 if sys.platform == "darwin" else peak >> 10
