"""Work spread over processes of this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing.connection import Connection
from typing import TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")


def spread(
    work: Callable[[Unit], Result], units: Iterable[Unit], processes: int
) -> Iterator[Result]:
    """Do the work for each unit, and give the results as they come.

    The first error ends it and is raised as it is. When the caller stops, or is killed, the
    processes end at once with whatever they have in hand.

    Args:
        work: a function of a module, or a `functools.partial` of one: it is pickled.
        processes: how many go side by side; 1 is this process alone.
    """
    if processes == 1:
        yield from map(work, units)
        return
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    with (
        theirs,
        ours,
        ProcessPoolExecutor(
            processes, mp_context=context, initializer=_end_with, initargs=(theirs,)
        ) as pool,
    ):
        waiting: set[Future[Result]] = set()
        left = iter(units)
        try:
            while True:
                # No more than are needed to keep all busy: units may be many.
                more = islice(left, 2 * processes - len(waiting))
                waiting |= {pool.submit(work, unit) for unit in more}
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for one in done:
                    yield one.result()
        except BaseException:
            ours.close()
            raise


def _end_with(parent: Connection) -> None:
    """End this process as soon as the other end of the pipe is closed, by whatever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this

    def watch() -> None:
        parent.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
