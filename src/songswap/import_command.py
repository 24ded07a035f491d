"""``songswap import``: exports in, what became of each of their rows out."""

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from songswap.engine import Engine, EngineOption, MasterOption, ProcessesOption, spread
from songswap.terminal import JsonOption, err, log_to_stderr

if TYPE_CHECKING:
    from songswap.importing import Imported
    from songswap.settings import Settings

# What a row can become, in the words of a person.
_ROWS = {
    "loaded": "new plays",
    "merged": "plays that the API had told",
    "again": "told before: in another file, or an earlier import",
    "short": "not listened to for long enough",
    "private": "in a private session",
    "unidentified": "without an id: local files, or names of several tracks",
    "podcast": "podcasts",
    "audiobook": "audiobooks",
    "video": "video",
    "set_aside": "unreadable, set aside with the reason",
}
_MORE = {
    "tracks": "tracks that were new",
    "gaps_closed": "gaps that it filled",
}


def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            help="The zip as Spotify sent it, its folder, or its files. Without --user: a folder or"
            " s3://BUCKET/PREFIX with exports of many users, user12.zip or user12/.",
        ),
    ],
    user: Annotated[
        int | None, typer.Option(help="The user's id in the warehouse; of one export.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Import it although what the API told of the user is not in it."
        ),
    ] = False,
    engine: EngineOption = Engine.LOCAL,
    master: MasterOption = "",
    processes: ProcessesOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Import whole streaming histories, from the exports that Spotify sends on request.

    Takes the extended streaming history and the account data; docs/import.md says how to get them.
    A play that the API told too is counted once. Can be stopped and started again at any time.
    Exits with 1 when something is no export, or another user's: nothing of it is imported then.
    """
    from songswap import settings

    if user is None and (len(files) > 1 or trust):
        raise typer.BadParameter("Say whose export it is, with --user.")
    log_to_stderr()
    read = settings.from_environment(os.environ)
    if user is not None:
        _import_one(read, user, [Path(file) for file in files], trust, as_json)
    else:
        _import_many(read, files[0], partial(spread, engine, master, processes), as_json)


def _import_one(read: "Settings", user: int, files: list[Path], trust: bool, as_json: bool) -> None:
    from songswap.importing import import_export

    with _progress() as progress:
        bars: dict[str, TaskID] = {}

        def told(step: str, done: int, of: int) -> None:
            if step not in bars:
                bars[step] = progress.add_task(step, total=of or None)
                if not err.is_terminal:
                    err.print(f"{step} …")
            progress.update(bars[step], completed=done, total=of)

        import_id = f"{_run_id()}__user{user}"
        counts = import_export(read, user, files, import_id, told, trust=trust)
    if as_json:
        typer.echo(json.dumps({"user": user, "import_id": import_id, **counts}))
    else:
        Console().print(_table(f"What became of the export of user {user}", counts))


def _import_many(
    read: "Settings", source: str, spread_over: Callable[..., Any], as_json: bool
) -> None:
    from songswap.importing import import_package, total
    from songswap.raw.inbox import packages

    found = packages(source, read.library)
    done: list[Imported] = []
    with _progress() as progress:
        bar = progress.add_task("users", total=len(found))
        for one in spread_over(partial(import_package, read, _run_id()), found):
            done.append(one)
            progress.update(bar, completed=len(done))
            if not err.is_terminal:
                err.print(
                    f"{len(done):,} of {len(found):,} users: {one.counts.get('rows', 0):,} rows"
                )
    counts = total(done)
    refused = {one.user_id: one.problem for one in done if one.problem}
    if as_json:
        typer.echo(json.dumps({"users": len(done), **counts, "refused": refused}))
    else:
        Console().print(_table(f"What became of the exports of {len(done):,} users", counts))
    for user, problem in refused.items():
        err.print(f"User {user}: {problem}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(int(bool(refused)))


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return Progress(*columns, TimeRemainingColumn(), console=err)


def _run_id() -> str:
    from songswap.spotify.client import utc_now

    return f"import__{utc_now():%Y-%m-%dT%H:%M:%S.%f%z}"


def _table(title: str, counts: Mapping[str, int]) -> Table:
    table = Table("what", "rows", title=title)
    table.columns[1].justify = "right"
    for names in (_ROWS, _MORE):
        for name, words in names.items():
            if counts.get(name):
                table.add_row(words, f"{counts[name]:,}")
        if names is _ROWS:
            table.add_section()
            table.add_row("rows in all", f"{counts.get('rows', 0):,}")
            table.add_section()
    return table
