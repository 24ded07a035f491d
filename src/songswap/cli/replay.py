"""``songswap replay``: options in, a progress bar and a summary out."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

from songswap.cli.engine import Engine, EngineOption, MasterOption, ProcessesOption, run_parallel
from songswap.terminal.console import JsonOption, Rows, Steps, err, log_to_stderr, out, print_json

if TYPE_CHECKING:
    from songswap.pipelines.replay import Unit
    from songswap.settings import Settings

_HOUR = ["%Y-%m-%dT%H", "%Y-%m-%d_%H", "%Y-%m-%d"]
_WOULD = ("users", "gone_users", "objects", "bytes", "foreign")
_DID = (
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
    "unusable": "  of no use (errors of Spotify, empty)",
    "foreign": "Other objects, left alone",
    "responses": "Answers loaded",
    "refused": "  refused by PostgreSQL",
    "plays": "Plays, new",
    "known": "  known before",
    "gone": "  of users who are not there",
    "tracks": "Tracks, new",
    "artists": "Artists, new",
    "rejected_items": "Set aside, new",
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
            " variable that holds one. Its tables are made where they are missing.",
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be read; change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the warehouse from the archive in S3: load again what the hourly runs archived.

    What is there already stays as it is, so it can be stopped at any time and started again. Reads
    the settings from the environment, see .env.example; the archive is read with
    SongSwap_S3_ReadOnly. Exits with 1 when anything could not be loaded.
    """
    from songswap import settings
    from songswap.pipelines import replay as archive
    from songswap.warehouse.migrate import migrate

    if copy_users and not into:
        raise typer.BadParameter("--copy-users goes with --into.")
    log_to_stderr()
    live = settings.from_environment(os.environ)
    read = live
    if into and not (dry_run and copy_users):
        read = replace(live, warehouse_dsn=settings.another_warehouse(os.environ, into))
    units = archive.plan(read, user, _utc(since), _utc(until))
    counts: dict[str, int] = {}
    if not dry_run:
        if into:
            migrate(read.warehouse_dsn)
        if copy_users:
            counts["users_copied"] = archive.copy_users(read, live.warehouse_dsn, units)
        archive.require_users(read, units)
    counts |= _replay(read, units, partial(run_parallel, engine, master, processes), dry_run)
    if as_json:
        print_json({name: counts.get(name, 0) for name in _TITLES})
    else:
        _print(counts, _WOULD if dry_run else _DID)
    if left := archive.problem(counts):
        err.say(left)
        raise typer.Exit(1)


def _replay(
    read: "Settings", units: "list[Unit]", spread_over: Callable[..., Any], dry_run: bool
) -> dict[str, int]:
    from songswap.clock import utc_now
    from songswap.pipelines import replay as archive

    run_id = f"replay__{utc_now():%Y-%m-%dT%H:%M:%S.%f%z}"
    work = partial(archive.look, read) if dry_run else partial(archive.replay, read, run_id)
    counts: dict[str, int] = {}
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Steps(*columns) as told:
        for done, one in enumerate(spread_over(work, units), 1):
            counts = archive.total([counts, one])
            told("groups of users", done, len(units), _so_far(counts))
    return counts


def _so_far(counts: dict[str, int]) -> str:
    return f"{counts.get('objects', 0):,} objects, {counts.get('plays', 0):,} new plays"


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _print(counts: dict[str, int], names: tuple[str, ...]) -> None:
    table = Rows("what", title="What would be read" if names is _WOULD else "What was replayed")
    table.add_column("number", justify="right")
    for name in names:
        if name != "users_copied" or name in counts:
            table.add_row(_TITLES[name], f"{counts.get(name, 0):,}")
    out.print(table)
