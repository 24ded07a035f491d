"""``songswap backfill``: reads options, shows progress and a summary."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from songswap.terminal.console import JsonOption, Rows, Steps, log_to_stderr, out, print_json

if TYPE_CHECKING:
    from songswap.pipelines.backfill import Outcome
    from songswap.settings import Settings

_FOUND = ("missing", "waiting", "unknown")
_FETCHED = ("requested", "received", "unknown", "postponed")


class Kind(StrEnum):
    """The kinds of rows that can be missing."""

    artist = "artist"
    track = "track"
    features = "features"


def backfill(
    kind: Annotated[
        list[Kind] | None,
        typer.Option(help="What to fill in, once or more; everything if left out."),
    ] = None,
    at_most: Annotated[
        int | None,
        typer.Option(min=1, help="How many ids of each kind to fetch; all if left out."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what is missing; change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch the tracks, artists and features that the tables lack, and load them.

    The kinds run concurrently, and give way to an hourly load. Can be stopped at any time and
    started again: nothing is fetched twice. Exits with 1 when a kind failed; what was loaded until
    then stays.
    """
    from songswap import settings
    from songswap.pipelines.backfill import Outcome, find

    log_to_stderr()
    config = settings.from_environment(os.environ)
    kinds = [each.value for each in dict.fromkeys(kind or Kind)]
    if dry_run:
        outcomes = {name: Outcome(find(config, name, at_most)) for name in kinds}
    else:
        outcomes = _backfill(config, kinds, at_most)
    rows = {name: _row(name, outcome) for name, outcome in outcomes.items()}
    if as_json:
        print_json(rows)
    else:
        _print(rows, dry_run)
    raise typer.Exit(int(any(outcome.problem for outcome in outcomes.values())))


class _Rate(ProgressColumn):
    """Ids fetched in a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def _backfill(config: "Settings", kinds: list[str], at_most: int | None) -> "dict[str, Outcome]":
    from songswap.pipelines.backfill import backfill as fill_all

    with Steps(BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()) as progress:
        return fill_all(
            config,
            kinds,
            at_most,
            lambda kind, done, of: progress(kind, done, of, f"{done:,} requested"),
        )


def _row(kind: str, outcome: "Outcome") -> dict[str, Any]:
    found, counts = outcome.found, outcome.counts
    return {
        "found": {name: getattr(found, name) for name in (*_FOUND, "chosen")} if found else None,
        **{name: counts[f"{kind}_{name}"] for name in _FETCHED},
        "calls": counts["calls"],
        "problem": outcome.problem,
    }


def _print(rows: dict[str, dict[str, Any]], dry_run: bool) -> None:
    if dry_run:
        table = Rows("kind", *_FOUND, "would be requested", right_from=1)
        for kind, row in rows.items():
            table.add_row(kind, *(f"{row['found'][name]:,}" for name in (*_FOUND, "chosen")))
    else:
        titles = ("missing", "requested", "received", "unknown", "postponed", "calls", "")
        table = Rows("kind", *titles, right_from=1)
        for kind, row in rows.items():
            missing = f"{row['found']['missing']:,}" if row["found"] else "–"
            counts = (f"{row[name]:,}" for name in (*_FETCHED, "calls"))
            table.add_row(kind, missing, *counts, "failed" if row["problem"] else "done")
    out.print(table)
