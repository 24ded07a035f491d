"""More workers: the DAG with CeleryExecutor on one worker process, and on two.

There is no rate limit. The workers share two cores with the simulated Spotify (2 ms a
response), PostgreSQL and Airflow: more cores would show a larger speedup.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.airflow_run import Celery, open_site
from benchmarks.measurement import Measurement, OnProgress, speedup
from benchmarks.size import size
from songswap.dev.stack.loopback import free_port
from songswap.supervision.process import Process, stop_all

_USERS = size(2_000, 3)
_BATCH = "250"


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare a run on two workers with a run on one."""
    with open_site(folder, SONGSWAP_BATCH_SIZE=_BATCH) as site, ExitStack() as started:
        on_progress("Airflow starts")
        broker = started.enter_context(_redis(folder))
        airflow = started.enter_context(site.airflow(partial(Celery, broker=broker)))
        durations = []
        for number in (1, 2):
            worker = airflow.worker(f"worker-{number}")
            started.callback(stop_all, [worker], timeout_s=5)
            worker.start()
            worker.wait_ready(partial(_ready, worker), 120)
            on_progress(f"{_USERS:,} users, {number} of 2 workers")
            with site.world(_USERS):
                durations.append(site.load(airflow).seconds)
    one, two = durations
    yield speedup(f"{_USERS:,} users on two worker processes, against one", two, one)


def _ready(worker: Process) -> bool:
    return " ready." in worker.output()


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """Run a Redis that stores nothing on disk, and yield its URL."""
    port = free_port()
    server = Process(
        "Redis",
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""],
        log=folder / "redis.log",
        mark=folder / "redis",
        environment={"PATH": os.environ["PATH"]},
    )
    server.start()
    try:
        server.wait_ready(lambda: "Ready to accept connections" in server.output(), 30)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.stop()
