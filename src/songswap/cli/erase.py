"""``songswap erase``: shows what would go, asks, erases a user, and prints the receipt."""

import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

from songswap.terminal.console import (
    JsonOption,
    Rows,
    Steps,
    err,
    log_to_stderr,
    minute,
    out,
    print_json,
)

if TYPE_CHECKING:
    from songswap.pipelines.receipts import Preview, Receipt
    from songswap.warehouse.erasures import Place

_NAMES = {"warehouse": "warehouse", "s3": "S3"}

_TITLES = {
    # Rows that stay, without the user.
    "songswap.runs": "songswap.runs (taken out)",
    "songswap.steps": "songswap.steps (taken out)",
    "songswap.snapshots": "songswap.snapshots (taken out)",
    "unlisted": "whose versions the server cannot list",
}


def erase(
    user: Annotated[
        int | None,
        typer.Argument(min=0, metavar="USER", help="The user's id.", show_default=False),
    ] = None,
    keep_account: Annotated[
        bool,
        typer.Option("--keep-account", help='Leave the row of "Users", and the sign-in.'),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be removed.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for the id as a confirmation.")
    ] = False,
    receipts: Annotated[
        bool, typer.Option("--receipts", help="Show the receipts of earlier erasures instead.")
    ] = False,
    due: Annotated[
        bool,
        typer.Option("--due", help="Show instead who has to be erased, and by which day."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase a user for good: in the warehouse, in S3 and in the spool of every host.

    From the request on nothing of the user is polled or loaded, until the user authorizes the app
    again. Can be stopped at any time and started again. Exits with 0 when all is done everywhere;
    with 1 while something waits, mostly for a host: then the same command goes on later.

    Reads the settings from the environment, see .env.example, and removes objects with
    SongSwap_S3_Erase.
    """
    from songswap import settings
    from songswap.pipelines import erase as erasure

    log_to_stderr()
    config = settings.from_environment(os.environ)
    if due:
        from songswap.cli.erase_due import show_due

        show_due(config, in_json=as_json)
        return
    if user is None:
        raise typer.BadParameter("Say which user: songswap erase USER.", param_hint="USER")
    if receipts:
        _print_receipts(erasure.receipts(config, user), as_json, user)
        return
    preview = erasure.look(config, user, keeps_account=keep_account)
    if dry_run and as_json:
        print_json(preview.as_json())
        return
    (out if dry_run else err).print(_preview_table(preview))
    if preview.archive_problem:
        err.say(preview.archive_problem)
    if dry_run:
        return
    if not (yes or preview.is_done):
        _confirm(user)
    erasure_id = erasure.request(config, user, keeps_account=keep_account)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Steps(*columns) as progress:
        receipt = erasure.proceed(config, erasure_id, progress)
    if as_json:
        print_json(receipt.as_json())
    else:
        out.print(_receipt_table(receipt))
    _require_complete(receipt)


def _confirm(user: int) -> None:
    typed = typer.prompt(f"This cannot be undone. Type {user} to erase user {user}", err=True)
    if typed.strip() != str(user):
        err.say(f"That is not {user}.")
        raise typer.Abort


def _print_receipts(found: "list[Receipt]", as_json: bool, user: int) -> None:
    if as_json:
        print_json({"receipts": [receipt.as_json() for receipt in found]})
        return
    for receipt in found:
        out.print(_receipt_table(receipt))
        for sentence in receipt.waiting:
            out.say(sentence)
    if not found:
        out.say(f"No erasure of user {user} is recorded.")


def _require_complete(receipt: "Receipt") -> None:
    """Say what waits, if anything does.

    Raises:
        Exit: something does.
    """
    if receipt.is_complete:
        return
    for sentence in receipt.waiting:
        err.say(sentence)
    err.say(
        "The erasure is not complete. Nothing of the user is polled or loaded meanwhile. The next"
        " run of the DAG erase_due_users goes on with it, and so does this command: run it again."
    )
    raise typer.Exit(1)


def _preview_table(preview: "Preview") -> Rows:
    title = f"What an erasure of user {preview.user_id} removes"
    if preview.requested_at:
        title += f" (requested {minute(preview.requested_at.isoformat())} UTC)"
    table = Rows("place", "what", "how much", title=title)
    table.columns[2].justify = "right"
    for place, counts in (("warehouse", preview.rows), ("S3", preview.archive)):
        unknown = "nothing" if counts is not None else "not known"
        for row in _counted(place, counts or {}, unknown):
            table.add_row(*row)
    for host in preview.hosts:
        table.add_row(host, "its spool, at its next drain", "")
    return table


def _receipt_table(receipt: "Receipt") -> Rows:
    erasure = receipt.erasure
    title = (
        f"Erasure {erasure.erasure_id} of user {erasure.user_id}"
        f"{', who keeps the account' if erasure.keeps_account else ''},"
        f" requested {minute(erasure.requested_at.isoformat())} UTC"
    )
    table = Rows("place", "what", "how much", "confirmed (UTC)", title=title)
    table.columns[2].justify = "right"
    for place in receipt.places:
        name = _NAMES.get(place.place) or place.host or place.place
        for row in _counted(name, place.removed, "nothing"):
            table.add_row(*row, _confirmed(place) if row[0] else "")
    return table


def _counted(place: str, counts: dict[str, int], otherwise: str) -> list[tuple[str, str, str]]:
    """Rows of a place, which only the first one names, the largest numbers first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        (
            "" if number else place,
            _TITLES.get(kind, kind),
            f"{count:,}",
        )
        for number, (kind, count) in enumerate(ordered)
        if count
    ] or [(place, otherwise, "")]


def _confirmed(place: "Place") -> str:
    return minute(place.confirmed_at.isoformat()) if place.confirmed_at else "waits"
