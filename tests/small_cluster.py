"""A small Spark cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from songswap.parallel.spark_cluster import Cluster, Layout
from songswap.parallel.spark_runtime import JAVA_OPTIONS, java_environment, spark_home
from songswap.supervision.process import Process, marked
from songswap.terminal.progress import Progress


@contextmanager
def small_cluster(folder: Path, *, hosts: int = 1) -> Iterator[Cluster]:
    """Run a master and two workers of one core each; afterwards none of them is left.

    Args:
        hosts: with 2, the workers are on different ones, as far as Spark can tell.
    """
    cluster = Cluster(folder, Layout(workers=3 - hosts, cores=1, memory_mb=512))
    folder.mkdir()
    try:
        cluster.start(Progress(Console(stderr=True)))
        if hosts == 2:
            worker = _worker(cluster.url, folder, "localhost")
            cluster.workers.append(worker)
            worker.start()
            worker.wait_ready(lambda: "Successfully registered" in worker.output(), 90)
        yield cluster
    finally:
        cluster.stop()
    assert marked(folder) == []


def _worker(master: str, folder: Path, host: str) -> Process:
    """The second worker, on a host of this name."""
    options = ["--host", host, "--port", "0", "--webui-port", "0", "--cores", "1"]
    options += ["--memory", "512m", "--work-dir", str(folder / "work/2")]
    program = [str(spark_home() / "bin/spark-class"), "org.apache.spark.deploy.worker.Worker"]
    environment = {
        **java_environment("127.0.0.1", folder),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": JAVA_OPTIONS,
        "SPARK_LOCAL_DIRS": str(folder / "work"),
    }
    return Process(
        "Spark's worker-2",
        [*program, "--properties-file", str(folder / "spark-defaults.conf"), *options, master],
        log=folder / "worker-2.log",
        mark=folder,
        environment=environment,
    )
