"""``songswap spark``: runs a Spark cluster on this machine, until Ctrl-C."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from songswap.cli.command import examples
from songswap.errors import SettingsError
from songswap.terminal.console import err

if TYPE_CHECKING:
    from songswap.parallel.spark_cluster import Cluster
    from songswap.terminal.progress import Progress

spark = typer.Typer(help="Run a Spark cluster from wheels alone.", no_args_is_help=True)
_POLL_S = 0.5


@spark.callback()
def _group() -> None:
    """Keep `up` a subcommand, although it is the only one."""


@spark.command(epilog=examples("spark up", "spark up --workers 4 --memory-mb 2048"))
def up(
    workers: Annotated[
        int, typer.Option(min=0, max=64, help="Workers; 0 starts a master alone.")
    ] = 2,
    cores: Annotated[
        int | None,
        typer.Option(
            min=1, help="Concurrent tasks of a worker; by default its share of the cores."
        ),
    ] = None,
    memory_mb: Annotated[
        int, typer.Option(min=512, help="Memory of a worker for its executors.")
    ] = 1024,
    host: Annotated[
        str, typer.Option(help="The master's address; other machines need SONGSWAP_SPARK_SECRET.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The master's port; 0 takes a free one.")
    ] = 0,
    ui_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The web UI's port; 0 takes a free one.")
    ] = 0,
    worker_ui_port: Annotated[
        int, typer.Option(min=0, max=65_500, help="The first worker's UI port; 0 takes a free one.")
    ] = 0,
    master: Annotated[
        str, typer.Option(help="Join this master, spark://host:port, instead of starting one.")
    ] = "",
    state: Annotated[
        Path, typer.Option(envvar="SONGSWAP_STATE", help="Its folder 'spark' holds logs and work.")
    ] = Path(".songswap"),
) -> None:
    """Start a Spark master and workers on this machine, and stop them with Ctrl-C.

    Needs no installed Java. Prints the addresses of the master, for --master of other commands, and
    of the web UI. Exits with 2 when nothing was started, 1 when a part ended by itself, 130 when it
    was stopped before all parts were up.
    """
    from songswap.dev.stack.state import locked, require_port
    from songswap.parallel.spark_cluster import Cluster, Layout
    from songswap.parallel.spark_session import SECRET
    from songswap.supervision.errors import StartRefused

    folder = state.expanduser().absolute() / "spark"
    with locked(folder, "Spark cluster"):
        if not master:
            require_port(host, port, "Spark's master", "Name a free one with --port.")
            require_port(host, ui_port, "the web UI", "Name a free one with --ui-port.")
        cores = cores or max(1, (os.cpu_count() or 1) // max(1, workers))
        secret = os.environ.get(SECRET, "")
        layout = Layout(
            workers, cores, memory_mb, host, port, ui_port, worker_ui_port, master, secret
        )
        try:
            _run(Cluster(folder, layout), folder)
        except SettingsError as error:
            raise StartRefused(str(error)) from error


def _run(cluster: "Cluster", folder: Path) -> None:
    from songswap.supervision.interrupt import INTERRUPTED, ignore_signals, stoppable
    from songswap.supervision.process import stop_leftovers
    from songswap.terminal.progress import Progress

    progress = Progress(err)
    is_up = False
    with stoppable():
        try:
            if stop_leftovers(folder):
                progress.say("Stopped the processes that an earlier cluster had left running.")
            cluster.start(progress)
            is_up = True
            _stay_up(cluster, progress)
        except KeyboardInterrupt:
            raise typer.Exit(0 if is_up else INTERRUPTED) from None
        finally:
            ignore_signals()
            progress.say("Stopping …")
            cluster.stop()


def _stay_up(cluster: "Cluster", progress: "Progress") -> None:
    """Show the addresses and wait for Ctrl-C; report a worker that ends once."""
    typer.echo(f"Master  {cluster.url}")
    if cluster.ui_url:
        typer.echo(f"Web UI  {cluster.ui_url}")
    progress.say("Ctrl-C stops everything.")
    reported = set()
    while True:
        for worker in cluster.require_running():
            if worker.name not in reported:
                reported.add(worker.name)
                progress.say(f"{worker.name} ended, the others continue. Its log is {worker.log}.")
        time.sleep(_POLL_S)
