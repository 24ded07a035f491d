"""``songswap load``: an hourly load without Airflow."""

import os
from typing import Annotated

import typer

from songswap.cli.command import new_run_id
from songswap.terminal.console import JsonOption, Rows, Steps, log_to_stderr, out, print_json


def load(
    run_id: Annotated[
        str, typer.Option(help="The id of the run; an id that was used before continues that run.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Do one hourly load of all users, in this process and without Airflow.

    Reads the settings from the environment, see .env.example. Exits with 1 when a part of the load
    failed; the responses then stay in the spool, and the next load delivers them.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

    from songswap import settings
    from songswap.pipelines import hourly_load, run_counts
    from songswap.supervision.interrupt import stoppable

    log_to_stderr()
    config = settings.from_environment(os.environ)
    with Steps(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), in_turn=True) as progress:
        name = run_id or new_run_id("cli")
        # So SIGTERM too lets the load finish what is under way, and end its row.
        with stoppable():
            counts = hourly_load.load_once(config, name, progress)
    if as_json:
        print_json({"run_id": name, **run_counts.as_json(counts)})
        return
    table = Rows("what", "number", title="What was loaded")
    for what, count in run_counts.in_short(counts).items():
        table.add_row(what.replace("_", " "), f"{count:,}")
    out.print(table)
