"""Bulk work as users start it: a replay and imports, on this machine's processes and on Spark.

Each command runs once, into a new warehouse. All share the cores of this machine, with PostgreSQL
and the S3 endpoint: what a cluster gains from machines of its own does not show here, what it costs
does. ``SONGSWAP_BENCH_OBJECTS=200000 SONGSWAP_BENCH_ROWS=5000000`` is the full size.
"""

import asyncio
import json
import os
import statistics
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
from benchmarks.figure import Figure, bound, pace
from benchmarks.imports import export
from benchmarks.memory import descendants, sampled, together
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
_OF_A_USER = size(50_000, 100)
_EXPORTS = max(1, _ROWS // _OF_A_USER)
_MAKERS = 2
"""Processes that make what is loaded then."""
_LISTENERS = min(4_000, max(_MAKERS, _OBJECTS // 10))
_PUT_AT_ONCE = 500
_CLUSTERS = bool(size(1, 0))
"""The tiny size is without Spark, which takes a minute to say that it counts the same."""
_NOTHING = ("replay", "--from", "2020-01-01", "--to", "2020-01-02")


class _Engine(NamedTuple):
    """What work is spread over, ``at_once`` units under way; ``folder`` is that of the cluster."""

    name: str
    at_once: int
    cluster: Cluster | None = None
    folder: Path | None = None

    @property
    def options(self) -> list[str]:
        """What the command is told."""
        run_parallel = ["--processes", str(self.at_once)]
        if self.cluster is None:
            return run_parallel
        return [*run_parallel, "--engine", "spark", "--master", self.cluster.url]


class _Done(NamedTuple):
    """A command's seconds, the memory of all its processes in MB, and what it counted.

    ``locked`` is the share of the time in which a load of the warehouse was under way: one alone
    can be.
    """

    seconds: float
    memory: float
    locked: float
    counts: dict[str, Any]


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Each kind of work with each engine, against two processes of this machine."""
    exports = folder / "exports"
    exports.mkdir()
    told(f"making {_EXPORTS} exports")
    deque(run_parallel(partial(_export, exports), range(1, _EXPORTS + 1), processes=_MAKERS), 0)
    with services.postgres(folder) as server, services.object_store(folder) as store:
        told(f"making an archive of {_OBJECTS:,} answers")
        each = _LISTENERS // _MAKERS
        parts = [range(first, first + each) for first in range(1, each * _MAKERS, each)]
        archived = partial(_archive, services.archive_of(store), _OBJECTS // _MAKERS)
        deque(run_parallel(archived, parts, processes=_MAKERS), 0)
        with _engines(folder) as engines:

            def measured(engine: _Engine, *command: str) -> _Done:
                told(f"{command[0]}: {engine.name}")
                return _measured(server, store, folder, engine, command)

            for engine in (engines[0], engines[-1]):
                done = measured(engine, *_NOTHING)
                yield bound(f"a replay of nothing, {engine.name}", done.seconds, "s")
            # In this order: what is imported is in the archive then, and a replay has it too.
            yield from _compared(engines, measured, "objects", "replay")
            yield from _compared(engines, measured, "rows", "import", str(exports))


def _compared(
    engines: list[_Engine], measured: Callable[..., _Done], counted: str, *command: str
) -> Iterator[Figure]:
    """What each engine does in a second, against the first of them."""
    first, *others = engines
    reference = measured(first, *command)
    amount = reference.counts[counted]
    what, unit = f"{command[0]} of {amount:,} {counted}", f"{counted}/s"
    a_second = amount / reference.seconds
    yield bound(f"{what}, {first.name}", a_second, unit)
    yield from _besides(reference)
    for engine in others:
        done = measured(engine, *command)
        _require_same(done, reference)
        name = f"the same, {engine.name}, against {first.name}"
        yield pace(name, amount / done.seconds, a_second, unit)
        yield from _besides(done)


def _besides(done: _Done) -> Iterator[Figure]:
    yield bound("memory of all its processes", done.memory, "MB")
    yield bound("share of the time in which one is loading", done.locked, "")


def _measured(
    server: Postgres,
    store: ObjectStore,
    folder: Path,
    engine: _Engine,
    command: tuple[str, ...],
) -> _Done:
    """A command on an empty warehouse with all users."""
    with services.warehouse(server) as dsn:
        services.add_users(dsn, max(_LISTENERS, _EXPORTS))
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "songswap.cli.main", *command, *engine.options, "--json"],
            env=services.environment(dsn, store, folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def pids() -> list[int]:
            return descendants(process.pid) + (marked(engine.folder) if engine.folder else [])

        with together(pids) as memory, _lock_watched(dsn) as looks:
            output, errors = process.communicate()
            took = time.perf_counter() - begun
        if process.returncode:
            raise RuntimeError(f"songswap {command[0]} failed: {errors[-2000:]}")
        return _Done(took, memory.most, statistics.fmean(looks), json.loads(output))


@contextmanager
def _lock_watched(dsn: str) -> Iterator[list[bool]]:
    """Whether somebody had the lock of all loads of a warehouse, time after time."""
    looks: list[bool] = []
    held = (
        "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted)"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:

        def look() -> None:
            for (one,) in connection.execute(held):
                looks.append(one)

        with sampled(look):
            yield looks


def _require_same(done: _Done, reference: _Done) -> None:
    """Two engines have to load the same, or their times are not of the same work."""
    if done.counts != reference.counts:
        raise RuntimeError(f"{done.counts} is not what the reference counts: {reference.counts}")


def _export(folder: Path, user: int) -> None:
    export(folder / f"user{user}.zip", user, _OF_A_USER)


def _archive(where: settings.Archive, objects: int, users: range) -> None:
    """Archive so many answers of these users."""
    asyncio.run(_put(Archive(where), hourly(users, objects)))


async def _put(archive: Archive, answers: Iterator[tuple[datetime, Page]]) -> None:
    while some := list(islice(answers, _PUT_AT_ONCE)):
        kept = [
            RawResponse(page.user_id, keys.for_hour(page.user_id, at), at, page.gzipped, id=number)
            for number, (at, page) in enumerate(some)
        ]
        outcome = await archive.put_all(kept)
        if outcome.problems:
            raise RuntimeError(f"S3 did not take all: {next(iter(outcome.problems.values()))}")


@contextmanager
def _engines(folder: Path) -> Iterator[list[_Engine]]:
    """The reference first."""
    processes = _Engine("2 processes", 2)
    if not _CLUSTERS:
        yield [processes, _Engine("1 process", 1)]
        return
    ones, twos = folder / "one", folder / "two"
    with _cluster(ones, 1) as one, _cluster(twos, 2) as two:
        yield [
            processes,
            _Engine("1 Spark worker", 1, one, ones),
            _Engine("2 Spark workers", 2, two, twos),
        ]


@contextmanager
def _cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A master and workers of one core each."""
    folder.mkdir()
    cluster = Cluster(folder, Layout(workers=workers, cores=1, memory_mb=512))
    try:
        cluster.start(Progress(Console(quiet=True)))
        yield cluster
    finally:
        cluster.stop()
