"""``songswap spool``: list, show, retry or drop the responses that wait on this machine."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songswap.cli.command import WithSettings, examples, new_run_id, open_warehouse
from songswap.errors import CorruptResponse, SpoolError
from songswap.terminal.console import JsonOption, Rows, err, log_to_stderr, out, print_json

if TYPE_CHECKING:
    from songswap.storage.records import Entry
    from songswap.storage.spool import Spool

spool = typer.Typer(
    help="List the responses that wait for S3 or the warehouse; retry or drop them.",
    no_args_is_help=True,
)


@spool.command("list", cls=WithSettings, epilog=examples("spool list --json"))
def list_all(as_json: JsonOption = False) -> None:
    """List the waiting responses, oldest first: for what they wait, how long, and why.

    Reads SONGSWAP_SPOOL. Tokens that wait for the warehouse are counted, never shown. For each
    broken spool file the list says what was saved from it and what is lost.
    """
    with _open() as opened:
        report = {**_report(opened, opened.entries()), "broken": _broken(opened)}
    if as_json:
        print_json(report)
    else:
        out.print(_table(report))
        for file in report["broken"]:
            out.say(file["text"])


@spool.command(cls=WithSettings, epilog=examples("spool show 17"))
def show(
    id_: Annotated[int, typer.Argument(metavar="ID", min=1, help="As 'list' shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Show one waiting response: its user, its key in S3, and the number and span of its plays."""
    with _open() as opened:
        (entry,) = _choose(opened, [id_])
        (row,) = _report(opened, [entry])["responses"]
        details = {**row, "key": entry.key, **_plays(opened, entry)}
    if as_json:
        print_json(details)
        return
    table = Rows("what", "", title=f"Response {id_}")
    for name, value in details.items():
        text = ", ".join(value) if isinstance(value, list) else str("–" if value is None else value)
        table.add_row(name.replace("_", " "), text)
    out.print(table)


@spool.command(cls=WithSettings, epilog=examples("spool retry", "spool retry 17 18"))
def retry(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", help="All if none is given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Deliver what waits to S3 and the warehouse, as each hourly load does first.

    Reads the settings from the environment, see .env.example. Exits with 1 when any of it still
    waits, and shows why.
    """
    from songswap import settings
    from songswap.clock import utc_now
    from songswap.pipelines import drain, run_counts

    log_to_stderr()
    config = settings.from_environment(os.environ)
    with _open() as opened:
        chosen = {entry.id for entry in (_choose(opened, ids) if ids else opened.entries())}
        with open_warehouse(config.warehouse_dsn) as connection:
            counts = drain.drain_spool(
                config, connection, opened, new_run_id("spool"), utc_now, only=chosen
            )
        report = _report(opened, [entry for entry in opened.entries() if entry.id in chosen])
    waiting = len(report["responses"])
    if as_json:
        print_json({"counts": run_counts.as_json(counts), **report})
    else:
        err.say(f"{len(chosen) - waiting:,} responses left the spool, {waiting:,} still wait.")
        if waiting:
            out.print(_table(report))
    raise typer.Exit(int(waiting > 0))


@spool.command(cls=WithSettings, epilog=examples("spool drop 17", "spool drop --damaged-tokens"))
def drop(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", help="As 'list' shows them.")
    ] = None,
    damaged_tokens: Annotated[
        bool, typer.Option("--damaged-tokens", help="Also tokens that cannot be read.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete responses, or damaged tokens, for good, after showing what is lost with them."""
    if not ids and not damaged_tokens:
        raise typer.BadParameter("Name responses by their ids, or --damaged-tokens.")
    with _open() as opened:
        chosen = _choose(opened, ids or [])
        for entry in chosen:
            err.say(f"{entry.id}: {_loss(opened, entry)}")
        users = opened.damaged_tokens() if damaged_tokens else []
        for user_id in users:
            err.say(
                f"the tokens of user {user_id}, which cannot be read: if Spotify rejects the user's"
                " earlier ones, the user has to authorize again."
            )
        if not yes:
            typer.confirm("Delete for good?", abort=True, err=True)
        opened.drop(entry.id for entry in chosen)
        if users:
            opened.drop_damaged_tokens()
    err.say(f"Dropped {len(chosen):,} responses, and the tokens of {len(users):,} users.")


def _open() -> "Spool":
    """Open the spool; unlike `Spool` itself, do not create a missing one."""
    from songswap import settings
    from songswap.storage.spool import Spool

    opened = Spool(settings.spool_folder(os.environ))
    if not opened.path.exists():
        raise SpoolError(
            f"There is no spool in {opened.path.parent} (SONGSWAP_SPOOL): no load has run with it"
            " on this machine."
        )
    return opened


def _choose(opened: "Spool", ids: list[int]) -> list["Entry"]:
    entries = {entry.id: entry for entry in opened.entries()}
    missing = sorted(set(ids) - entries.keys())
    if missing:
        raise SpoolError(
            f"The spool has no response {', '.join(map(str, missing))}: it was delivered, dropped,"
            " or never existed. Nothing was done."
        )
    return [entries[id_] for id_ in dict.fromkeys(ids)]


def _report(opened: "Spool", entries: list["Entry"]) -> dict[str, Any]:
    """These responses, and the spool's tokens and size, for JSON."""
    from songswap.clock import utc_now

    now = utc_now()
    responses = [
        {
            "id": entry.id,
            "run_id": entry.run_id,
            "user_id": entry.user_id,
            "observed_at": entry.observed_at.isoformat(),
            "age_s": round((now - entry.observed_at).total_seconds()),
            "waits_for": ["S3"] * (not entry.archived) + ["warehouse"] * (not entry.loaded),
            "bytes": entry.size,
            "problem": entry.problem,
        }
        for entry in entries
    ]
    return {
        "responses": responses,
        "tokens": len(opened.tokens()),
        "damaged_tokens": opened.damaged_tokens(),
        "bytes": opened.size(),
    }


def _broken(opened: "Spool") -> list[dict[str, Any]]:
    """The broken files that still lie beside the spool: what was saved from each, what is lost."""
    return [
        {
            "file": recovery.file,
            "found_at": recovery.found_at.isoformat(),
            "responses_saved": recovery.responses,
            "tokens_saved": recovery.tokens,
            "responses_lost": [
                {"user_id": user or None, "responses": number}
                for user, number in sorted(recovery.lost_responses.items())
            ],
            "tokens_lost": [user or None for user in recovery.lost_tokens],
            "text": str(recovery),
        }
        for recovery in opened.recoveries()
        if opened.path.with_name(recovery.file).exists()
    ]


def _table(report: dict[str, Any]) -> Rows:
    responses = report["responses"]
    table = Rows("id", "run", "user", "age", "waits for", "KB", "problem")
    for row in responses:
        hours, minutes = divmod(row["age_s"] // 60, 60)
        table.add_row(
            str(row["id"]),
            row["run_id"],
            str(row["user_id"]),
            f"{hours}:{minutes:02d} h",
            ", ".join(row["waits_for"]),
            f"{row['bytes'] / 1024:,.1f}",
            row["problem"] or "",
        )
    table.caption = (
        f"{len(responses):,} responses; the tokens of {report['tokens']:,} users;"
        f" {report['bytes'] / 2**20:,.1f} MB in use"
    )
    if report["damaged_tokens"]:
        users = ", ".join(map(str, report["damaged_tokens"]))
        table.caption += f"; damaged, and lost: the tokens of the users {users}"
    return table


def _plays(opened: "Spool", entry: "Entry") -> dict[str, Any]:
    """The number of plays in a response, and the times of the first and the last."""
    from songswap.models import Catalogue
    from songswap.transform import recent_plays

    response = opened.find(entry.id)
    try:
        rows = recent_plays.transform(
            response.body, response.user_id, response.observed_at, Catalogue()
        )
    except CorruptResponse as error:
        return {
            **dict.fromkeys(("plays", "first_play", "last_play")),
            "problem": str(error),
        }
    times = sorted(play.played_at for play in rows.plays)
    first, last = (times[0].isoformat(), times[-1].isoformat()) if times else (None, None)
    return {"plays": len(times), "first_play": first, "last_play": last}


def _loss(opened: "Spool", entry: "Entry") -> str:
    """What is lost with a response."""
    found = _plays(opened, entry)
    if found["plays"] is None:
        plays = f"a damaged response of user {entry.user_id}, which cannot be read;"
    else:
        span = f" from {found['first_play']} to {found['last_play']}" if found["plays"] else ""
        plays = f"{found['plays']} plays of user {entry.user_id}{span};"
    if entry.loaded:
        return f"{plays} the warehouse has them, S3 lacks the raw response."
    if entry.archived:
        return f"{plays} not loaded, but the raw response is in S3: {entry.key}"
    return f"{plays} neither loaded nor in S3: plays that Spotify no longer returns are lost."
