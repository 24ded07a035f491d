"""A whole hourly load: the DAG with LocalExecutor on real parts, and the same steps in one process.

The simulated Spotify shares the cores: its 2 ms per response are part of every duration.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.airflow_run import Run, Site, open_site, web_api_calls
from benchmarks.measurement import Measurement, OnProgress, cost, value
from benchmarks.memory import Peak, children, memory_of, sampled
from benchmarks.size import size
from songswap.dev.stack.airflow import Airflow

_USERS = size(10_000, 3)
_PER_30_S = 3_000
_LATENCY_MS = 80
_FEW, _MANY = size(1_000, 3), size(20_000, 3)
_SHARED = size(2_000, 3)
_CURVE = (size(100, 3), size(500, 3), _SHARED, size(5_000, 3))


class _Loaded(NamedTuple):
    """A run, its requests to the Web API, and the peak memory of its tasks."""

    run: Run
    calls: int
    peak: Peak


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Measure time, memory and XComs of runs, Airflow's share, and the growth with the users."""
    with open_site(folder) as site:
        on_progress("Airflow starts")
        with site.airflow(Airflow) as airflow:
            unlimited = {}
            for users in dict.fromkeys((_FEW, _SHARED, _MANY)):
                on_progress(f"{users:,} users, no limit")
                unlimited[users] = _loaded(site, airflow, users)
            # Not the first run of an Airflow, whose api-server then imports for some seconds.
            on_progress(f"{_USERS:,} users, {_PER_30_S // 30} requests/s, {_LATENCY_MS} ms")
            limited = _loaded(site, airflow, _USERS, _PER_30_S, _LATENCY_MS)
            yield from _against_the_limit(limited)
            what = f"XComs of a run of {_USERS:,} users"
            yield value(what, limited.run.xcom_bytes / 1000, "kB", at_most=10)
        yield from _memory(
            {_USERS: limited.peak, _FEW: unlimited[_FEW].peak, _MANY: unlimited[_MANY].peak}
        )
        in_process = {}
        for users in dict.fromkeys(_CURVE):
            on_progress(f"{users:,} users in one process")
            with site.world(users):
                in_process[users] = site.load_here()
    share = unlimited[_SHARED].run.seconds - in_process[_SHARED]
    yield value(f"Airflow's own share, {_SHARED:,} users", share, "s", at_most=25)
    yield from _curve("curve", in_process)
    yield from _curve(
        "curve of the DAG", {users: loaded.run.seconds for users, loaded in unlimited.items()}
    )


def _loaded(
    site: Site, airflow: Airflow, users: int, per_30_s: int = 0, latency_ms: int = 0
) -> _Loaded:
    """Load a new world with the DAG."""
    scheduler = next(part for part in airflow.components if part.name.endswith("scheduler"))
    with (
        site.world(users, per_30_s=per_30_s, latency_ms=latency_ms) as spotify,
        _watched(scheduler.pid) as peaks,
    ):
        run = site.load(airflow)
        calls = web_api_calls(spotify)
    resident = max(peak.resident for peak in peaks.values())
    return _Loaded(run, calls, Peak(resident, max(peak.own for peak in peaks.values())))


def _against_the_limit(loaded: _Loaded) -> Iterator[Measurement]:
    took, per_second = loaded.run.seconds, _PER_30_S / 30
    yield value(f"requests of a run of {_USERS:,} users, without tokens", loaded.calls, "requests")
    what = f"that run, against its requests ÷ {per_second:g}/s"
    yield cost(what, took, loaded.calls / per_second, "s", at_most=1.1)
    # The window rolls: the first requests that fill it do not wait.
    waited = max(0, loaded.calls - _PER_30_S) / per_second
    if waited:
        yield cost(f"the same, without the first {_PER_30_S:,} requests", took, waited, "s")


def _curve(name: str, durations: dict[int, float]) -> Iterator[Measurement]:
    for users, took in durations.items():
        yield value(f"{name}: {users} users, seconds", took, "s")
        yield value(f"{name}: {users} users, users per second", users / took, "users/s")


def _memory(peaks: dict[int, Peak]) -> Iterator[Measurement]:
    for users, peak in sorted(peaks.items()):
        what = f"peak memory of a task process, {users:,} users"
        yield value(what, peak.resident, "MB", at_most=300)
        yield value("its own share, shared pages divided", peak.own, "MB")
    resident = [peak.resident for peak in peaks.values()]
    yield cost(
        "the largest of these peaks against the smallest",
        max(resident),
        min(resident),
        "MB",
        at_most=1.15,
    )


@contextmanager
def _watched(scheduler: int) -> Iterator[dict[int, Peak]]:
    """Sample the peaks of the task processes by pid: children of the scheduler's workers."""
    peaks: dict[int, Peak] = defaultdict(lambda: Peak(0.0, 0.0))

    def sample() -> None:
        for worker in children(scheduler):
            for task in children(worker):
                peaks[task] = Peak(*map(max, peaks[task], memory_of(task)))

    with sampled(sample):
        yield peaks
