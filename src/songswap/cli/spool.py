"""``songswap spool``: what waits on this machine, and what an operator may do with it."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songswap.cli.command import WithSettings, examples
from songswap.errors import CorruptResponse, SpoolError
from songswap.terminal.console import JsonOption, Rows, err, log_to_stderr, out, print_json

if TYPE_CHECKING:
    from songswap.storage.records import Entry
    from songswap.storage.spool import Spool

spool = typer.Typer(
    help="Look at the answers that wait for S3 or the warehouse; retry or drop them.",
    no_args_is_help=True,
)


@spool.command("list", cls=WithSettings, epilog=examples("spool list --json"))
def list_all(as_json: JsonOption = False) -> None:
    """List the answers that wait, oldest first: for what, for how long, and why.

    Reads SONGSWAP_SPOOL. Tokens that wait for the warehouse are counted, never shown. Where a spool
    file was broken, it is said what was saved from it and what is lost.
    """
    with _open() as opened:
        told = {**_told(opened, opened.entries()), "broken": _broken(opened)}
    if as_json:
        print_json(told)
    else:
        out.print(_table(told))
        for one in told["broken"]:
            out.say(one["text"])


@spool.command(cls=WithSettings, epilog=examples("spool show 17"))
def show(
    id_: Annotated[int, typer.Argument(metavar="ID", min=1, help="As 'list' gives it.")],
    as_json: JsonOption = False,
) -> None:
    """Show one answer that waits: where it belongs, and how many plays it tells of, from when."""
    with _open() as opened:
        (entry,) = _choose(opened, [id_])
        (row,) = _told(opened, [entry])["responses"]
        told = {**row, "key": entry.key, **_plays(opened, entry)}
    if as_json:
        print_json(told)
        return
    table = Rows("what", "", title=f"Answer {id_}")
    for name, value in told.items():
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
    """Bring what waits to S3 and into the warehouse, as each hourly load does first.

    Reads the settings from the environment, see .env.example. Exits with 1 when any of it still
    waits; why stands beside it.
    """
    from songswap import settings
    from songswap.clock import utc_now
    from songswap.pipelines import load, run_counts
    from songswap.warehouse.connection import connect
    from songswap.warehouse.migrate import require_schema

    log_to_stderr()
    read = settings.from_environment(os.environ)
    with _open() as opened:
        chosen = {one.id for one in (_choose(opened, ids) if ids else opened.entries())}
        run_id = f"spool__{utc_now():%Y-%m-%dT%H:%M:%S.%f%z}"
        with connect(read.warehouse_dsn) as connection:
            require_schema(connection)
            counts = load.drain_spool(read, connection, run_id, utc_now, chosen)
        told = _told(opened, [one for one in opened.entries() if one.id in chosen])
    if as_json:
        print_json({"counts": run_counts.as_json(counts), **told})
    else:
        left = len(told["responses"])
        err.say(f"{len(chosen) - left:,} answers left the spool, {left:,} could not.")
        if left:
            out.print(_table(told))
    raise typer.Exit(int(bool(told["responses"])))


@spool.command(cls=WithSettings, epilog=examples("spool drop 17", "spool drop --damaged-tokens"))
def drop(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", help="As 'list' gives them.")
    ] = None,
    damaged_tokens: Annotated[
        bool, typer.Option("--damaged-tokens", help="Also tokens that cannot be read any more.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete answers, or damaged tokens, for good, after saying what is lost with them."""
    if not ids and not damaged_tokens:
        raise typer.BadParameter("Name answers by their ids, or --damaged-tokens.")
    with _open() as opened:
        chosen = _choose(opened, ids or [])
        for one in chosen:
            err.say(f"{one.id}: {_loss(opened, one)}")
        users = opened.damaged_tokens() if damaged_tokens else []
        for user_id in users:
            err.say(
                f"the tokens of user {user_id}, which nobody can read: if Spotify takes the ones"
                " before no more, the user has to authorize again."
            )
        if not yes:
            typer.confirm("Delete for good?", abort=True, err=True)
        opened.drop(one.id for one in chosen)
        if users:
            opened.drop_damaged_tokens()
    err.say(f"{len(chosen):,} answers dropped, the tokens of {len(users):,} users.")


def _open() -> "Spool":
    """The spool that is there; looking for one does not make it."""
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
    there = {one.id: one for one in opened.entries()}
    missing = sorted(set(ids) - there.keys())
    if missing:
        raise SpoolError(
            f"The spool has no answer {', '.join(map(str, missing))}: it left, or never was there."
            " Nothing was done."
        )
    return [there[id_] for id_ in dict.fromkeys(ids)]


def _told(opened: "Spool", entries: list["Entry"]) -> dict[str, Any]:
    """These answers, and what there is of tokens and bytes, for JSON."""
    from songswap.clock import utc_now

    now = utc_now()
    answers = [
        {
            "id": one.id,
            "run_id": one.run_id,
            "user_id": one.user_id,
            "observed_at": one.observed_at.isoformat(),
            "age_s": round((now - one.observed_at).total_seconds()),
            "waits_for": ["S3"] * (not one.archived) + ["warehouse"] * (not one.loaded),
            "bytes": one.size,
            "problem": one.problem,
        }
        for one in entries
    ]
    return {
        "responses": answers,
        "tokens": len(opened.tokens()),
        "damaged_tokens": opened.damaged_tokens(),
        "bytes": opened.size(),
    }


def _broken(opened: "Spool") -> list[dict[str, Any]]:
    """The broken files that still lie beside the spool: what was saved from them, what is lost."""
    return [
        {
            "file": one.file,
            "found_at": one.found_at.isoformat(),
            "responses_saved": one.responses,
            "tokens_saved": one.tokens,
            "responses_lost": [
                {"user_id": user or None, "responses": number}
                for user, number in sorted(one.lost_responses.items())
            ],
            "tokens_lost": [user or None for user in one.lost_tokens],
            "text": str(one),
        }
        for one in opened.recoveries()
        if opened.path.with_name(one.file).exists()
    ]


def _table(told: dict[str, Any]) -> Rows:
    answers = told["responses"]
    table = Rows("id", "run", "user", "age", "waits for", "KB", "problem")
    for row in answers:
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
        f"{len(answers):,} answers; the tokens of {told['tokens']:,} users;"
        f" {told['bytes'] / 2**20:,.1f} MB in use"
    )
    if told["damaged_tokens"]:
        users = ", ".join(map(str, told["damaged_tokens"]))
        table.caption += f"; damaged and of no use: the tokens of the users {users}"
    return table


def _plays(opened: "Spool", entry: "Entry") -> dict[str, Any]:
    """How many plays an answer tells of, and the times of the first and the last."""
    from songswap.models import Catalogue
    from songswap.transform import recent_plays

    kept = opened.find(entry.id)
    try:
        told = recent_plays.transform(kept.body, kept.user_id, kept.observed_at, Catalogue())
    except CorruptResponse as error:
        return {
            **dict.fromkeys(("plays", "first_play", "last_play")),
            "problem": str(error),
        }
    times = sorted(play.played_at for play in told.plays)
    first, last = (times[0].isoformat(), times[-1].isoformat()) if times else (None, None)
    return {"plays": len(times), "first_play": first, "last_play": last}


def _loss(opened: "Spool", entry: "Entry") -> str:
    told = _plays(opened, entry)
    if told["plays"] is None:
        plays = f"an answer of user {entry.user_id} that is damaged, nothing can be read of it;"
    else:
        span = f" from {told['first_play']} to {told['last_play']}" if told["plays"] else ""
        plays = f"{told['plays']} plays of user {entry.user_id}{span};"
    if entry.loaded:
        return f"{plays} the warehouse has them, S3 lacks the raw answer."
    if entry.archived:
        return f"{plays} not loaded, but the raw answer is in S3: {entry.key}"
    return f"{plays} neither loaded nor in S3: what Spotify tells no more is lost."
