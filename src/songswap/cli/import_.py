"""``songswap import``: reads exports, and shows the outcome of their rows."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, TaskProgressColumn, TimeRemainingColumn

from songswap.cli.command import new_run_id
from songswap.cli.engine import (
    ConfOption,
    Engine,
    EngineOption,
    MasterOption,
    ProcessesOption,
    run_parallel,
)
from songswap.errors import FIND_ID
from songswap.terminal.console import JsonOption, Rows, Steps, err, log_to_stderr, out, print_json

if TYPE_CHECKING:
    from songswap.pipelines.import_export import Imported
    from songswap.settings import Settings

# The outcomes of a row, in words.
_ROWS = {
    "loaded": "new plays",
    "merged": "plays that the API had returned",
    "duplicates": "known from an earlier import",
    "repeated": "a second time in this export",
    "short": "not listened to for long enough",
    "private": "in a private session",
    "unidentified": "without an id: local files, or names of several tracks",
    "podcast": "podcasts",
    "audiobook": "audiobooks",
    "video": "video",
    "rejected_items": "unreadable, rejected with the reason",
}
_MORE = {
    "tracks": "new tracks",
    "gaps_closed": "gaps that it closed",
    "files_left_out": "files left out that may be a history",
}


def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            help="The zip as Spotify sent it, its folder, or its files. A folder, or"
            " s3://BUCKET/PREFIX, with exports of many users, user12.zip or user12/: all, or with"
            " --user one of them.",
        ),
    ],
    user: Annotated[
        int | None, typer.Option(help="The user's id in the warehouse; of one export.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Import it although it has another name at Spotify, or hardly any of the plays"
            " that the API returned. Needs --user.",
        ),
    ] = False,
    engine: EngineOption = Engine.LOCAL,
    master: MasterOption = "",
    processes: ProcessesOption = 0,
    conf: ConfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import whole streaming histories, from the exports that Spotify sends on request.

    Takes the extended streaming history and the account data; docs/import.md says how to get them.
    A play that the API returned too is counted once. Can be stopped and started again at any time.
    Exits with 1 when something is not an export, or another user's; nothing of it is imported.
    """
    from songswap import settings

    if user is None and trust:
        raise typer.BadParameter(
            "--trust is for one export: import the others first, then this one with --user ID"
            f" --trust. {FIND_ID}"
        )
    if user is None and len(files) > 1:
        raise typer.BadParameter(f"Whose is it? Say --user ID. {FIND_ID}")
    log_to_stderr()
    config = settings.from_environment(os.environ)
    if user is not None:
        _import_one(config, user, files, trust, as_json)
    else:
        _import_many(
            config, files[0], partial(run_parallel, engine, master, processes, conf=conf), as_json
        )


def _import_one(
    config: "Settings", user: int, files: list[str], trust: bool, as_json: bool
) -> None:
    from songswap.errors import ExportRefused
    from songswap.pipelines.import_export import import_files, import_package
    from songswap.storage.export_inbox import is_inbox, package_of

    run_id = new_run_id("import")
    import_id = f"{run_id}__user{user}"
    with _steps() as progress:
        if len(files) == 1 and is_inbox(files[0]):
            package = package_of(user, files[0], config.library)
            done = import_package(config, run_id, package, progress=progress, trust=trust)
            if done.problem:
                raise ExportRefused(done.problem)
        else:
            paths = [Path(file) for file in files]
            done = import_files(config, user, paths, import_id, progress, trust=trust)
    if as_json:
        head = {"user": user, "import_id": import_id}
        print_json(head | _as_json([done], done.counts, skipped=[]))
    else:
        out.print(_table(f"The rows of the export of user {user}", done.counts))
        _print_names("Left out, and may be a history", done.left_out)


def _import_many(
    config: "Settings", source: str, run_all: Callable[..., Any], as_json: bool
) -> None:
    from songswap.pipelines.import_export import import_package, total
    from songswap.storage.export_inbox import find_exports

    waiting = find_exports(source, config.library)
    found = waiting.packages
    done: list[Imported] = []
    rows = 0
    run_id = new_run_id("import")
    with _steps() as progress:
        results = run_all(partial(import_package, config, run_id), found, name=f"{run_id}: users")
        for imported in results:
            done.append(imported)
            rows += imported.counts.get("rows", 0)
            progress("users", len(done), len(found), f"{rows:,} rows")
    counts = total(done)
    refused = {imported.user_id: imported.problem for imported in done if imported.problem}
    if as_json:
        head = {"users": len(done), "refused": refused}
        print_json(head | _as_json(done, counts, waiting.skipped))
    else:
        out.print(_table(f"The rows of the exports of {len(done):,} users", counts))
        names = [f"User {each.user_id}: {name}" for each in done for name in each.left_out]
        _print_names("Left out, and may be a history", names)
        _print_names("Skipped", waiting.skipped)
    for user, problem in refused.items():
        err.say(f"User {user}: {problem}")
    raise typer.Exit(int(bool(refused)))


def _as_json(
    done: Sequence["Imported"], counts: Mapping[str, int], skipped: Sequence[str]
) -> dict[str, Any]:
    """The keys that both forms of the command have, zeros included."""
    left_out = [{"user": each.user_id, "what": name} for each in done for name in each.left_out]
    zeros = dict.fromkeys(("rows", *_ROWS, *_MORE), 0)
    return {**zeros, **counts, "left_out": left_out, "skipped": skipped}


def _print_names(title: str, names: Sequence[str]) -> None:
    for name in names:
        out.say(f"{title}: {name}")


def _steps() -> Steps:
    return Steps(BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), in_turn=True)


def _table(title: str, counts: Mapping[str, int]) -> Rows:
    table = Rows("what", "rows", title=title, right_from=1)
    for names in (_ROWS, _MORE):
        for name, words in names.items():
            if counts.get(name):
                table.add_row(words, f"{counts[name]:,}")
        if names is _ROWS:
            table.add_section()
            table.add_row("rows in all", f"{counts.get('rows', 0):,}")
            table.add_section()
    return table
