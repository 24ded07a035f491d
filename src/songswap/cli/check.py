"""``songswap check``: runs the sanity checks, or says whether the hourly load stands still."""

import os
from typing import Annotated
from uuid import uuid4

import typer
from rich.text import Text

from songswap.cli.command import open_warehouse
from songswap.errors import SettingsError
from songswap.terminal.console import JsonOption, Rows, complain, out, print_json

_MARKS = {True: Text("✓", "green"), False: Text("✗", "bold red"), None: Text("–", "dim")}


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="discord, postgres, s3, spotipy, airflow; all if none."
        ),
    ] = None,
    fresh: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Only check that an hourly load has ended well within this time, as 90m or 2h.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that Discord, PostgreSQL, S3 and Spotify are configured and work as needed.

    The same as the DAGs test_discord, test_postgres, test_s3 and test_spotipy, from the environment
    and .env. Exits with 1 when a step failed, and shows what to set where. The check of Airflow's
    pools and DAGs runs where its metadata database is, beside the scheduler.

    With --fresh it reads the warehouse alone, and exits with 1 when the hourly load stands still.
    """
    if fresh is not None:
        if names:
            raise typer.BadParameter("--fresh goes without names of checks.", param_hint="NAME")
        _check_fresh(fresh, as_json)
        return
    from songswap.checks.sanity.context import from_environment
    from songswap.checks.sanity.run import CHECKS, OF_AIRFLOW, checks_for, run_check
    from songswap.clock import utc_now

    known = {**CHECKS, **OF_AIRFLOW}
    chosen = dict.fromkeys(names or checks_for(os.environ))
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)} is unknown; there are {', '.join(known)}.", param_hint="NAME"
        )
    context = from_environment(os.environ, f"check {uuid4()}", utc_now)
    results = {name: list(run_check(known[name], context)) for name in chosen}
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


def _check_fresh(limit: str, as_json: bool) -> None:
    """Print in a sentence whether the load stands still, as an error if it does."""
    from songswap import settings
    from songswap.clock import utc_now
    from songswap.pipelines import freshness
    from songswap.warehouse.freshness import read

    try:
        within = freshness.parse_limit(limit)
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint="--fresh") from None
    with open_warehouse(settings.read_only_dsn(os.environ)) as connection:
        now = utc_now()
        verdict = freshness.decide(read(connection, now), within, now)
    if as_json:
        print_json(
            {
                "fresh": verdict.is_fresh,
                "sentence": verdict.sentence,
                "problem": verdict.problem,
                **verdict.figures,
            }
        )
    elif verdict.is_fresh:
        out.say(verdict.sentence)
    else:
        complain("\n".join(filter(None, [verdict.sentence, verdict.problem])))
    if not verdict.is_fresh:
        raise typer.Exit(1)
