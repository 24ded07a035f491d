"""More workers: the DAG with CeleryExecutor on one worker process, and on two.

The run is not held back by a rate limit. On two cores the workers share them with the simulated
Spotify (2 to 5 ms an answer), PostgreSQL and Airflow: more cores would show more.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.airflow_run import Celery, site
from benchmarks.figure import Figure, speed
from benchmarks.size import size
from songswap.dev.stack.loopback import free_port
from songswap.supervision.process import Process, stop_all

_USERS = size(2_000, 3)
_BATCH = "250"


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """The time of a run with one worker against that with two."""
    with site(folder, SONGSWAP_BATCH_SIZE=_BATCH) as here, ExitStack() as started:
        told("Airflow starts")
        broker = started.enter_context(_redis(folder))
        airflow = started.enter_context(here.airflow(partial(Celery, broker=broker)))
        taken = []
        for number in (1, 2):
            worker = airflow.worker(f"worker-{number}")
            started.callback(stop_all, [worker], timeout_s=5)
            worker.start()
            worker.wait_ready(partial(_listens, worker), 120)
            told(f"{_USERS:,} users, {number} of 2 workers")
            with here.world(_USERS):
                taken.append(here.load(airflow).seconds)
    one, two = taken
    yield speed(f"{_USERS:,} users on two worker processes, against one", two, one)


def _listens(worker: Process) -> bool:
    return " ready." in worker.output()


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """A Redis that keeps nothing on disk; its address."""
    port = free_port()
    server = Process(
        "Redis",
        [
            *("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""),
        ],
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
