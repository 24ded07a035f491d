"""A whole hourly load: the DAG with LocalExecutor on real parts, and the same steps in one process.

The simulated Spotify runs beside it: what it takes of the cores (2 to 5 ms an answer) is part of
every time here.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.airflow_run import Run, Site, site, web_api_calls
from benchmarks.figure import Figure, bound, cost
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
    """A run, how many requests of the Web API it took, and the memory of its tasks."""

    run: Run
    calls: int
    peak: Peak


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Time, memory and XComs of runs; what Airflow costs; how the cost grows with the users."""
    with site(folder) as here:
        told("Airflow starts")
        with here.airflow(Airflow) as airflow:
            told(f"{_USERS:,} users, {_PER_30_S // 30} requests/s, {_LATENCY_MS} ms")
            limited = _loaded(here, airflow, _USERS, _PER_30_S, _LATENCY_MS)
            yield from _against_the_limit(limited)
            what = f"XComs of a run of {_USERS:,} users"
            yield bound(what, limited.run.xcom_bytes / 1000, "kB", most=10)
            free = {}
            for users in dict.fromkeys((_FEW, _SHARED, _MANY)):
                told(f"{users:,} users, no limit")
                free[users] = _loaded(here, airflow, users)
        yield from _memory({_USERS: limited.peak, _FEW: free[_FEW].peak, _MANY: free[_MANY].peak})
        alone = {}
        for users in dict.fromkeys(_CURVE):
            told(f"{users:,} users in one process")
            with here.world(users):
                alone[users] = here.load_here()
    share = free[_SHARED].run.seconds - alone[_SHARED]
    yield bound(f"Airflow's own share, {_SHARED:,} users", share, "s", most=25)
    yield from _curve("curve", alone)
    yield from _curve("curve of the DAG", {users: one.run.seconds for users, one in free.items()})


def _loaded(
    here: Site, airflow: Airflow, users: int, per_30_s: int = 0, latency_ms: int = 0
) -> _Loaded:
    """A world of its own, loaded by the DAG."""
    scheduler = next(one for one in airflow.components if one.name.endswith("scheduler"))
    with (
        here.world(users, per_30_s=per_30_s, latency_ms=latency_ms) as spotify,
        _watched(scheduler.pid) as seen,
    ):
        done = here.load(airflow)
        calls = web_api_calls(spotify)
    resident = max(one.resident for one in seen.values())
    return _Loaded(done, calls, Peak(resident, max(one.own for one in seen.values())))


def _against_the_limit(loaded: _Loaded) -> Iterator[Figure]:
    took, a_second = loaded.run.seconds, _PER_30_S / 30
    yield bound(f"requests of a run of {_USERS:,} users, without tokens", loaded.calls, "requests")
    what = f"that run, against its requests ÷ {a_second:g}/s"
    yield cost(what, took, loaded.calls / a_second, "s", most=1.15)
    # The window rolls: as many requests as it holds need not wait at all.
    waited = max(0, loaded.calls - _PER_30_S) / a_second
    if waited:
        yield cost(f"the same, without the first {_PER_30_S:,} requests", took, waited, "s")


def _curve(name: str, taken: dict[int, float]) -> Iterator[Figure]:
    for users, took in taken.items():
        yield bound(f"{name}: {users} users, seconds", took, "s")
        yield bound(f"{name}: {users} users, users a second", users / took, "users/s")


def _memory(peaks: dict[int, Peak]) -> Iterator[Figure]:
    for users, peak in sorted(peaks.items()):
        what = f"peak memory of a task process, {users:,} users"
        yield bound(what, peak.resident, "MB", most=300)
        yield bound("of it its own, shared pages divided", peak.own, "MB")
    resident = [peak.resident for peak in peaks.values()]
    yield cost(
        "the largest of these peaks against the smallest",
        max(resident),
        min(resident),
        "MB",
        most=1.15,
    )


@contextmanager
def _watched(scheduler: int) -> Iterator[dict[int, Peak]]:
    """The peaks of the processes that run tasks, by pid: children of the scheduler's workers."""
    seen: dict[int, Peak] = defaultdict(lambda: Peak(0.0, 0.0))

    def look() -> None:
        for worker in children(scheduler):
            for task in children(worker):
                seen[task] = Peak(*map(max, seen[task], memory_of(task)))

    with sampled(look):
        yield seen
