"""``songswap demo``: runs everything on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from songswap.terminal.console import JsonOption, err


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the first run; exit 1 if that failed.")
    ] = False,
    users: Annotated[int, typer.Option(min=1, max=100_000, help="Simulated listeners.")] = 25,
    seed: Annotated[int, typer.Option(help="Decides who listens to what, and when.")] = 1,
    state: Annotated[
        Path, typer.Option(envvar="SONGSWAP_STATE", help="The folder of all data and logs.")
    ] = Path(".songswap"),
    as_json: JsonOption = False,
) -> None:
    """Run everything on this machine: PostgreSQL, S3, a simulated Spotify, Airflow.

    Loads every listener's plays once, shows the result, and continues each hour until Ctrl-C. A
    service that is set in the environment or in .env replaces its local part.
    """
    from songswap.terminal.progress import Progress

    # Before the imports below, which take seconds on a busy machine.
    Progress(err).say("Starting all parts, which takes about a minute. Ctrl-C stops them.")
    from songswap.dev.stack.demo import DemoOptions
    from songswap.dev.stack.demo import demo as run_demo

    raise typer.Exit(
        run_demo(DemoOptions(once=once, users=users, seed=seed, json=as_json, state=state))
    )
