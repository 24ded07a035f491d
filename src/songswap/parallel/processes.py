"""Run units of work on processes of this machine.

`songswap.parallel.spark` does the same on a cluster. For both, a unit is a small reference to data,
which the work reads itself, and the result is small too, such as counts. The work has to be a
module's function, or a partial of one: other processes import it by its name.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from songswap.errors import WorkerLost

Unit = TypeVar("Unit")
Result = TypeVar("Result")


def run_parallel(
    work: Callable[[Unit], Result], units: Iterable[Unit], *, processes: int
) -> Iterator[Result]:
    """Yield the results of all units, in the order in which they end.

    Begins with the first result requested. The first error ends it: no unit is begun any more, and
    those in progress are finished before it is raised. When the caller stops, or is killed, the
    processes end at once.

    Args:
        work: does one unit; pickled by its name.
        units: each is done once.
        processes: how many units are done at once; 1 is this process alone.

    Raises:
        WorkerLost: a process was killed with its unit, for lack of memory for example.
        Exception: the work's own, as it is.
    """
    if processes == 1:
        yield from map(work, units)
        return
    # Not forked: a thread of this process may hold a lock that no thread of the child would free.
    context = get_context("spawn")
    read_end, write_end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_end_with, initargs=(read_end,)
    )
    try:
        yield from as_they_end(lambda unit: pool.submit(work, unit), units, processes)
    except BrokenProcessPool as error:
        raise WorkerLost(
            "A worker process was killed, perhaps for lack of memory. What other units have done "
            "stays. Start again with fewer processes or more memory."
        ) from error
    except (GeneratorExit, KeyboardInterrupt):
        write_end.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        write_end.close()
        read_end.close()


def _end_with(parent: Connection) -> None:
    """End this process as soon as the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this

    def watch() -> None:
        parent.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def as_they_end(
    submit: Callable[[Unit], "Future[Result]"],
    units: Iterable[Unit],
    at_once: int,
    *,
    check: Callable[[], None] = lambda: None,
    check_every_s: float | None = None,
) -> Iterator[Result]:
    """Submit units, ``at_once`` at a time, and yield results as they end; raise the first error.

    Args:
        submit: begins a unit.
        units: taken from the iterable when their turn comes.
        at_once: how many are in progress, at most.
        check: called after each wait; may raise.
        check_every_s: how long to wait for a result before each check; no limit if not given.
    """
    waiting = iter(units)
    running = {submit(unit) for unit in islice(waiting, at_once)}
    while running:
        done, running = wait(running, check_every_s, FIRST_COMPLETED)
        check()
        results = [future.result() for future in done]
        running |= {submit(unit) for unit in islice(waiting, len(done))}
        yield from results
