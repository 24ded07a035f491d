"""A small Spark cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from songswap.parallel.spark_cluster import Cluster, Layout
from songswap.supervision.process import marked
from songswap.terminal.progress import Progress


@contextmanager
def small_cluster(folder: Path) -> Iterator[Cluster]:
    """Run a master and two workers of one core each; afterwards none of them is left."""
    cluster = Cluster(folder, Layout(workers=2, cores=1, memory_mb=512))
    folder.mkdir()
    try:
        cluster.start(Progress(Console(stderr=True)))
        yield cluster
    finally:
        cluster.stop()
    assert marked(folder) == []
