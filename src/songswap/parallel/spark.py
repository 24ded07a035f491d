"""Run units of work on the workers of a Spark cluster.

`songswap.parallel.processes` does the same on this machine.

    units ──▶ one job, one stage, a task each ──▶ an accumulator ──▶ results, as tasks end

Spark decides where a task runs, and runs it again where its worker was lost or where it speculates.
It adds the updates of a task of a job's last stage once, whichever of its attempts ends first.
"""

import base64
import logging
import os
import pickle
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import songswap
from songswap.errors import SongSwapError, WorkerLost
from songswap.installation import source
from songswap.parallel.spark_runtime import spark_home
from songswap.parallel.spark_session import SECRET, session

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.accumulators import Accumulator

Unit = TypeVar("Unit")
Result = TypeVar("Result")
_Outcome = tuple[Any, Exception | None]
"""A unit's result, or its error."""

_WORK = "SONGSWAP_SECRET_WORK"
"""The variable of executors that holds the work, with its settings: Spark redacts SECRET."""

_CODE = "SONGSWAP_CODE"
"""The variable of executors that holds the digest of the code that they have to have."""

_CHECK_S = 0.5
_REMEDY = (
    "What was done until then stays. Check that workers have 512 MB and a core free, that "
    f"their logs show no errors, and that {SECRET} is what the master has; then start again."
)
_SAME = (
    "Workers need the same version of this package and of Python as this machine, at the same path."
)
_OTHER_CODE = ("ModuleNotFoundError", "ImportError", "AttributeError", "PYTHON_VERSION_MISMATCH")
"""Signs of a worker with another package, with none, or with another Python."""
_CALLING = "An error occurred while calling"
"""How Py4J begins, before the reason."""

_log = logging.getLogger(__name__)


def run_parallel(
    work: Callable[[Unit], Result],
    units: Iterable[Unit],
    master: str,
    *,
    at_once: int,
    name: str = "units of work",
    configuration: Mapping[str, str] | None = None,
    patience_s: float = 60,
) -> Iterator[Result]:
    """Yield the results of all units, in the order in which they end.

    Begins, with a session of its own, with the first result requested. A unit whose worker is lost
    is begun again by another, perhaps while the lost one still works on it for a moment: the work
    must tolerate that. The first error ends it, and cuts off the units in progress.

    Args:
        work: does one unit, with the package of the worker's machine; pickled by its name.
        units: each is finished once.
        master: a master's address, `spark://host:port` or `local[cores]`.
        at_once: how many units are in progress, at most; the cluster's cores are a limit too.
        name: of the job, in Spark's web UI.
        configuration: settings of Spark beside those of `songswap.parallel.spark_session`.
        patience_s: how many seconds there may be no worker at all.

    Raises:
        SettingsError: the extra `spark` is not installed, or a setting is not the caller's.
        WorkerLost: the master or its workers are unreachable, or processes die with a unit, or a
            worker's machine has another version of the package.
        Exception: the work's own, as it is, with its traceback as a note.
    """
    spark_home()
    units = list(units)
    if not units:
        return
    thread = ThreadPoolExecutor(1)
    try:
        with session(master, at_once, name, configuration or {}) as context:
            context.environment[_WORK] = base64.b64encode(pickle.dumps(work)).decode()
            context.environment[_CODE] = source.digest()
            if context.uiWebUrl:
                _log.info("Spark shows '%s' at %s.", name, context.uiWebUrl)
            workers = _Workers(context, master, patience_s)
            yield from _Job(context, thread, name, units).results(workers.check)
    finally:
        # Not before the session's Java has ended: Spark never ends a job that is submitted while
        # the session is being stopped.
        thread.shutdown()


def attempt(work: Callable[[Unit], Result], unit: Unit) -> tuple[Result | None, Exception | None]:
    """Do a unit; an error is returned, for Spark would repeat the unit and raise its own."""
    try:
        return work(unit), None
    except Exception as error:  # noqa: BLE001  (the caller raises it)
        error.add_note(traceback.format_exc())
        return None, _portable(error)


class _Job:
    """A job of one stage with a task for each unit.

    Args:
        context: the session.
        thread: waits for the end of the job.
        name: of the job.
        units: one or more.
    """

    def __init__(
        self, context: "SparkContext", thread: ThreadPoolExecutor, name: str, units: Sequence[Any]
    ) -> None:
        from pyspark.accumulators import AddingAccumulatorParam

        self._context = context
        self._name = name
        self._units = units
        adding = AddingAccumulatorParam(list[_Outcome]())
        self._ended = context.accumulator(list[_Outcome](), adding)
        self._job: Future[None] = thread.submit(_run, context, name, units, self._ended)

    def results(self, check: Callable[[], None]) -> Iterator[Any]:
        """Yield results as tasks end; raise the first error, and end the job with it.

        Args:
            check: called twice a second; may raise.

        Raises:
            WorkerLost: Spark gave a unit up, or has ended.
        """
        count, is_last = 0, False
        while not is_last:
            is_last = self._wait(check)  # before the results are read, or some were missed
            for result, error in self._ended.value[count:]:
                if error is not None:
                    self._cancel(error)
                    raise error
                count += 1
                yield result
        if count != len(self._units):
            raise WorkerLost(f"Spark returned {count} of {len(self._units)} results. {_REMEDY}")

    def _wait(self, check: Callable[[], None]) -> bool:
        """Wait for the end of the job, for half a second; return whether it has ended."""
        from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # it has no types

        try:
            wait([self._job], _CHECK_S)
            check()
            if not self._job.done():
                return False
            self._job.result()
        except (Py4JError, ConnectionError) as error:  # its text is fetched from Java
            raise WorkerLost(
                "Spark could not finish a unit of work. What other units have done stays; "
                f"start again when the reason is gone: {_reason(error)}"
            ) from error
        return True

    def _cancel(self, error: Exception) -> None:
        """End the job; Spark's web UI shows the reason."""
        # Another error's text may quote rows.
        text = f": {error}" if isinstance(error, SongSwapError) else ""
        self._context._jsc.sc().cancelJobGroup(self._name, f"{type(error).__name__}{text}")


def _run(
    context: "SparkContext",
    name: str,
    units: Sequence[Any],
    ended: "Accumulator[list[_Outcome]]",
) -> None:
    """Run the job until its end; in a thread of its own, for Spark names jobs by their thread."""
    context.setJobGroup(name, f"{name}: {len(units)}, a task each", interruptOnCancel=True)
    context.setLocalProperty("callSite.short", name)
    context.parallelize(units, len(units)).foreachPartition(partial(_do, ended))


def _do(ended: "Accumulator[list[_Outcome]]", units: Iterable[Any]) -> None:
    """Do the unit of a task, in a process of an executor with the code of the driver."""
    if source.digest() != os.environ[_CODE]:
        ended.add([(None, _other_code())])
        return
    work = _work()
    for unit in units:
        ended.add([attempt(work, unit)])


def _other_code() -> WorkerLost:
    return WorkerLost(
        f"The worker on {socket.gethostname()} has other code of this package, in"
        f" {Path(songswap.__file__).parent}: it did none of its units. {_SAME} What other units"
        " have done stays; start again when they are the same."
    )


@cache
def _work() -> Callable[[Any], Any]:
    """The work, in a process of an executor."""
    work: Callable[[Any], Any] = pickle.loads(base64.b64decode(os.environ[_WORK]))  # noqa: S301  (the session's)
    return work


def _portable(error: Exception) -> Exception:
    """The error, or its text if it cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own words)
    except Exception:  # noqa: BLE001  (its class may do anything)
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _reason(error: Exception) -> str:
    """The error's reason, without the stacks of Java and Python."""
    _, _, text = str(error).partition("\n\tat ")[0].rpartition("most recent failure: ")
    # A Python that did not begin says why in the lines after this one.
    _, _, text = text.rpartition("Error from python worker:")
    lines = [line.strip(" :") for line in text.splitlines() if "SQLSTATE: " not in line]
    lines = [line for line in lines if line and not line.startswith(_CALLING)] or [text]
    # Of Python's the last line says what was raised.
    reason = lines[-1 if "Traceback" in text else 0][:500]
    return f"{reason}. {_SAME}" if any(sign in reason for sign in _OTHER_CODE) else reason


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
