"""A session with a Spark master: begun, used, and ended without a trace in this process."""

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from songswap.errors import WorkerLost
from songswap.parallel.spark_runtime import JAVA_OPTIONS, java_environment

if TYPE_CHECKING:
    from pyspark import SparkContext

SECRET = "SONGSWAP_SPARK_SECRET"  # noqa: S105  (the name of a setting)
_CONNECT_S = 10
_LOG = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


def secret_configuration(secret: str) -> dict[str, str]:
    """What makes the parts of a cluster prove that they know a secret, and encrypt their talk."""
    if not secret:
        return {}
    return {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secret,
        "spark.network.crypto.enabled": "true",
    }


def as_properties(configuration: Mapping[str, str]) -> str:
    """The text of a `spark-defaults.conf`."""
    return "".join(f"{name} {value}\n" for name, value in configuration.items())


@contextmanager
def session(master: str, cores: int) -> Iterator["SparkContext"]:
    """A context of Spark. Only one can be open in a process.

    Args:
        master: the address of a master, `spark://…` or `local[…]`.
        cores: how many of the cluster's cores it takes, at most.

    Raises:
        SettingsError: the extra `spark` is not installed.
        WorkerLost: nobody answers at the master's address, or it does not take the session.
    """
    address = own_address(master)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="songswap-spark-")))
        environment = java_environment(address, folder)
        (folder / "log4j2.properties").write_text(_LOG)
        # In a file, for arguments stand in the list of processes.
        (folder / "spark-defaults.conf").write_text(
            as_properties(
                {
                    "spark.master": master,
                    "spark.app.name": "songswap",
                    "spark.cores.max": str(cores),
                    "spark.driver.host": address,
                    "spark.driver.bindAddress": address,
                    "spark.driver.memory": "512m",
                    "spark.driver.extraJavaOptions": JAVA_OPTIONS,
                    "spark.executor.memory": "512m",
                    "spark.executor.extraJavaOptions": JAVA_OPTIONS,
                    "spark.local.dir": str(folder),
                    "spark.ui.enabled": "false",
                    "spark.ui.showConsoleProgress": "false",
                    **secret_configuration(os.environ.get(SECRET, "")),
                }
            )
        )
        stack.enter_context(_environment(environment))
        yield stack.enter_context(_context(folder / "driver.log", master))


def own_address(master: str) -> str:
    """The address that this machine reaches a master from: all who work for it reach us there.

    Raises:
        WorkerLost: nobody answers there.
    """
    if not master.startswith("spark://"):
        return "127.0.0.1"
    problem = ""
    for place in master.removeprefix("spark://").split(","):
        host, _, port = place.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), _CONNECT_S) as connection:
                return str(connection.getsockname()[0])
        except (OSError, ValueError) as error:
            problem = str(error)
    raise WorkerLost(
        f"No Spark master answers at {master} ({problem}). Nothing was done. Start a cluster with "
        "'songswap spark up', or name another with --master."
    )


@contextmanager
def _context(log: Path, master: str) -> Iterator["SparkContext"]:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # it has no types
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway

    with log.open("wb") as output:
        context = gateway = None
        try:
            gateway = launch_gateway(  # type: ignore[no-untyped-call]  # it has no types
                popen_kwargs={"stdout": output, "stderr": output}
            )
            with _kept_signal():
                context = SparkContext(conf=SparkConf(), gateway=gateway)
        except (Py4JError, PySparkException) as error:
            raise WorkerLost(
                f"The Spark master {master} did not take the work. Nothing was done. The end of "
                f"what Spark said:\n{_tail(log)}"
            ) from error
        else:
            yield context
        finally:
            if context is not None:
                context.stop()
            if gateway is not None:
                # Spark would keep its Java until this process ends.
                SparkContext._gateway = SparkContext._jvm = None
                gateway.shutdown()
                gateway.proc.stdin.close()
                gateway.proc.wait()


def _tail(log: Path, lines: int = 8) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    """PySpark reads from this process's environment what it starts Java with, and adds to it."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _kept_signal() -> Iterator[None]:
    """PySpark puts a handler of its own in the place of that for Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
