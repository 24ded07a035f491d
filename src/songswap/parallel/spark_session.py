"""A session with a Spark master, which leaves no trace in this process."""

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from songswap.errors import SettingsError, WorkerLost
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
    """Return the settings by which parts of a cluster prove a secret, and encrypt their traffic."""
    if not secret:
        return {}
    return {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secret,
        "spark.network.crypto.enabled": "true",
    }


def as_properties(configuration: Mapping[str, str]) -> str:
    """The text of a `spark-defaults.conf`."""
    escaped = str.maketrans({"\\": r"\\", "\n": r"\n"})
    return "".join(f"{name} {value.translate(escaped)}\n" for name, value in configuration.items())


@contextmanager
def session(
    master: str, cores: int, name: str, configuration: Mapping[str, str]
) -> Iterator["SparkContext"]:
    """Yield a context of Spark. Only one can be open in a process.

    Args:
        master: the address of a master, `spark://…` or `local[…]`.
        cores: how many of the cluster's cores it takes, at most.
        name: of the work, in Spark's web UI.
        configuration: settings of Spark that win over those here.

    Raises:
        SettingsError: the extra `spark` is not installed, or a setting would break what a session
            promises.
        WorkerLost: nothing responds at the master's address, or it refuses the session.
    """
    address = own_address(master)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="songswap-spark-")))
        environment = java_environment(address, folder)
        (folder / "log4j2.properties").write_text(_LOG)
        # In a file: the list of processes shows arguments.
        (folder / "spark-defaults.conf").write_text(
            as_properties(
                {
                    **_defaults(name, address, folder),
                    **configuration,
                    **_fixed(master, cores, configuration),
                }
            )
        )
        stack.enter_context(_environment(environment))
        yield stack.enter_context(_context(folder / "driver.log", master))


def _defaults(name: str, address: str, folder: Path) -> dict[str, str]:
    """Return the settings that a caller may replace."""
    return {
        "spark.app.name": f"songswap {name}",
        "spark.driver.host": address,
        "spark.driver.bindAddress": address,
        "spark.driver.memory": "512m",
        "spark.driver.extraJavaOptions": JAVA_OPTIONS,
        "spark.executor.memory": "512m",
        "spark.executor.extraJavaOptions": JAVA_OPTIONS,
        "spark.local.dir": str(folder),
        "spark.python.daemon.module": "songswap.parallel.spark_daemon",
        # By TCP each task waits 40 ms for an acknowledgement that the kernel delays.
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.ui.port": "0",
        "spark.ui.showConsoleProgress": "false",
    }


def _fixed(master: str, cores: int, configuration: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that a caller may not replace.

    Raises:
        SettingsError: ``configuration`` has one of them.
    """
    fixed = {
        "spark.master": master,
        "spark.cores.max": str(cores),
        # Nobody has to log in to the web UI.
        "spark.ui.killEnabled": "false",
        **secret_configuration(os.environ.get(SECRET, "")),
    }
    if taken := sorted(fixed.keys() & configuration.keys()):
        raise SettingsError(
            f"{', '.join(taken)} cannot be set: --master, --processes and {SECRET} decide it."
            " Nothing was done."
        )
    return fixed


def own_address(master: str) -> str:
    """Return the address from which this machine reaches a master: its workers reach us there.

    Raises:
        WorkerLost: nothing responds at the master's address.
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
        f"No Spark master responds at {master} ({problem}). Nothing was done. Start a cluster with "
        "'songswap spark up', or name another with --master."
    )


@contextmanager
def _context(log: Path, master: str) -> Iterator["SparkContext"]:
    # At INFO it tells the end of each connection to Java.
    logging.getLogger("py4j").setLevel(logging.WARNING)
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
            with _restored_signal():
                context = SparkContext(conf=SparkConf(), gateway=gateway)
        except (Py4JError, PySparkException) as error:
            raise WorkerLost(
                f"The Spark master {master} refused the session. Nothing was done. The end of "
                f"Spark's log:\n{_tail(log)}"
            ) from error
        else:
            yield context
        finally:
            if context is not None:
                try:
                    context.stop()
                except ConnectionError:  # Java was killed: only this process's part can be stopped
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
    """Set the environment from which PySpark starts Java, and undo what PySpark adds to it."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _restored_signal() -> Iterator[None]:
    """Restore the handler of Ctrl-C, which PySpark replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
