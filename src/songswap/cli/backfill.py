"""``songswap backfill``: options in, progress bars and a summary out."""

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
_REQUESTED = ("requested", "received", "unknown", "postponed")


class Kind(StrEnum):
    """What can be missing."""

    artist = "artist"
    track = "track"
    features = "features"


def backfill(
    kind: Annotated[
        list[Kind] | None, typer.Option(help="What to fill, once or more; everything if left out.")
    ] = None,
    at_most: Annotated[
        int | None,
        typer.Option(min=1, help="How many ids of each kind to ask for; all if left out."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what is missing; change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask Spotify for what the tables lack of tracks and artists, and load it.

    The kinds go side by side, behind an hourly load that is going on. Can be stopped at any time
    and started again: what is done is not asked for twice. Exits with 1 when a kind failed; what
    was loaded until then stays.
    """
    from songswap import settings
    from songswap.pipelines.backfill import Outcome, find

    log_to_stderr()
    read = settings.from_environment(os.environ)
    kinds = [one.value for one in dict.fromkeys(kind or Kind)]
    if dry_run:
        outcomes = {one: Outcome(find(read, one, at_most)) for one in kinds}
    else:
        outcomes = _backfill(read, kinds, at_most)
    rows = {one: _row(one, outcome) for one, outcome in outcomes.items()}
    if as_json:
        print_json(rows)
    else:
        _print(rows, dry_run)
    raise typer.Exit(int(any(outcome.problem for outcome in outcomes.values())))


class _Rate(ProgressColumn):
    """How many ids are asked for in a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def _backfill(read: "Settings", kinds: list[str], at_most: int | None) -> "dict[str, Outcome]":
    from songswap.pipelines.backfill import backfill as fill_all

    with Steps(BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()) as told:
        return fill_all(
            read,
            kinds,
            at_most,
            lambda kind, asked, of: told(kind, asked, of, f"{asked:,} asked for"),
        )


def _row(kind: str, outcome: "Outcome") -> dict[str, Any]:
    found, counts = outcome.found, outcome.counts
    return {
        "found": {name: getattr(found, name) for name in (*_FOUND, "chosen")} if found else None,
        **{name: counts[f"{kind}_{name}"] for name in _REQUESTED},
        "calls": counts["calls"],
        "problem": outcome.problem,
    }


def _print(rows: dict[str, dict[str, Any]], dry_run: bool) -> None:
    if dry_run:
        table = Rows("kind", "missing", "waiting", "unknown", "would be asked")
        for kind, row in rows.items():
            table.add_row(kind, *(f"{row['found'][name]:,}" for name in (*_FOUND, "chosen")))
    else:
        table = Rows("kind", "missing", *_REQUESTED, "calls", "")
        for kind, row in rows.items():
            missing = f"{row['found']['missing']:,}" if row["found"] else "–"
            counts = (f"{row[name]:,}" for name in (*_REQUESTED, "calls"))
            table.add_row(kind, missing, *counts, "failed" if row["problem"] else "done")
    for column in table.columns[1:]:
        column.justify = "right"
    out.print(table)
