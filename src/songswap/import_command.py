"""``songswap import``: a user's export in, what became of each of its rows out."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from songswap.terminal import JsonOption, err, log_to_stderr

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
        list[Path], typer.Argument(help="The zip as Spotify sent it, its folder, or its files.")
    ],
    user: Annotated[int, typer.Option(help="The user's id in the warehouse.")],
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Import it although what the API told of the user is not in it."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import a user's whole streaming history, from the export that Spotify sends on request.

    Takes the extended streaming history and the account data; docs/import.md says how to get them.
    The same play told by the API is counted once. Can be stopped and started again at any time.
    Exits with 1 when the files are no export, or another user's: nothing is imported then.
    """
    from songswap import settings
    from songswap.importing import import_export
    from songswap.spotify.client import utc_now

    log_to_stderr()
    read = settings.from_environment(os.environ)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err) as progress:
        bars: dict[str, int] = {}

        def told(step: str, done: int, of: int) -> None:
            if step not in bars:
                bars[step] = progress.add_task(step, total=of or None)
                if not err.is_terminal:
                    err.print(f"{step} …")
            progress.update(bars[step], completed=done, total=of)  # type: ignore[arg-type]  # an id

        import_id = f"cli__{utc_now():%Y-%m-%dT%H:%M:%S.%f%z}__user{user}"
        counts = import_export(read, user, files, import_id, told, trust=trust)
    if as_json:
        typer.echo(json.dumps({"user": user, "import_id": import_id, **counts}))
    else:
        Console().print(_table(user, counts))


def _table(user: int, counts: Mapping[str, int]) -> Table:
    table = Table("what", "rows", title=f"What became of the export of user {user}")
    table.columns[1].justify = "right"
    for names in (_ROWS, _MORE):
        for name, words in names.items():
            if counts.get(name):
                table.add_row(words, f"{counts[name]:,}")
        if names is _ROWS:
            table.add_section()
            table.add_row("rows in all", f"{counts['rows']:,}")
            table.add_section()
    return table
