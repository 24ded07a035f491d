"""Where bulk work runs: in processes of this machine, or on a Spark cluster."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class Engine(StrEnum):
    """Where the work runs; the results are the same."""

    LOCAL = "local"
    SPARK = "spark"


def _require_installed(engine: Engine) -> Engine:
    """Make sure that the engine is installed before anything is done.

    Raises:
        SettingsError: the extra `spark` is not installed.
    """
    if engine is Engine.SPARK:
        from songswap.parallel.spark_runtime import spark_home

        spark_home()
    return engine


def _require_settings(conf: list[str] | None) -> list[str] | None:
    """Raise `typer.BadParameter` unless each is a setting of Spark."""
    for text in conf or ():
        if not re.fullmatch(r"spark\.[^\s=:]+=.+", text):
            raise typer.BadParameter("a setting is spark.NAME=VALUE.")
    return conf


EngineOption = Annotated[
    Engine,
    typer.Option(
        callback=_require_installed,
        help="Where the work runs: on this machine, or on a Spark cluster.",
    ),
]
MasterOption = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="The Spark cluster's master, with --engine spark; 'songswap spark up' prints one.",
    ),
]
ProcessesOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="How many run concurrently; 0 is one for each core of this machine, or 2 on Spark.",
    ),
]
ConfOption = Annotated[
    list[str] | None,
    typer.Option(
        callback=_require_settings,
        metavar="NAME=VALUE",
        help="A setting of Spark, with --engine spark; once or more.",
    ),
]


def run_parallel(
    engine: Engine,
    master: str,
    at_once: int,
    work: Callable[[Unit], Result],
    units: Sequence[Unit],
    *,
    name: str,
    conf: Sequence[str] | None = None,
) -> Iterator[Result]:
    """Do the work for each unit; see `songswap.parallel.processes` and `songswap.parallel.spark`.

    Args:
        master: a Spark master's address; only with the engine Spark.
        at_once: how many units are under way at once, each with one connection to the warehouse;
            for 0 see `ProcessesOption`.
        name: of the work, in Spark's web UI.
        conf: settings of Spark, NAME=VALUE; only with the engine Spark.

    Raises:
        typer.BadParameter: ``master`` is missing, or it or ``conf`` is given without Spark.
        WorkerLost: processes, workers or the master were lost.
        SongSwapError: the first error that the work raised.
    """
    if (engine is Engine.SPARK) != bool(master):
        raise typer.BadParameter("--engine spark and --master go together.")
    if conf and engine is not Engine.SPARK:
        raise typer.BadParameter("--conf goes with --engine spark.")
    if engine is Engine.SPARK:
        from songswap.parallel.spark import run_parallel as over_cluster

        configuration = {
            name: value for name, _, value in (text.partition("=") for text in conf or ())
        }
        return over_cluster(
            work, units, master, at_once=at_once or 2, name=name, configuration=configuration
        )
    from songswap.parallel.processes import run_parallel as over_processes

    return over_processes(work, units, processes=max(1, min(at_once or _cores(), len(units))))


def _cores() -> int:
    """The number of cores that this process may use; on macOS all of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
