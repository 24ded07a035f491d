"""Eight loaders at once: how long they wait for each other while they replay an archive.

S3 is 30 ms away, behind a proxy in a process of its own.
"""

import asyncio
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import uvloop

from benchmarks import archived, services
from benchmarks.measurement import Measurement, OnProgress, value
from benchmarks.memory import sampled
from benchmarks.size import size

_LOADERS = 8
_OBJECTS = size(4_000, 40)
_LISTENERS = size(800, 16)
_LATENCY_S = 0.03
_SAMPLE_S = 0.05
_CHUNK = 2**16


class _Samples:
    """Sessions of the loaders in a warehouse, counted again and again, and those that waited."""

    def __init__(self) -> None:
        self.sessions = 0
        self.waiting = 0


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Replay with eight processes, and sample what their sessions wait for."""
    with services.postgres(folder) as server, services.object_store(folder) as store:
        on_progress(f"making an archive of {_OBJECTS:,} responses")
        archived.archive(services.archive_of(store), _OBJECTS, range(1, _LISTENERS + 1))
        with services.warehouse(server) as dsn, _distant(store.port) as url:
            services.add_users(dsn, _LISTENERS)
            environment = services.environment(dsn, store, folder, url)
            on_progress(f"replay, {_LOADERS} processes")
            start = time.perf_counter()
            with _sampled(dsn) as samples:
                done = subprocess.run(
                    [
                        *(sys.executable, "-m", "songswap.cli.main", "replay", "--json"),
                        *("--processes", str(_LOADERS)),
                    ],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
            took = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"songswap replay failed: {done.stderr[-2000:]}")
    what = f"replay of {_OBJECTS:,} objects, {_LOADERS} loaders, S3 at {_LATENCY_S * 1000:g} ms"
    yield value(what, json.loads(done.stdout)["responses"] / took, "objects/s")
    share = samples.waiting / max(1, samples.sessions)
    yield value("share of a loader's time spent waiting for others", share, "", at_most=0.05)


@contextmanager
def _sampled(dsn: str) -> Iterator[_Samples]:
    """Sample how many sessions wait for a lock of another one: of a row, table or any other."""
    samples = _Samples()
    query = (
        "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'"
        " AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:

        def sample() -> None:
            for sessions, waiting in connection.execute(query):
                samples.sessions += sessions
                samples.waiting += waiting

        with sampled(sample, _SAMPLE_S):
            yield samples


@contextmanager
def _distant(port: int) -> Iterator[str]:
    """Yield the URL of an endpoint that is further away than the one on a port of this machine."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=_relay, args=(port, sender), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}"
    finally:
        process.terminate()
        process.join()


def _relay(port: int, started: Connection) -> None:
    async def copy(
        source: asyncio.StreamReader, target: asyncio.StreamWriter, latency_s: float
    ) -> None:
        try:
            while chunk := await source.read(_CHUNK):
                await asyncio.sleep(latency_s)
                target.write(chunk)
                await target.drain()
        except ConnectionError:
            pass  # either side has ended
        finally:
            target.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, to_behind = await asyncio.open_connection("127.0.0.1", port)
        # A request fits into a chunk, so that each waits once.
        await asyncio.gather(copy(reader, to_behind, _LATENCY_S), copy(behind, writer, 0))

    async def main() -> None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        started.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())
