"""``songswap check``: runs the sanity checks and prints what each step found."""

import os
from typing import Annotated
from uuid import uuid4

import typer
from rich.text import Text

from songswap.terminal.console import JsonOption, Rows, out, print_json

_MARKS = {True: Text("✓", "green"), False: Text("✗", "bold red"), None: Text("–", "dim")}


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="discord, postgres, s3, spotipy; all if none."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that Discord, PostgreSQL, S3 and Spotify are configured and work as needed.

    The same as the DAGs test_discord, test_postgres, test_s3 and test_spotipy, from the environment
    and .env. Exits with 1 when a step failed, and shows what to set where.
    """
    from songswap.checks.sanity.context import from_environment
    from songswap.checks.sanity.run import CHECKS, run_check
    from songswap.clock import utc_now

    chosen = dict.fromkeys(names or CHECKS)
    unknown = [name for name in chosen if name not in CHECKS]
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)} is unknown; there are {', '.join(CHECKS)}.", param_hint="NAME"
        )
    context = from_environment(os.environ, f"check {uuid4()}", utc_now)
    results = {name: list(run_check(CHECKS[name], context)) for name in chosen}
    if as_json:
        print_json({name: [step._asdict() for step in steps] for name, steps in results.items()})
    else:
        table = Rows("check", "step", "", "what it found, or what to do")
        for name, steps in results.items():
            for step in steps:
                table.add_row(name, step.step, _MARKS[step.ok], step.message)
            table.add_section()
        out.print(table)
    if any(step.ok is False for steps in results.values() for step in steps):
        raise typer.Exit(1)
