"""The soak itself: hour by hour, the storm's faults and the loads."""

import resource
import signal
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from songswap.dev.simulator import draw
from songswap.dev.soak import disruptions, memory
from songswap.dev.soak.kinds import TOKEN
from songswap.dev.soak.limit import limit_verdict, quota_of
from songswap.dev.soak.load import OtherProcess, load, load_heavy
from songswap.dev.soak.parts import Parts, running
from songswap.dev.soak.storm import KINDS, SIGNALS, Fault, Hour, storm
from songswap.dev.soak.verdict import Verdict, judge
from songswap.pipelines.heavy_listeners import INTERVAL
from songswap.settings import Settings

BEGINS = datetime(2026, 11, 22, 0, 7, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_LIMITED_FROM = 2
"""The hour in which a limit begins: in the second, the tokens of sign-up are exchanged."""
_MORE_TRIES = 3
_FREEZES_WITHIN = 100
"""After a kill Spotify freezes at one of the first so many calls of the clock."""
_SHORT_TIMEOUT_S = 2.0
"""In an hour with responses that come later. In other hours a busy machine changes nothing."""


@dataclass
class Tally:
    """What happened: runs by outcome, events by kind, calls ``struck`` by faults, MiB by part.

    ``memory`` holds the most resident memory (of the parts: at the end of an hour), ``resident``
    that at the end of each day. ``broken`` counts violations that were seen during the soak, see
    `Verdict`.
    """

    runs: Counter[str] = field(default_factory=Counter)
    occurred: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    memory: dict[str, int] = field(default_factory=dict)
    resident: list[dict[str, int]] = field(default_factory=list)
    user_hours: int = 0


@dataclass
class _Soak:
    """A soak under way; ``faults`` maps the simulator's ids to the faults and their last hours."""

    parts: Parts
    tally: Tally
    faults: dict[int, tuple[Fault, int]] = field(default_factory=dict)
    postgres_from: int = 0
    s3_from: int = 0
    writable_from: int = 0

    def hour(self, number: int, hour: Hour) -> None:
        """Simulate an hour."""
        now = BEGINS + number * _HOUR
        parts = self.parts
        self._restart_parts(number)
        parts.move_to(now)
        if hour.development:
            self.tally.occurred["development"] += 1
        self._authorize(hour, now)
        self._begin_faults(number, hour, now)
        self.tally.user_hours += len(parts.spotify.get("/admin/listeners")) - len(parts.deleted)
        if hour.own != "missed":
            succeeded = self._load(number, hour, now)
            self.tally.runs["good" if succeeded else "failed"] += 1
            if hour.own in SIGNALS:
                # Its faults were for the signal alone.
                self._end_faults(number)
            self._poll_heavy_listeners(number, now)
        self._end_faults(number)

    def _poll_heavy_listeners(self, number: int, now: datetime) -> None:
        """Run the loads of heavy listeners until the next hour."""
        for interval in range(1, _HOUR // INTERVAL):
            then = now + interval * INTERVAL
            self.parts.move_to(then)
            polled = load_heavy(self.parts.settings, f"hour {number}, poll {interval}", then)
            self.tally.runs["between the hours"] += polled > 0

    def _authorize(self, hour: Hour, now: datetime) -> None:
        parts = self.parts
        # Nobody signs up while tokens are odd: how the web app handles those is not tested here.
        if not any(fault.order.get("path") == TOKEN for fault, _ in self.faults.values()):
            self._sign_up(hour, now)
        if hour.lives == "revoke":
            parts.spotify.post(f"/admin/listeners/{hour.user}/revoke", {})
            parts.revoked.add(hour.user)
            self.tally.occurred["revoke"] += 1

    def _sign_up(self, hour: Hour, now: datetime) -> None:
        parts = self.parts
        if parts.postgres.running and (ended := parts.ended(now)):
            parts.authorize_again(ended, now)
            self.tally.occurred["six months over"] += len(ended)
        if hour.lives == "join" and parts.postgres.running:
            parts.spotify.post("/admin/listeners", {"count": 1})
            parts.sign_up(now)
            self.tally.occurred["join"] += 1
        elif hour.lives == "return" and parts.revoked and parts.postgres.running:
            parts.authorize_again(sorted(parts.revoked - parts.deleted)[:1], now)
            self.tally.occurred["return"] += 1

    def _load(self, number: int, hour: Hour, now: datetime) -> bool:
        settings, run_id = self._settings(hour), f"hour {number}"
        if hour.own == "damaged spool":
            rng = draw.stream("damage", number, hour.at_call)
            self.tally.occurred[hour.own] += disruptions.damage_spool(settings.spool, rng)
        elif hour.own == "damaged answer":
            self.tally.occurred[hour.own] += disruptions.damage_response(settings.spool)
        elif hour.own == "kill" and self.parts.writable:
            self.tally.occurred[hour.own] += 1
            return self._load_and_kill(settings, run_id, hour, now)
        elif hour.own in SIGNALS and self.parts.writable:
            self.tally.occurred[hour.own] += 1
            self._load_and_interrupt(settings, run_id, hour, now)
            return False
        elif hour.own in ("run twice", "two at once", "wrong clock"):
            self.tally.occurred[hour.own] += 1
        other = None
        if hour.own == "two at once":
            other = OtherProcess(settings, f"{run_id}, beside", now)
            other.go()
        wrong = timedelta(hours=hour.clock_off)
        disruption = self._disruption(number, hour)
        succeeded = load(settings, run_id, now + wrong, hour.at_call, disruption)
        self.tally.broken["clock_unnoticed"] += succeeded and bool(wrong)
        if other is not None:
            other.end()
        if hour.own == "run twice":
            load(settings, f"{run_id}, again", now)
        return succeeded

    def _load_and_kill(self, settings: Settings, run_id: str, hour: Hour, now: datetime) -> bool:
        """Load in another process that is killed, and then poll all users again.

        Only Spotify can repeat the responses that it had in memory, at the same simulated time: the
        load is retried until a run succeeds. The first retry meets a Spotify that freezes for
        seconds; a client that gives up on a user then has lost that user.
        """
        other = OtherProcess(settings, run_id, now, hour.at_call)
        other.go()
        self.tally.runs[f"kill: {other.end()}"] += 1
        at_call = 1 + hour.at_call % _FREEZES_WITHIN
        freeze = partial(disruptions.freeze_spotify, self.parts)
        return load(settings, run_id, now, at_call, freeze) or any(
            load(settings, run_id, now) for _ in range(_MORE_TRIES)
        )

    def _load_and_interrupt(
        self, settings: Settings, run_id: str, hour: Hour, now: datetime
    ) -> None:
        """Load in another process that gets a signal while it exchanges tokens.

        No retry follows: the process itself has to save what it received.
        """
        sign = signal.SIGINT if hour.own == "sigint" else signal.SIGTERM
        other = OtherProcess(settings, run_id, now)
        other.go()
        other.interrupt(sign, lambda: self._struck("slow tokens") >= hour.at_call)
        ended = other.end()
        self.tally.runs[f"{hour.own}: {ended}"] += 1
        self.tally.broken["ended_late"] += ended == "late"

    def _struck(self, kind: str) -> int:
        """The number of calls that the active faults of a kind have struck."""
        ids = {ident for ident, (fault, _) in self.faults.items() if fault.kind == kind}
        active = self.parts.spotify.get("/admin/faults")
        return sum(fault["struck"] for fault in active if fault["id"] in ids)

    def _settings(self, hour: Hour) -> Settings:
        """The usual settings; with a short timeout if the storm has late responses."""
        settings = self.parts.settings
        if all(fault.kind != "timeout" for fault in hour.faults):
            return settings
        return replace(settings, spotify=replace(settings.spotify, timeout_s=_SHORT_TIMEOUT_S))

    def _disruption(self, number: int, hour: Hour) -> Callable[[], None] | None:
        """The disruption in the middle of the load."""
        parts, until = self.parts, number + 1 + hour.lasts
        disruption: Callable[[], None] | None = None
        kind = hour.own
        if hour.own == "s3 outage" and parts.s3.process.running:
            self.s3_from, disruption = until, parts.s3.stop
        elif hour.own == "postgres outage" and parts.postgres.running:
            self.postgres_from, disruption = until, parts.postgres.stop
        elif hour.own == "read-only" and parts.writable:
            self.writable_from, disruption = until, partial(parts.fail_over, True)
        elif hour.own == "locked table" and parts.writable:
            disruption = partial(disruptions.lock_history, parts)
        elif hour.lives == "delete" and parts.postgres.running:
            kind, disruption = hour.lives, partial(parts.delete, hour.user)
        if disruption is not None:
            self.tally.occurred[kind] += 1
        return disruption

    def _restart_parts(self, number: int) -> None:
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
        struck = {fault["id"]: fault["struck"] for fault in spotify.get("/admin/faults")}
        for ident, (fault, until) in list(self.faults.items()):
            if until <= number:
                self.tally.occurred[fault.kind] += 1
                self.tally.struck[fault.kind] += struck[ident]
                spotify.delete(f"/admin/faults/{ident}")
                del self.faults[ident]

    def settle(self) -> None:
        """End all outages and faults."""
        self._restart_parts(max(self.postgres_from, self.s3_from, self.writable_from))
        self._end_faults(max((until for _, until in self.faults.values()), default=0))


def soak(
    folder: Path,
    users: int,
    days: float,
    seed: int,
    on_progress: Callable[[int, int, datetime], None],
    kinds: Collection[str] = KINDS,
    served: float = 0,
) -> tuple[Verdict, Tally]:
    """Simulate ``days`` with ``users``, and judge the result.

    Args:
        folder: an empty folder for databases, objects, spool and logs.
        on_progress: receives the hours done, the hours in all, and the simulated time.
        kinds: the kinds of events in the storm, of `KINDS`.
        served: the share of the users whom the app's limit serves in an hour; 0 is no limit. The
            app has met it before. It begins after two hours, in which all are polled.

    Raises:
        StackError: a part did not start.
    """
    hours = max(1, round(days * 24))
    with running(folder, users, seed, BEGINS) as parts:
        quota = quota_of(users, served)
        tally = live(parts, storm(seed, users, hours, kinds), on_progress, quota)
        end = BEGINS + hours * _HOUR
        limit = limit_verdict(parts, served, end) if quota else None
        verdict = judge(parts, BEGINS, end, limit)
        verdict.counts += tally.broken
        tally.memory["soak"] = memory.peak_mib(resource.RUSAGE_SELF)
        tally.memory["its other loads"] = memory.peak_mib(resource.RUSAGE_CHILDREN)
    return verdict, tally


def live(
    parts: Parts,
    hours: Sequence[Hour],
    on_progress: Callable[[int, int, datetime], None],
    quota: int = 0,
) -> Tally:
    """Simulate these hours; at the end all parts are up, and no fault is active.

    Args:
        quota: the requests of a day that are allowed from the third hour on; 0 is no limit.
    """
    tally = Tally()
    soak = _Soak(parts, tally)
    for number, hour in enumerate(hours):
        now = BEGINS + number * _HOUR
        on_progress(number, len(hours), now)
        if quota and number == _LIMITED_FROM:
            parts.limit_day(quota, now)
        soak.hour(number, hour)
        resident = memory.resident_mib(parts.pids())
        for name, mib in resident.items():
            tally.memory[name] = max(mib, tally.memory.get(name, 0))
        if number % 24 == 23:
            tally.resident.append(resident)
    soak.settle()
    return tally
