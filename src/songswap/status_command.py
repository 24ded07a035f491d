"""``songswap status``: how the warehouse stands, as a table or JSON."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from songswap.terminal import JsonOption, as_json

if TYPE_CHECKING:
    from songswap.warehouse.status import Status

_MISSING = {"missing": "missing", "waiting": "asked later", "unknown": "unknown to Spotify"}


def status(
    as_json: JsonOption = False,
) -> None:
    """Show what is in the warehouse, how complete it is, and what waits.

    Reads AIRFLOW_CONN_SONGSWAP_RDS, and the spool if SONGSWAP_SPOOL is set. Changes nothing.
    """
    from songswap import settings
    from songswap.enrich import KINDS
    from songswap.spotify.client import utc_now
    from songswap.warehouse.connection import connect
    from songswap.warehouse.migrate import require_schema
    from songswap.warehouse.status import read

    with connect(settings.warehouse_dsn(os.environ)) as connection:
        require_schema(connection)
        found = read(connection, KINDS, utc_now())
    told = _told(found) | {"spool": _spool()}
    if as_json:
        typer.echo(json.dumps(told))
    else:
        columns = [Text(column["sentence"]) for column in told["narrow_columns"]]
        gaps = _gaps(told["newest_gaps"])
        Console().print(*_pauses(told["pauses"]), *columns, _table(told), *gaps, sep="\n")


def _spool() -> dict[str, int] | None:
    """How many answers wait there; None if there is no spool on this machine."""
    from songswap.raw.spool import Spool

    spool = Spool(Path(os.environ.get("SONGSWAP_SPOOL", "")))
    if not os.environ.get("SONGSWAP_SPOOL") or not spool.path.exists():
        return None
    with spool:
        to_archive, to_load = spool.waiting()
        waiting_tokens = len(spool.tokens())
    return {
        "waiting_for_s3": to_archive,
        "waiting_for_warehouse": to_load,
        "waiting_tokens": waiting_tokens,
    }


def _told(found: "Status") -> dict[str, Any]:
    run = found.last_run
    return {
        "pauses": [as_json(one._asdict()) for one in found.pauses],
        "users": found.users,
        "users_with_tokens": found.users_with_tokens,
        "plays": found.plays,
        "newest_play": found.newest_play.isoformat() if found.newest_play else None,
        "last_run": as_json(run._asdict()) if run else None,
        "tracks": found.tracks._asdict(),
        "artists": found.artists._asdict(),
        "missing": {
            kind: {name: getattr(one, name) for name in _MISSING}
            for kind, one in found.missing.items()
        },
        "gaps": found.gaps,
        "newest_gaps": [as_json(gap._asdict()) for gap in found.newest_gaps],
        "feeds": found.feeds._asdict(),
        "set_aside": found.set_aside,
        "grants": found.grants,
        "narrow_columns": [
            column._asdict() | {"sentence": column.sentence} for column in found.narrow_columns
        ],
        "requests": found.requests._asdict(),
    }


def _table(told: dict[str, Any]) -> Table:
    table = Table("what", "number", "share", title="How the warehouse stands")
    for column in table.columns[1:]:
        column.justify = "right"
    for section in _sections(told):
        for what, number, share in section:
            table.add_row(what, f"{number:,}" if isinstance(number, int) else number, share)
        table.add_section()
    return table


def _pauses(told: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each pause that holds."""
    for pause in told:
        name = "ReccoBeats" if pause["app"] == "reccobeats" else "Spotify"
        until = pause["until"][:19].replace("T", " ")
        yield f"[bold yellow]Paused by {name} until {until} UTC:[/] no requests before."


def _gaps(told: list[dict[str, Any]]) -> Iterator[Table]:
    """A table of gaps, if there are any."""
    if told:
        columns = ("user", "name", "after", "before", "found")
        table = Table(*columns, title="Open gaps found last: plays are missing between (UTC)")
        for gap in told:
            table.add_row(
                str(gap["user_id"]),
                gap["username"],
                *(gap[name][:19].replace("T", " ") for name in ("after", "before", "found_at")),
            )
        yield table


def _sections(told: dict[str, Any]) -> Iterator[list[tuple[str, int | str, str]]]:
    run, spool, requests = told["last_run"], told["spool"], told["requests"]
    yield [
        ("users", told["users"], ""),
        (
            "  with tokens",
            told["users_with_tokens"],
            _share(told["users_with_tokens"], told["users"]),
        ),
        ("plays", told["plays"], ""),
        ("newest play (UTC)", (told["newest_play"] or "–")[:19].replace("T", " "), ""),
        (f"last run: {run['run_id']}" if run else "last run", run["state"] if run else "–", ""),
    ]
    for of in ("tracks", "artists"):
        total, having = told[of]["total"], told[of]["having"]
        rows = [(f"  with {name}", count, _share(count, total)) for name, count in having.items()]
        yield [(of, total, ""), *rows]
    yield [
        (f"{kind}: {_MISSING[name]}", count, "")
        for kind, counts in told["missing"].items()
        for name, count in counts.items()
    ]
    yield [
        ("open gaps", told["gaps"], ""),
        ("feeds that never told of a play", told["feeds"]["empty"], ""),
        ("feeds without a play for a day", told["feeds"]["quiet"], ""),
        ("set aside", told["set_aside"], ""),
        *((f"grants {state}", count, "") for state, count in told["grants"].items()),
        *((name.replace("_", " "), count, "") for name, count in (spool or {}).items()),
    ]
    yield [
        ("requests in the last 24 hours", requests["last_day"], ""),
        ("  taken in a day, as learned", _learned(requests["per_day"]), ""),
        ("  taken in 30 seconds, as learned", _learned(requests["per_window"]), ""),
    ]


def _learned(limit: int | None) -> int | str:
    return "no limit met" if limit is None else limit


def _share(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else "–"
