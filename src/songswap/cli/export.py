"""``songswap export``: hands over what is stored of a user, and shows how much it is."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TaskProgressColumn, TimeRemainingColumn

from songswap.clock import utc_now
from songswap.terminal.console import JsonOption, Rows, Steps, log_to_stderr, out, print_json

# The counts, in words.
_COUNTS = {
    "plays": "plays",
    "tracks": "tracks",
    "artists": "artists",
    "streams": "rows of imported exports",
    "gaps": "gaps",
    "imports": "imports",
    "rejected_items": "rejected items",
    "listens": "plays in ListenBrainz' form",
    "listens_left_out": "  without a name, left out of it",
    "spotify_rows": "streams in Spotify's form",
}


def export(
    user: Annotated[
        int, typer.Argument(min=0, metavar="USER", help="The user's id in the warehouse.")
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.zip",
            help="The zip to write; userID_songswap_DATE.zip in this folder if left out.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if there is one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hand over all that is stored of a user: one zip, which only you can read.

    It has the plays and all other tables as CSV and JSON Lines, as they are at one moment, and the
    plays in forms that other services import. Its README explains each file. 'songswap import'
    reads it back. No load waits for it. Docs: docs/handover.md.
    """
    from songswap import settings
    from songswap.pipelines.export_user import default_name, export_user
    from songswap.settings.retention import retention
    from songswap.supervision.interrupt import stoppable

    log_to_stderr()
    config = settings.from_environment(os.environ)
    keep_days = retention(os.environ).rows.days
    path = (to or Path(default_name(user, utc_now()))).absolute()
    steps = Steps(BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), in_turn=True)
    # Stopped, it leaves no part of a person's data.
    with stoppable(), steps as progress:
        done = export_user(config, user, path, keep_days, progress, replaces=force)
    counts = {name: done.counts.get(name, 0) for name in _COUNTS}
    if as_json:
        print_json({"user": user, "file": str(done.file), "bytes": done.size, **counts})
    else:
        out.print(_table(user, counts))
        out.say(f"Written: {done.file} ({done.size / 2**20:,.1f} MB). It is personal data.")


def _table(user: int, counts: Mapping[str, int]) -> Rows:
    table = Rows("what", "rows", title=f"What is stored of user {user}", right_from=1)
    for name, words in _COUNTS.items():
        if counts[name] or name != "listens_left_out":
            table.add_row(words, f"{counts[name]:,}")
    return table
