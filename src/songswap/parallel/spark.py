"""Run units of work on the workers of a Spark cluster.

`songswap.parallel.processes` does the same on this machine.

Each unit is a job of one task: its result is returned as soon as it ends, the number of units in
progress is exact, and Spark gives a unit to another worker when its own is lost.
"""

import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from songswap.errors import WorkerLost
from songswap.parallel.processes import as_they_end
from songswap.parallel.spark_runtime import spark_home
from songswap.parallel.spark_session import SECRET, session

if TYPE_CHECKING:
    from pyspark import SparkContext

Unit = TypeVar("Unit")
Result = TypeVar("Result")
_CHECK_S = 1.0
_REMEDY = (
    "What was done until then stays. Check that workers have 512 MB and a core free, that "
    f"their logs show no errors, and that {SECRET} is what the master has; then start again."
)
_log = logging.getLogger(__name__)


def run_parallel(
    work: Callable[[Unit], Result],
    units: Iterable[Unit],
    master: str,
    *,
    at_once: int,
    patience_s: float = 60,
) -> Iterator[Result]:
    """Yield the results of all units, in the order in which they end.

    Begins, with a session of its own, with the first result requested. A unit whose worker is lost
    is begun again by another, perhaps while the lost one still works on it for a moment: the work
    must tolerate that. The first error ends it, and cuts off the units in progress.

    Args:
        work: does one unit, with the package of the worker's machine; pickled.
        units: each is finished once.
        master: a master's address, `spark://host:port` or `local[cores]`.
        at_once: how many units are in progress, at most; the cluster's cores are a limit too.
        patience_s: how many seconds there may be no worker at all.

    Raises:
        SettingsError: the extra `spark` is not installed.
        WorkerLost: the master or its workers are unreachable, or processes die with a unit.
        Exception: the work's own, as it is, with its traceback as a note.
    """
    spark_home()
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # it has no types

    threads = ThreadPoolExecutor(at_once)
    try:
        with session(master, at_once) as context:
            workers = _Workers(context, master, patience_s)

            def submit(unit: Unit) -> "Future[Result]":
                return threads.submit(_run, context, work, unit)

            try:
                yield from as_they_end(
                    submit, units, at_once, check=workers.check, check_every_s=_CHECK_S
                )
            except Py4JError as error:  # its text is fetched from Java
                raise WorkerLost(
                    "Spark could not finish a unit of work. What other units have done stays; "
                    f"start again when the reason is gone: {_reason(error)}"
                ) from error
    finally:
        # Not before the session's Java has ended: Spark never ends a job that is submitted while
        # the session is being stopped.
        threads.shutdown()


def attempt(work: Callable[[Unit], Result], unit: Unit) -> tuple[Result | None, Exception | None]:
    """Do a unit; an error is returned, for Spark would repeat the unit and raise its own."""
    try:
        return work(unit), None
    except Exception as error:  # noqa: BLE001  (the caller raises it)
        error.add_note(traceback.format_exc())
        return None, _portable(error)


def _run(context: "SparkContext", work: Callable[[Unit], Result], unit: Unit) -> Any:
    [(result, error)] = context.parallelize([unit], 1).map(partial(attempt, work)).collect()
    if error is not None:
        raise error
    return result


def _portable(error: Exception) -> Exception:
    """The error, or its text if it cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own words)
    except Exception:  # noqa: BLE001  (its class may do anything)
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _reason(error: Exception) -> str:
    """The error's reason, without the stacks of Java."""
    _, _, text = str(error).rpartition("most recent failure: ")
    return text.partition("\n")[0][:500]


class _Workers:
    """The workers of a session.

    Args:
        context: the session.
        master: its master.
        patience_s: how many seconds there may be none.
    """

    def __init__(self, context: "SparkContext", master: str, patience_s: float) -> None:
        self._context = context
        self._master = master
        self._patience_s = patience_s
        self._count = 0
        self._seen_at = time.monotonic()

    def check(self) -> None:
        """Log lost workers; raise `WorkerLost` when there has been none for ``patience_s``."""
        if self._master.startswith("local"):
            return
        spark = self._context._jsc.sc()
        if spark.isStopped():
            raise WorkerLost(f"{self._master} ended the session. {_REMEDY}")
        count = spark.getExecutorMemoryStatus().size() - 1  # the session itself is counted too
        now = time.monotonic()
        if count < self._count:
            _log.warning("A Spark worker was lost, %d are left: its units are done again.", count)
        if count:
            self._seen_at = now
        elif now - self._seen_at > self._patience_s:
            raise WorkerLost(
                f"No worker of {self._master} has taken the work for {self._patience_s:g} s. "
                f"{_REMEDY}"
            )
        self._count = count
