"""``songswap status``: how the warehouse stands, as a table or JSON."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songswap.terminal.console import JsonOption, Rows, as_json, out, print_json, shortened

if TYPE_CHECKING:
    from songswap.warehouse.status import Status

_MISSING = {"missing": "missing", "waiting": "asked later", "unknown": "unknown to Spotify"}
_MISSING_SHORT = {"missing": "missing", "waiting": "later", "unknown": "unknown"}
_SHOWN_GAPS = 3
_NAME_CELLS = 12


def status(
    all_: Annotated[
        bool,
        typer.Option("--all", help="Show zeros, each share and the last 20 gaps too."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how the last run ended, what waits or is missing, and what is in the warehouse.

    Reads AIRFLOW_CONN_SONGSWAP_RDS, and the spool if SONGSWAP_SPOOL is set. Changes nothing.
    """
    from songswap import settings
    from songswap.clock import utc_now
    from songswap.pipelines.enrich import KINDS
    from songswap.warehouse.connection import connect
    from songswap.warehouse.migrate import require_schema
    from songswap.warehouse.status import read

    with connect(settings.warehouse_dsn(os.environ)) as connection:
        require_schema(connection)
        found = read(connection, KINDS, utc_now())
    told = _told(found) | {"spool": _spool()}
    if as_json:
        print_json(told)
        return
    for pause in told["pauses"]:
        out.say(_pause(pause), "bold yellow")
    for column in told["narrow_columns"]:
        out.say(column["sentence"])
    if all_:
        out.print(_table(told), *_gaps(told["newest_gaps"]), sep="\n")
    else:
        out.print(_summary(told))


def _spool() -> dict[str, int] | None:
    """How many answers wait there; None if there is no spool on this machine."""
    from songswap.storage.spool import Spool

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
        "rejected_items": found.rejected_items,
        "grants": found.grants,
        "narrow_columns": [
            column._asdict() | {"sentence": column.sentence} for column in found.narrow_columns
        ],
        "requests": found.requests._asdict(),
    }


def _summary(told: Mapping[str, Any]) -> Rows:
    """What an operator looks for first, without what is nothing: 24 lines of 80 columns."""
    grid = Rows(box=None, show_header=False, pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column()
    for what, text in _lines(told):
        grid.add_row(what, text)
    grid.add_row("More", "songswap status --all")
    return grid


def _lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    run, spool = told["last_run"], told["spool"]
    yield (
        "Last run",
        f"{run['state']}, {_minute(run['started_at'])} UTC, {run['run_id']}" if run else "none yet",
    )
    if spool is not None:
        yield "Waiting", _present((count, what) for what, count in _waiting(spool)) or "nothing"
    yield "Open gaps", f"{told['gaps']:,}, found last:" if told["gaps"] else "none"
    for gap in told["newest_gaps"][:_SHOWN_GAPS]:
        name = shortened(gap["username"], _NAME_CELLS)
        times = f"{_minute(gap['after'])} to {_minute(gap['before'])}"
        yield "", f"user {gap['user_id']} ({name}), {times}"
    states = _present((count, state) for state, count in told["grants"].items())
    ill = sum(told["grants"].values()) - told["grants"]["active"]
    yield "Grants", f"{states or 'none'}{' (songswap grants)' if ill else ''}"
    label = "Missing"
    for kind, counts in told["missing"].items():
        if lacks := _present((count, _MISSING_SHORT[name]) for name, count in counts.items()):
            yield label, f"{kind}: {lacks}"
            label = ""
    feeds = told["feeds"]
    quiet = ((feeds["empty"], "never told of a play"), (feeds["quiet"], "of none for a day"))
    if any(feeds.values()):
        yield "Feeds", _present(quiet)
    if told["rejected_items"]:
        yield "Set aside", f"{told['rejected_items']:,}"
    tokens = f", {told['users_with_tokens']:,} of them with tokens"
    yield "Users", f"{told['users']:,}{tokens}" if told["users"] else "none"
    newest = f", the newest at {_second(told['newest_play'] or '')} UTC"
    yield "Plays", f"{told['plays']:,}{newest}" if told["plays"] else "none"
    for of in ("tracks", "artists"):
        total, having = told[of]["total"], told[of]["having"]
        shares = ", ".join(f"{name} {100 * n // total}%" for name, n in having.items() if n)
        if total:
            yield of.title(), f"{total:,}{f': {shares}' if shares else ''}"
    if told["requests"]["last_day"]:
        yield "Requests", f"{told['requests']['last_day']:,} in the last 24 hours"


def _waiting(spool: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield "for S3", spool["waiting_for_s3"]
    yield "for the warehouse", spool["waiting_for_warehouse"]
    yield "users' tokens", spool["waiting_tokens"]


def _present(counts: Iterable[tuple[int, str]]) -> str:
    """Counts in words, without those that are zero."""
    return ", ".join(f"{count:,} {what}" for count, what in counts if count)


def _table(told: dict[str, Any]) -> Rows:
    table = Rows("what", "number", "share", title="How the warehouse stands")
    for column in table.columns[1:]:
        column.justify = "right"
    for section in _sections(told):
        for what, number, share in section:
            table.add_row(what, f"{number:,}" if isinstance(number, int) else number, share)
        table.add_section()
    return table


def _pause(pause: Mapping[str, Any]) -> str:
    name = "ReccoBeats" if pause["app"] == "reccobeats" else "Spotify"
    return f"Paused by {name} until {_second(pause['until'])} UTC: no requests before."


def _gaps(told: list[dict[str, Any]]) -> Iterator[Rows]:
    """A table of gaps, if there are any."""
    if told:
        columns = ("user", "name", "after", "before", "found")
        table = Rows(*columns, title="Open gaps found last: plays are missing between (UTC)")
        for column in table.columns[2:]:
            column.no_wrap = True
        for gap in told:
            table.add_row(
                str(gap["user_id"]),
                gap["username"],
                *(_minute(gap[name]) for name in ("after", "before", "found_at")),
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
        ("newest play (UTC)", _second(told["newest_play"] or "–"), ""),
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
        ("set aside", told["rejected_items"], ""),
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


def _second(moment: str) -> str:
    return moment[:19].replace("T", " ")


def _minute(moment: str) -> str:
    return _second(moment)[:16]


def _share(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else "–"
