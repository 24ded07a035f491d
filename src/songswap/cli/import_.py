"""``songswap import``: exports in, what became of each of their rows out."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, TaskProgressColumn, TimeRemainingColumn

from songswap.cli.engine import Engine, EngineOption, MasterOption, ProcessesOption, run_parallel
from songswap.errors import FIND_ID
from songswap.terminal.console import JsonOption, Rows, Steps, err, log_to_stderr, out, print_json

if TYPE_CHECKING:
    from songswap.pipelines.import_export import Imported
    from songswap.settings import Settings

# What a row can become, in the words of a person.
_ROWS = {
    "loaded": "new plays",
    "merged": "plays that the API had told",
    "duplicates": "known from an earlier import",
    "repeated": "a second time in this export",
    "short": "not listened to for long enough",
    "private": "in a private session",
    "unidentified": "without an id: local files, or names of several tracks",
    "podcast": "podcasts",
    "audiobook": "audiobooks",
    "video": "video",
    "rejected_items": "unreadable, set aside with the reason",
}
_MORE = {
    "tracks": "tracks that were new",
    "gaps_closed": "gaps that it filled",
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
            help="Import it although another name at Spotify stands in it, or hardly anything of"
            " what the API told of the user. Needs --user.",
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

    if user is None and trust:
        raise typer.BadParameter(
            "--trust is for one export: import the others first, then that one alone, with --user"
            f" ID --trust. {FIND_ID}"
        )
    if user is None and len(files) > 1:
        raise typer.BadParameter(f"Whose is it? Say --user ID. {FIND_ID}")
    log_to_stderr()
    read = settings.from_environment(os.environ)
    if user is not None:
        _import_one(read, user, files, trust, as_json)
    else:
        _import_many(read, files[0], partial(run_parallel, engine, master, processes), as_json)


def _import_one(read: "Settings", user: int, files: list[str], trust: bool, as_json: bool) -> None:
    from songswap.errors import ExportRefused
    from songswap.pipelines.import_export import import_files, import_package
    from songswap.storage.export_inbox import is_inbox, package_of

    run_id = _run_id()
    import_id = f"{run_id}__user{user}"
    with _steps() as told:
        if len(files) == 1 and is_inbox(files[0]):
            package = package_of(user, files[0], read.library)
            done = import_package(read, run_id, package, progress=told, trust=trust)
            if done.problem:
                raise ExportRefused(done.problem)
        else:
            paths = [Path(file) for file in files]
            done = import_files(read, user, paths, import_id, told, trust=trust)
    if as_json:
        about = {"user": user, "import_id": import_id}
        print_json(about | _as_json([done], done.counts, skipped=[]))
    else:
        out.print(_table(f"What became of the export of user {user}", done.counts))
        _print_names("Left out, and may be a history", done.left_out)


def _import_many(
    read: "Settings", source: str, spread_over: Callable[..., Any], as_json: bool
) -> None:
    from songswap.pipelines.import_export import import_package, total
    from songswap.storage.export_inbox import find_exports

    waiting = find_exports(source, read.library)
    found = waiting.packages
    done: list[Imported] = []
    rows = 0
    with _steps() as told:
        for one in spread_over(partial(import_package, read, _run_id()), found):
            done.append(one)
            rows += one.counts.get("rows", 0)
            told("users", len(done), len(found), f"{rows:,} rows")
    counts = total(done)
    refused = {one.user_id: one.problem for one in done if one.problem}
    if as_json:
        told_of = {"users": len(done), "refused": refused}
        print_json(told_of | _as_json(done, counts, waiting.skipped))
    else:
        out.print(_table(f"What became of the exports of {len(done):,} users", counts))
        names = [f"User {one.user_id}: {name}" for one in done for name in one.left_out]
        _print_names("Left out, and may be a history", names)
        _print_names("Skipped", waiting.skipped)
    for user, problem in refused.items():
        err.say(f"User {user}: {problem}")
    raise typer.Exit(int(bool(refused)))


def _as_json(
    done: Sequence["Imported"], counts: Mapping[str, int], skipped: Sequence[str]
) -> dict[str, Any]:
    """The keys that both forms have, whether there was something to count or not."""
    left_out = [{"user": one.user_id, "what": name} for one in done for name in one.left_out]
    zeros = dict.fromkeys(("rows", *_ROWS, *_MORE), 0)
    return {**zeros, **counts, "left_out": left_out, "skipped": skipped}


def _print_names(title: str, names: Sequence[str]) -> None:
    """What somebody may miss."""
    for name in names:
        out.say(f"{title}: {name}")


def _steps() -> Steps:
    return Steps(BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), in_turn=True)


def _run_id() -> str:
    from songswap.clock import utc_now

    return f"import__{utc_now():%Y-%m-%dT%H:%M:%S.%f%z}"


def _table(title: str, counts: Mapping[str, int]) -> Rows:
    table = Rows("what", "rows", title=title)
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
