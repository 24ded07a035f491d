"""Bulk work as users start it: a replay and imports, on this machine's processes and on Spark.

Each command runs once, into a new warehouse. All share the cores of this machine with PostgreSQL
and the S3 endpoint: the costs of a cluster show here, its gains from more machines do not.
``SONGSWAP_BENCH_OBJECTS=200000 SONGSWAP_BENCH_ROWS=5000000`` is the full size.
"""

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from rich.console import Console

from benchmarks import archived, services
from benchmarks.imports import export
from benchmarks.measurement import Measurement, OnProgress, throughput, value
from benchmarks.memory import descendants, sampled, total_memory
from benchmarks.size import size
from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.postgres import Postgres
from songswap.parallel.processes import run_parallel
from songswap.parallel.spark_cluster import Cluster, Layout
from songswap.supervision.process import marked
from songswap.terminal.progress import Progress

_OBJECTS = int(os.environ.get("SONGSWAP_BENCH_OBJECTS", size(3_000, 20)))
_ROWS = int(os.environ.get("SONGSWAP_BENCH_ROWS", size(300_000, 200)))
_ROWS_OF_A_USER = size(50_000, 100)
_EXPORTS = max(1, _ROWS // _ROWS_OF_A_USER)
_MAKERS = 2
"""Processes that make the data."""
_LISTENERS = min(4_000, max(_MAKERS, _OBJECTS // 10))
_CLUSTERS = bool(size(1, 0))
"""The tiny size leaves out Spark, which would take a minute more."""
_TWO_WORKERS = "2 Spark workers"
_TWO_PROCESSES = "2 processes"
_PAIRS = ((_TWO_WORKERS, "1 Spark worker", 1.8), (_TWO_PROCESSES, "1 process", 1.7))
"""Two units at once against one, and the ratio that is the goal."""
_NOTHING = ("replay", "--from", "2020-01-01", "--to", "2020-01-02")


class _Engine(NamedTuple):
    """What work is spread over, ``parallel`` units at once; ``folder`` is the cluster's."""

    name: str
    parallel: int
    cluster: Cluster | None = None
    folder: Path | None = None

    @property
    def options(self) -> list[str]:
        """The options of the command."""
        options = ["--processes", str(self.parallel)]
        if self.cluster is None:
            return options
        return [*options, "--engine", "spark", "--master", self.cluster.url]


class _Done(NamedTuple):
    """A command's seconds, the peak memory of all its processes in MB, and its counts.

    ``waiting`` is the share of its sessions with the warehouse that waited for a lock, ``sessions``
    how many there were at most.
    """

    seconds: float
    memory: float
    waiting: float
    sessions: int
    counts: dict[str, Any]


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare the engines with two processes of this machine, for each kind of work."""
    exports = folder / "exports"
    exports.mkdir()
    on_progress(f"making {_EXPORTS} exports")
    deque(run_parallel(partial(_export, exports), range(1, _EXPORTS + 1), processes=_MAKERS), 0)
    with services.postgres(folder) as server, services.object_store(folder) as store:
        on_progress(f"making an archive of {_OBJECTS:,} responses")
        each = _LISTENERS // _MAKERS
        parts = [range(first, first + each) for first in range(1, each * _MAKERS, each)]
        archive = partial(archived.archive, services.archive_of(store), _OBJECTS // _MAKERS)
        deque(run_parallel(archive, parts, processes=_MAKERS), 0)
        with _engines(folder) as engines:

            def execute(engine: _Engine, *command: str) -> _Done:
                on_progress(f"{command[0]}: {engine.name}")
                return _execute(server, store, folder, engine, command)

            for engine in (engines[0], engines[-1]):
                done = execute(engine, *_NOTHING)
                yield value(f"an empty replay, {engine.name}", done.seconds, "s")
            # In this order, because imports add to the archive that a replay reads.
            single = _Engine("1 process", 1)
            yield from _compared([*engines, single], execute, "objects", "replay")
            yield from _compared(engines, execute, "rows", "import", str(exports))


def _compared(
    engines: list[_Engine], execute: Callable[..., _Done], counted: str, *command: str
) -> Iterator[Measurement]:
    """Compare each engine's throughput with the first one's, and two units at once with one."""
    first, *others = engines
    reference = execute(first, *command)
    amount = reference.counts[counted]
    unit = f"{counted}/s"
    speeds = {first.name: amount / reference.seconds}
    yield value(f"{command[0]} of {amount:,} {counted}, {first.name}", speeds[first.name], unit)
    yield from _costs(reference)
    for engine in others:
        done = execute(engine, *command)
        _require_same(done, reference)
        speeds[engine.name] = amount / done.seconds
        yield throughput(
            f"the same, {engine.name}, against {first.name}",
            speeds[engine.name],
            speeds[first.name],
            unit,
            0.95 if engine.name == _TWO_WORKERS else None,
        )
        yield from _costs(done)
    for two, one, at_least in _PAIRS:
        if two in speeds and one in speeds:
            name = f"the same, {two}, against {one}"
            yield throughput(name, speeds[two], speeds[one], unit, at_least)


def _costs(done: _Done) -> Iterator[Measurement]:
    yield value("memory of all its processes", done.memory, "MB")
    yield value("sessions with the warehouse, at most", done.sessions, "")
    yield value("share of their time spent waiting for locks", done.waiting, "")


def _execute(
    server: Postgres,
    store: ObjectStore,
    folder: Path,
    engine: _Engine,
    command: tuple[str, ...],
) -> _Done:
    """Run a command on an empty warehouse with all users."""
    with services.warehouse(server) as dsn:
        services.add_users(dsn, max(_LISTENERS, _EXPORTS))
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "songswap.cli.main", *command, *engine.options, "--json"],
            env=services.environment(dsn, store, folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def pids() -> list[int]:
            return descendants(process.pid) + (marked(engine.folder) if engine.folder else [])

        with total_memory(pids) as memory, _sessions(dsn) as samples:
            output, errors = process.communicate()
            took = time.perf_counter() - start
        if process.returncode:
            raise RuntimeError(f"songswap {command[0]} failed: {errors[-2000:]}")
        open_, waiting = map(list, zip(*samples, strict=True))
        share = sum(waiting) / max(1, sum(open_))
        return _Done(took, memory.peak, share, max(open_), json.loads(output))


@contextmanager
def _sessions(dsn: str) -> Iterator[list[tuple[int, int]]]:
    """Sample how many other sessions a warehouse has, and how many of them wait for a lock."""
    samples: list[tuple[int, int]] = [(0, 0)]
    query = (
        "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:

        def sample() -> None:
            samples.extend(connection.execute(query))

        with sampled(sample):
            yield samples


def _require_same(done: _Done, reference: _Done) -> None:
    """Raise unless two engines loaded the same: otherwise their times cannot be compared."""
    if done.counts != reference.counts:
        raise RuntimeError(
            f"{done.counts} differs from the counts of the reference: {reference.counts}"
        )


def _export(folder: Path, user: int) -> None:
    export(folder / f"user{user}.zip", user, _ROWS_OF_A_USER)


@contextmanager
def _engines(folder: Path) -> Iterator[list[_Engine]]:
    """Yield the engines, the reference first."""
    processes = _Engine(_TWO_PROCESSES, 2)
    if not _CLUSTERS:
        yield [processes]
        return
    small, large = folder / "one", folder / "two"
    with _cluster(small, 1) as one, _cluster(large, 2) as two:
        yield [
            processes,
            _Engine("1 Spark worker", 1, one, small),
            _Engine(_TWO_WORKERS, 2, two, large),
        ]


@contextmanager
def _cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """Start a master and workers of one core each."""
    folder.mkdir()
    cluster = Cluster(folder, Layout(workers=workers, cores=1, memory_mb=512))
    try:
        cluster.start(Progress(Console(quiet=True)))
        yield cluster
    finally:
        cluster.stop()
