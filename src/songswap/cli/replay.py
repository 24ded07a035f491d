"""``songswap replay``: reads options, shows progress and a summary."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

from songswap.cli.command import new_run_id
from songswap.cli.engine import (
    ConfOption,
    Engine,
    EngineOption,
    MasterOption,
    ProcessesOption,
    run_parallel,
)
from songswap.terminal.console import JsonOption, Rows, Steps, err, log_to_stderr, out, print_json

if TYPE_CHECKING:
    from songswap.pipelines.replay import Unit
    from songswap.settings import Settings

_HOUR = ["%Y-%m-%dT%H", "%Y-%m-%d_%H", "%Y-%m-%d"]
_PLANNED = ("users", "gone_users", "objects", "bytes", "foreign")
_DONE = (
    *("users", "gone_users", "users_copied", "objects", "damaged", "unusable", "foreign"),
    *("responses", "refused"),
    *("plays", "known", "gone", "tracks", "artists", "rejected_items", "gaps", "gaps_closed"),
)
_TITLES = {
    "users": "Users",
    "gone_users": "  not in this warehouse",
    "users_copied": "  copied into it",
    "objects": "Objects read",
    "bytes": "  their bytes",
    "damaged": "  damaged",
    "unusable": "  unusable (errors of Spotify, empty)",
    "foreign": "Other objects, left alone",
    "responses": "Responses loaded",
    "refused": "  refused by PostgreSQL",
    "plays": "Plays, new",
    "known": "  known before",
    "gone": "  of users not in this warehouse",
    "tracks": "Tracks, new",
    "artists": "Artists, new",
    "rejected_items": "Rejected items, new",
    "gaps": "Gaps, new",
    "gaps_closed": "  closed",
}


def replay(
    user: Annotated[
        list[int] | None,
        typer.Option(min=0, help="A user's id, once or more; all of the archive if left out."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=_HOUR, help="The first hour (UTC) to replay."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", formats=_HOUR, help="The hour (UTC) before which it ends."),
    ] = None,
    into: Annotated[
        str,
        typer.Option(
            metavar="DATABASE",
            help="Load into this database instead of the live one: a URI, or the name of a"
            " variable that holds one. Missing tables are created.",
        ),
    ] = "",
    copy_users: Annotated[
        bool,
        typer.Option(
            "--copy-users",
            help='With --into: first copy the rows of "Users" that are needed from the live'
            " warehouse, without tokens.",
        ),
    ] = False,
    engine: EngineOption = Engine.LOCAL,
    master: MasterOption = "",
    processes: ProcessesOption = 0,
    conf: ConfOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be read; change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the warehouse from the archive in S3: load again what the hourly runs archived.

    Existing rows stay as they are, so it can be stopped at any time and started again. Reads the
    settings from the environment, see .env.example, and the archive with SongSwap_S3_ReadOnly.
    Exits with 1 when anything could not be loaded.
    """
    from songswap import settings
    from songswap.pipelines import replay as archive
    from songswap.warehouse.migrate import migrate

    if copy_users and not into:
        raise typer.BadParameter("--copy-users goes with --into.")
    log_to_stderr()
    live = settings.from_environment(os.environ)
    config = live
    if into and not (dry_run and copy_users):
        config = replace(live, warehouse_dsn=settings.another_warehouse(os.environ, into))
    units = archive.plan(config, user, _utc(since), _utc(until))
    counts: dict[str, int] = {}
    if not dry_run:
        if into:
            migrate(config.warehouse_dsn)
        if copy_users:
            counts["users_copied"] = archive.copy_users(config, live.warehouse_dsn, units)
        archive.require_users(config, units)
    counts |= _replay(
        config, units, partial(run_parallel, engine, master, processes, conf=conf), dry_run
    )
    if as_json:
        print_json({name: counts.get(name, 0) for name in _TITLES})
    else:
        _print(counts, _PLANNED if dry_run else _DONE)
    if problem := archive.problem(counts):
        err.say(problem)
        raise typer.Exit(1)


def _replay(
    config: "Settings", units: "list[Unit]", run_all: Callable[..., Any], dry_run: bool
) -> dict[str, int]:
    from songswap.pipelines import replay as archive
    from songswap.pipelines import run_counts

    run_id = new_run_id("replay")
    work = partial(archive.look, config) if dry_run else partial(archive.replay, config, run_id)
    counts: dict[str, int] = {}
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Steps(*columns) as progress:
        results = run_all(work, units, name=f"{run_id}: groups of users")
        for done, result in enumerate(results, 1):
            counts = run_counts.total([counts, result])
            so_far = f"{counts.get('objects', 0):,} objects, {counts.get('plays', 0):,} new plays"
            progress("groups of users", done, len(units), so_far)
    return counts


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _print(counts: dict[str, int], names: tuple[str, ...]) -> None:
    title = "What would be read" if names is _PLANNED else "What was replayed"
    table = Rows("what", "number", title=title, right_from=1)
    for name in names:
        if name != "users_copied" or name in counts:
            table.add_row(_TITLES[name], f"{counts.get(name, 0):,}")
    out.print(table)
