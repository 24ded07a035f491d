"""Units of work spread over the workers of a Spark cluster.

`songswap.parallel.processes` does the same on this machine.

Each unit is a job of one task. So its result comes when it is there, exactly as many units are
under way as were asked for, and Spark gives the unit to another worker when its own is lost.
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
_LOOK_S = 1.0
_REMEDY = (
    "What was done until then stays. See that there are workers with 512 MB and a core free, that "
    f"their logs tell of no trouble, and that {SECRET} is what the master has; then start again."
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
    """The results of all units, in the order in which they end.

    Begins, with a session of its own, when the first result is asked for. A unit whose worker is
    lost is begun again by another, perhaps while the lost one still works on it for a moment: the
    work must stand that. The first error ends it, and cuts off the units that are under way.

    Args:
        work: does one unit, with the package of the machine that it comes to; is pickled.
        units: what is to be done, each to its end once.
        master: a master's address, `spark://host:port` or `local[cores]`.
        at_once: how many units are under way at once, at most; the cluster's cores are a limit too.
        patience_s: how many seconds there may be no worker at all.

    Raises:
        SettingsError: the extra `spark` is not installed.
        WorkerLost: the master or its workers are away, or processes die with a unit.
        Exception: what the work raised, as it is, with its traceback as a note.
    """
    spark_home()
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # it has no types

    threads = ThreadPoolExecutor(at_once)
    try:
        with session(master, at_once) as context:
            crew = _Crew(context, master, patience_s)

            def submit(unit: Unit) -> "Future[Result]":
                return threads.submit(_run, context, work, unit)

            try:
                yield from as_they_end(submit, units, at_once, look=crew.look, look_every_s=_LOOK_S)
            except Py4JError as trouble:  # whose text Java has to tell
                raise WorkerLost(
                    "Spark could not bring a unit of work to its end. What other units have done "
                    f"stays; start again when the reason is gone: {_reason(trouble)}"
                ) from trouble
    finally:
        # Not before the session's Java has ended: to a job that comes while the session is being
        # stopped, Spark never answers.
        threads.shutdown()


def attempt(work: Callable[[Unit], Result], unit: Unit) -> tuple[Result | None, Exception | None]:
    """Do a unit; an error is a result too, for Spark would repeat the unit and raise its own."""
    try:
        return work(unit), None
    except Exception as error:  # noqa: BLE001  (it is raised by the one who asked)
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
    """What went wrong, without the stacks of Java."""
    _, _, told = str(error).rpartition("most recent failure: ")
    return told.partition("\n")[0][:500]


class _Crew:
    """Those who work for a session.

    Args:
        context: the session.
        master: its master.
        patience_s: how many seconds there may be nobody.
    """

    def __init__(self, context: "SparkContext", master: str, patience_s: float) -> None:
        self._context = context
        self._master = master
        self._patience_s = patience_s
        self._count = 0
        self._seen_at = time.monotonic()

    def look(self) -> None:
        """Tell of those who were lost; raise WorkerLost when nobody has been there for long."""
        if self._master.startswith("local"):
            return
        spark = self._context._jsc.sc()
        if spark.isStopped():
            raise WorkerLost(f"{self._master} gave the work up. {_REMEDY}")
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
