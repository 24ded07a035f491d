"""Bulk work as users start it: a replay and imports, on this machine's processes and on Spark.

Each command runs once, into a new warehouse. All share the cores of this machine with PostgreSQL
and the S3 endpoint: the costs of a cluster show here, its gains from more machines do not.
``SONGSWAP_BENCH_OBJECTS=200000 SONGSWAP_BENCH_ROWS=5000000`` is the full size.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from rich.console import Console

from benchmarks import services
from benchmarks.imports import export
from benchmarks.measurement import Measurement, OnProgress, throughput, value
from benchmarks.memory import descendants, sampled, total_memory
from benchmarks.pages import Page, hourly
from benchmarks.size import size
from songswap import settings
from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.postgres import Postgres
from songswap.parallel.processes import run_parallel
from songswap.parallel.spark_cluster import Cluster, Layout
from songswap.storage import keys
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse
from songswap.supervision.process import marked
from songswap.terminal.progress import Progress

_OBJECTS = int(os.environ.get("SONGSWAP_BENCH_OBJECTS", size(3_000, 20)))
_ROWS = int(os.environ.get("SONGSWAP_BENCH_ROWS", size(300_000, 200)))
_ROWS_OF_A_USER = size(50_000, 100)
_EXPORTS = max(1, _ROWS // _ROWS_OF_A_USER)
_MAKERS = 2
"""Processes that make the data."""
_LISTENERS = min(4_000, max(_MAKERS, _OBJECTS // 10))
_PUT_BATCH = 500
_CLUSTERS = bool(size(1, 0))
"""The tiny size leaves out Spark, which would take a minute more."""
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

    ``waiting`` is the share of the sessions' time that they spent waiting for locks.
    """

    seconds: float
    memory: float
    waiting: float
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
        archived = partial(_archive, services.archive_of(store), _OBJECTS // _MAKERS)
        deque(run_parallel(archived, parts, processes=_MAKERS), 0)
        with _engines(folder) as engines:

            def execute(engine: _Engine, *command: str) -> _Done:
                on_progress(f"{command[0]}: {engine.name}")
                return _execute(server, store, folder, engine, command)

            for engine in (engines[0], engines[-1]):
                done = execute(engine, *_NOTHING)
                yield value(f"an empty replay, {engine.name}", done.seconds, "s")
            # In this order, because imports add to the archive that a replay reads.
            yield from _compared(engines, execute, "objects", "replay")
            yield from _compared(engines, execute, "rows", "import", str(exports))


def _compared(
    engines: list[_Engine], execute: Callable[..., _Done], counted: str, *command: str
) -> Iterator[Measurement]:
    """Compare each engine's throughput with the first one's."""
    first, *others = engines
    reference = execute(first, *command)
    amount = reference.counts[counted]
    what, unit = f"{command[0]} of {amount:,} {counted}", f"{counted}/s"
    per_second = amount / reference.seconds
    yield value(f"{what}, {first.name}", per_second, unit)
    yield from _memory_and_waits(reference)
    for engine in others:
        done = execute(engine, *command)
        _require_same(done, reference)
        name = f"the same, {engine.name}, against {first.name}"
        yield throughput(name, amount / done.seconds, per_second, unit)
        yield from _memory_and_waits(done)


def _memory_and_waits(done: _Done) -> Iterator[Measurement]:
    yield value("memory of all its processes", done.memory, "MB")
    yield value("share of the sessions' time spent waiting for locks", done.waiting, "")


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

        with total_memory(pids) as memory, _lock_samples(dsn) as samples:
            output, errors = process.communicate()
            took = time.perf_counter() - start
        if process.returncode:
            raise RuntimeError(f"songswap {command[0]} failed: {errors[-2000:]}")
        waiting = sum(sample.waiting for sample in samples)
        sessions = sum(sample.sessions for sample in samples)
        return _Done(took, memory.peak, waiting / max(1, sessions), json.loads(output))


class _Sessions(NamedTuple):
    """How many sessions of a warehouse there were at a moment, and how many waited for a lock."""

    sessions: int
    waiting: int


@contextmanager
def _lock_samples(dsn: str) -> Iterator[list[_Sessions]]:
    """Sample how many sessions of a warehouse wait for locks."""
    samples: list[_Sessions] = []
    query = (
        "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:

        def sample() -> None:
            samples.extend(_Sessions(*row) for row in connection.execute(query))

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


def _archive(bucket: settings.Archive, objects: int, users: range) -> None:
    """Archive so many responses of these users."""
    asyncio.run(_put(Archive(bucket), hourly(users, objects)))


async def _put(archive: Archive, responses: Iterator[tuple[datetime, Page]]) -> None:
    while batch := list(islice(responses, _PUT_BATCH)):
        spooled = [
            RawResponse(page.user_id, keys.for_hour(page.user_id, at), at, page.gzipped, id=number)
            for number, (at, page) in enumerate(batch)
        ]
        outcome = await archive.put_all(spooled)
        if outcome.problems:
            raise RuntimeError(f"S3 did not accept all: {next(iter(outcome.problems.values()))}")


@contextmanager
def _engines(folder: Path) -> Iterator[list[_Engine]]:
    """Yield the engines, the reference first."""
    processes = _Engine("2 processes", 2)
    if not _CLUSTERS:
        yield [processes, _Engine("1 process", 1)]
        return
    small, large = folder / "one", folder / "two"
    with _cluster(small, 1) as one, _cluster(large, 2) as two:
        yield [
            processes,
            _Engine("1 Spark worker", 1, one, small),
            _Engine("2 Spark workers", 2, two, large),
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
