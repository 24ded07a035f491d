"""Units of work spread over processes of this machine.

`songswap.parallel.spark` does the same on a cluster. For both, a unit is a small reference to data,
which the work reads itself, and the result is small too, such as counts. The work has to be a
module's function, or a partial of one: other processes find it by its name.
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
    """The results of all units, in the order in which they end.

    Begins when the first result is asked for. The first error ends it: no unit is begun then, and
    those that are under way are brought to their end before it is raised. When the caller stops, or
    is killed, the processes end at once with whatever they have in hand.

    Args:
        work: does one unit; is pickled by its name.
        units: what is to be done, each once.
        processes: how many units are under way at once; 1 is this process alone.

    Raises:
        WorkerLost: a process was killed with its unit, for lack of memory for example.
        Exception: what the work raised, as it is.
    """
    if processes == 1:
        yield from map(work, units)
        return
    # Not forked: a thread of this process may hold a lock that no thread of the child would free.
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_end_with, initargs=(theirs,)
    )
    try:
        yield from as_they_end(lambda unit: pool.submit(work, unit), units, processes)
    except BrokenProcessPool as error:
        raise WorkerLost(
            "A process that worked was killed, perhaps for lack of memory. What other units have "
            "done stays. Start again with fewer processes or more memory."
        ) from error
    except (GeneratorExit, KeyboardInterrupt):
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


def _end_with(parent: Connection) -> None:
    """End this process as soon as the other end of the pipe is closed, by whatever."""
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
    look: Callable[[], None] = lambda: None,
    look_every_s: float | None = None,
) -> Iterator[Result]:
    """Submit the units, so many at once, and give the results as they come; raise the first error.

    Args:
        submit: begins a unit.
        units: are taken when their turn comes.
        at_once: how many are under way, at most.
        look: is called after each wait, and may raise.
        look_every_s: how long to wait for a result before looking, for ever if not given.
    """
    waiting = iter(units)
    running = {submit(unit) for unit in islice(waiting, at_once)}
    while running:
        done, running = wait(running, look_every_s, FIRST_COMPLETED)
        look()
        results = [future.result() for future in done]
        running |= {submit(unit) for unit in islice(waiting, len(done))}
        yield from results
