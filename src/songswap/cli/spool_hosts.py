"""``songswap spool hosts`` and ``forget``: what waits on all hosts, by their last reports."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songswap.cli.command import open_warehouse
from songswap.errors import SpoolError
from songswap.terminal.console import JsonOption, Rows, as_json, err, minute, out, print_json

if TYPE_CHECKING:
    from songswap.warehouse.spools import HostSpool


def hosts(json_wanted: JsonOption = False) -> None:
    """List the spools of all hosts: what waits in each by its last report, and since when.

    Reads AIRFLOW_CONN_SONGSWAP_RDS. A host that has not reported for 30 minutes is silent.
    """
    from songswap import settings
    from songswap.warehouse import spools

    with open_warehouse(settings.warehouse_dsn(os.environ)) as connection:
        found = spools.find(connection)
    if json_wanted:
        rows = [as_json({**host._asdict(), "spool_id": str(host.spool_id)}) for host in found]
        print_json({"hosts": rows})
        return
    out.print(_table(found))


def forget(
    host: Annotated[str, typer.Argument(metavar="HOST", help="As 'hosts' shows it, or its id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Forget a silent host whose disk is gone, after showing what is lost with it.

    Runs stop being red for what waited there. Users whose newest tokens may have been there are
    settled by the next run. Erasures of users wait for it no more, as their receipts say. If the
    host comes back all the same, its next drain erases these users, then stores what it has.
    """
    from songswap import settings
    from songswap.warehouse import spools

    with open_warehouse(settings.warehouse_dsn(os.environ)) as connection:
        chosen = _silent(spools.find(connection), host)
        for spool in chosen:
            err.say(_loss(spool))
        if not yes:
            typer.confirm("Forget it?", abort=True, err=True)
        spools.forget(connection, [spool.spool_id for spool in chosen])
    err.say(f"Forgot {len(chosen):,} {'spool' if len(chosen) == 1 else 'spools'} of host {host}.")


def _silent(found: list["HostSpool"], name: str) -> list["HostSpool"]:
    """The silent spools of a host, or with an id.

    Raises:
        SpoolError: there is none.
    """
    named = [spool for spool in found if name in (spool.host, str(spool.spool_id))]
    if not named:
        raise SpoolError(
            f"No host {name} has reported: 'songswap spool hosts' lists them. Nothing was done."
        )
    if silent := [spool for spool in named if spool.is_silent]:
        return silent
    last = max(spool.seen_at for spool in named)
    raise SpoolError(
        f"Host {name} reported at {last:%H:%M:%S} UTC: it is not silent. Nothing was done. What"
        " waits there is stored by its next drain; if its disk has just been lost, wait until it"
        " has been silent for 30 minutes."
    )


def _loss(spool: "HostSpool") -> str:
    """What is lost with a host."""
    at = f"Host {spool.host} (spool {spool.spool_id}), last seen {spool.seen_at:%Y-%m-%d %H:%M} UTC"
    erasures = _unerased(spool.erasures) if spool.erasures else ""
    if not (spool.waiting_since or spool.possible_tokens):
        return f"{at}: nothing waited there.{erasures}"
    return (
        f"{at}: {spool.waiting_for_warehouse:,} responses that are not loaded, and"
        f" {spool.waiting_for_s3:,} that are not in S3. Plays that Spotify still returns are loaded"
        " by the next run; those that it does not are lost. The tokens of"
        f" {spool.waiting_tokens:,} users are lost, and those of up to {spool.possible_tokens:,}"
        f" may be: the next run says which of these users have to authorize again.{erasures}"
    )


def _unerased(users: int) -> str:
    """What it means for users who are being erased."""
    return (
        f" The erasure of {users:,} {'user' if users == 1 else 'users'} is not confirmed there:"
        " what the disk holds of them, it holds for as long as it exists. Their receipts will say"
        " that the host was forgotten. Destroy the disk; if it comes back, its first drain erases"
        " them before anything else."
    )


def _table(found: list["HostSpool"]) -> Rows:
    columns = (
        "host",
        "seen (UTC)",
        "S3",
        "warehouse",
        "tokens",
        "since (UTC)",
        "to erase",
        "problem",
    )
    table = Rows(*columns, title="What waits on the hosts")
    for host in found:
        row: list[Any] = [
            host.host,
            f"{minute(host.seen_at.isoformat())}{' silent' if host.is_silent else ''}",
            f"{host.waiting_for_s3:,}",
            f"{host.waiting_for_warehouse:,}",
            f"{host.waiting_tokens:,}"
            + (f" (+{host.possible_tokens:,} maybe)" if host.possible_tokens else ""),
            minute(host.waiting_since.isoformat()) if host.waiting_since else "–",
            f"{host.erasures:,}",
            host.problem or "",
        ]
        table.add_row(*row)
    return table
