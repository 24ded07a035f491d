"""``songswap status``: the state of the warehouse, as a table or JSON."""

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songswap.alerts.notices import in_hours
from songswap.cli.command import open_warehouse
from songswap.terminal.console import (
    JsonOption,
    Rows,
    as_json,
    minute,
    out,
    print_json,
    second,
    shortened,
)

if TYPE_CHECKING:
    from songswap.warehouse.polls import OldestPoll
    from songswap.warehouse.spools import HostSpool
    from songswap.warehouse.status import Status

_MISSING = {"missing": "missing", "waiting": "fetched later", "unknown": "unknown to Spotify"}
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
    from songswap.warehouse import spools
    from songswap.warehouse.status import read

    with open_warehouse(settings.warehouse_dsn(os.environ)) as connection:
        now = utc_now()
        found = read(connection, KINDS, now)
        waiting = [host for host in spools.find(connection) if host.waiting_since or host.erasures]
    report = _report(found, now) | {"spool": _spool(), "hosts": list(map(_host, waiting))}
    if as_json:
        print_json(report)
        return
    for pause in report["pauses"]:
        out.say(_pause(pause), "bold yellow")
    for column in report["narrow_columns"]:
        out.say(column["sentence"])
    if all_:
        out.print(_table(report), *_gaps(report["newest_gaps"]), sep="\n")
    else:
        out.print(_summary(report))


def _spool() -> dict[str, int] | None:
    """The numbers of waiting responses and tokens; None if this machine has no spool."""
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


def _host(host: "HostSpool") -> dict[str, Any]:
    """What waits on a host by its last report."""
    left_out = ("spool_id", "problem", "possible_tokens", "erasing_since")
    return {name: v for name, v in as_json(host._asdict()).items() if name not in left_out}


def _oldest_poll(oldest: "OldestPoll | None", now: datetime) -> dict[str, Any] | None:
    if oldest is None:
        return None
    minutes = int((now - oldest.since).total_seconds() // 60)
    return {**as_json(oldest._asdict()), "minutes": minutes}


def _report(found: "Status", now: datetime) -> dict[str, Any]:
    run = found.last_run
    return {
        "pauses": [as_json(pause._asdict()) for pause in found.pauses],
        "users": found.users,
        "users_with_tokens": found.users_with_tokens,
        "plays": found.plays,
        "newest_play": found.newest_play.isoformat() if found.newest_play else None,
        "last_run": as_json(run._asdict()) if run else None,
        "tracks": found.tracks._asdict(),
        "artists": found.artists._asdict(),
        "missing": {
            kind: {name: getattr(counts, name) for name in _MISSING}
            for kind, counts in found.missing.items()
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
        "oldest_poll": _oldest_poll(found.oldest_poll, now),
    }


def _summary(report: Mapping[str, Any]) -> Rows:
    """What an operator looks for first, without zeros, in 24 lines of 80 columns."""
    grid = Rows(box=None, show_header=False, pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column()
    for what, text in _lines(report):
        grid.add_row(what, text)
    grid.add_row("More", "songswap status --all")
    return grid


def _lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    run, spool = report["last_run"], report["spool"]
    yield (
        "Last run",
        f"{run['state']}, {minute(run['started_at'])} UTC, {run['run_id']}" if run else "none yet",
    )
    if spool is not None:
        yield "Waiting", _present((count, what) for what, count in _waiting(spool)) or "nothing"
    if hosts := report["hosts"]:
        silent = sum(host["is_silent"] for host in hosts)
        erasures = sum(host["erasures"] for host in hosts)
        counts = (
            (len(hosts), "with something waiting"),
            (silent, "silent"),
            (erasures, "to be erased"),
        )
        those = _present(counts)
        yield "Hosts", f"{those} (songswap spool hosts)"
    if oldest := report["oldest_poll"]:
        yield "Oldest poll", _age(oldest)
    yield "Open gaps", f"{report['gaps']:,}, the newest:" if report["gaps"] else "none"
    for gap in report["newest_gaps"][:_SHOWN_GAPS]:
        name = shortened(gap["username"], _NAME_CELLS)
        times = f"{minute(gap['after'])} to {minute(gap['before'])}"
        yield "", f"user {gap['user_id']} ({name}), {times}"
    grants = report["grants"]
    states = _present((count, state) for state, count in grants.items())
    hint = " (songswap grants)" if sum(grants.values()) > grants["active"] else ""
    yield "Grants", f"{states or 'none'}{hint}"
    label = "Missing"
    for kind, counts in report["missing"].items():
        if missing := _present((count, _MISSING_SHORT[name]) for name, count in counts.items()):
            yield label, f"{kind}: {missing}"
            label = ""
    feeds = report["feeds"]
    if any(feeds.values()):
        quiet = ((feeds["empty"], "never had a play"), (feeds["quiet"], "had none for a day"))
        yield "Feeds", _present(quiet)
    if report["rejected_items"]:
        yield "Rejected", f"{report['rejected_items']:,}, in the table songswap.rejected_items"
    tokens = f", {report['users_with_tokens']:,} of them with tokens"
    yield "Users", f"{report['users']:,}{tokens}" if report["users"] else "none"
    newest = f", the newest at {second(report['newest_play'] or '')} UTC"
    yield "Plays", f"{report['plays']:,}{newest}" if report["plays"] else "none"
    for name in ("tracks", "artists"):
        total, having = report[name]["total"], report[name]["having"]
        shares = ", ".join(f"{what} {100 * n // total}%" for what, n in having.items() if n)
        if total:
            yield name.title(), f"{total:,}{f': {shares}' if shares else ''}"
    requests = report["requests"]
    if requests["last_day"]:
        served = requests["users_an_hour"]
        limit = f", room for {served:,} users an hour" if served is not None else ""
        yield "Requests", f"{requests['last_day']:,} in the last 24 hours{limit}"


def _age(oldest: Mapping[str, Any]) -> str:
    name = shortened(oldest["username"], _NAME_CELLS)
    return f"{in_hours(oldest['minutes'])} ago, user {oldest['user_id']} ({name})"


def _waiting(spool: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield "for S3", spool["waiting_for_s3"]
    yield "for the warehouse", spool["waiting_for_warehouse"]
    yield "users' tokens", spool["waiting_tokens"]


def _present(counts: Iterable[tuple[int, str]]) -> str:
    """Counts in words, without those that are zero."""
    return ", ".join(f"{count:,} {what}" for count, what in counts if count)


def _table(report: dict[str, Any]) -> Rows:
    table = Rows("what", "number", "share", title="The warehouse", right_from=1)
    for section in _sections(report):
        for what, number, share in section:
            table.add_row(what, f"{number:,}" if isinstance(number, int) else number, share)
        table.add_section()
    return table


def _pause(pause: Mapping[str, Any]) -> str:
    _, _, endpoint = pause["app"].partition(" ")
    spotify = f"Spotify's endpoint {endpoint}" if endpoint else "Spotify"
    name = "ReccoBeats" if pause["app"] == "reccobeats" else spotify
    return f"Paused by {name} until {second(pause['until'])} UTC: no requests before."


def _gaps(gaps: list[dict[str, Any]]) -> Iterator[Rows]:
    """A table of gaps, if there are any."""
    if gaps:
        columns = ("user", "name", "after", "before", "found")
        table = Rows(*columns, title="The newest open gaps: plays are missing between (UTC)")
        for column in table.columns[2:]:
            column.no_wrap = True
        for gap in gaps:
            table.add_row(
                str(gap["user_id"]),
                gap["username"],
                *(minute(gap[name]) for name in ("after", "before", "found_at")),
            )
        yield table


def _sections(report: dict[str, Any]) -> Iterator[list[tuple[str, int | str, str]]]:
    run, spool, requests = report["last_run"], report["spool"], report["requests"]
    users, with_tokens = report["users"], report["users_with_tokens"]
    yield [
        ("users", users, ""),
        ("  with tokens", with_tokens, _share(with_tokens, users)),
        ("plays", report["plays"], ""),
        ("newest play (UTC)", second(report["newest_play"] or "–"), ""),
        ("oldest poll", _age(report["oldest_poll"]) if report["oldest_poll"] else "–", ""),
        (f"last run: {run['run_id']}" if run else "last run", run["state"] if run else "–", ""),
    ]
    for name in ("tracks", "artists"):
        total, having = report[name]["total"], report[name]["having"]
        rows = [(f"  with {what}", count, _share(count, total)) for what, count in having.items()]
        yield [(name, total, ""), *rows]
    yield [
        (f"{kind}: {_MISSING[name]}", count, "")
        for kind, counts in report["missing"].items()
        for name, count in counts.items()
    ]
    yield [
        ("open gaps", report["gaps"], ""),
        ("feeds that never had a play", report["feeds"]["empty"], ""),
        ("feeds without a play for a day", report["feeds"]["quiet"], ""),
        ("rejected items", report["rejected_items"], ""),
        *((f"grants {state}", count, "") for state, count in report["grants"].items()),
        *((name.replace("_", " "), count, "") for name, count in (spool or {}).items()),
    ]
    yield [
        ("requests in the last 24 hours", requests["last_day"], ""),
        ("  limit in a day, as learned", _learned(requests["per_day"]), ""),
        ("  limit in 30 seconds, as learned", _learned(requests["per_window"]), ""),
        ("  users that it serves in an hour", _learned(requests["users_an_hour"]), ""),
    ]


def _learned(limit: int | None) -> int | str:
    return "none met" if limit is None else limit


def _share(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else "–"
