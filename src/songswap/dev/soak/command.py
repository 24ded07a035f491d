"""`python -m songswap.dev.soak`: runs a soak and prints its verdict, as a table or JSON."""

import json
import logging
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from songswap.dev.soak.run import Tally
from songswap.dev.soak.run import soak as live
from songswap.dev.soak.storm import KINDS
from songswap.dev.soak.verdict import Verdict
from songswap.supervision.interrupt import stoppable
from songswap.terminal.console import err, out

_OUTCOME = (
    ("users", "Users at the end"),
    ("plays", "Plays made"),
    ("reachable", "Reachable when polled"),
    ("loaded", "Loaded"),
    ("lost", "Lost"),
    ("duplicated", "Duplicated"),
    ("invented", "Invented"),
    ("stranded", "Users who did not come back"),
    ("undelivered", "  whose rotated token Spotify never delivered"),
    ("unknown", "Tracks and artists taken for unknown"),
    ("clock_unnoticed", "Successful runs with a wrong clock"),
    ("ended_late", "Loads that a signal did not end in time"),
    ("waiting", "Responses and tokens still in the spool"),
    ("gaps_true", "Gaps, true"),
    ("gaps_recorded", "Gaps, recorded"),
    ("gaps_unrecorded", "  true and not recorded"),
    ("gaps_unfounded", "  recorded and not true"),
    ("gaps_adjoining", "  recorded where exactly 50 plays joined"),
    ("in_gaps", "Missed plays within recorded gaps"),
    ("unseen", "Missed plays that came late and left unseen"),
    ("rejected_items", "Missed plays only in rejected items"),
    ("outside", "Missed plays before the first or after the last known"),
)


def soak(
    users: Annotated[int, typer.Option(min=1, help="Listeners at the start.")] = 200,
    days: Annotated[float, typer.Option(min=0.5, help="Simulated days.")] = 7,
    seed: Annotated[int, typer.Option(help="The same seed draws the same storm.")] = 1,
    kind: Annotated[
        list[str] | None, typer.Option(help="Draw only this kind; once or more.")
    ] = None,
    served: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="The share of the users whom the app's limit serves in an hour; without faults,"
            " unless kinds are named. 0 is no limit.",
        ),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the data and logs of all parts here.")
    ] = None,
) -> None:
    """Simulate days of listening under a storm of faults; exit with 0 when the promise was kept."""
    kinds = frozenset(kind or (() if served else KINDS))
    if unknown := kinds - KINDS:
        raise typer.BadParameter(
            f"Unknown: {', '.join(unknown)}. There are {', '.join(sorted(KINDS))}"
        )
    started = time.monotonic()
    folder = keep or Path(tempfile.mkdtemp(prefix="songswap-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    _log_to(folder / "soak.log")
    repeat = f'make soak ARGS="--users {users} --days {days:g} --seed {seed}'
    repeat += f" --served {served}" if served else ""
    repeat += "".join(f" --kind '{name}'" for name in kind or ()) + '"'
    try:
        # SIGTERM too stops all parts and removes their folder.
        with stoppable(), _progress() as bar:
            task = bar.add_task("")

            def on_progress(done: int, hours: int, now: datetime) -> None:
                if done % 24 == 0 and not err.is_watched:
                    err.say(f"{now:%Y-%m-%d %H:%M}: {done} of {hours} hours")
                bar.update(task, completed=done, total=hours, description=f"{now:%a %d %b %H:%M}")

            verdict, tally = live(folder, users, days, seed, on_progress, kinds, served)
    except Exception as error:
        error.add_note(f"Repeat this storm with: {repeat}")
        raise
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    report = as_report(verdict, tally, time.monotonic() - started)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        out.print(as_table(report))
    if not verdict.good:
        err.say(f"The promise was not kept. Repeat this storm with: {repeat}")
        for line in verdict.examples + [f"stranded: {user}" for user in verdict.stranded]:
            err.say(f"  {line}")
        raise typer.Exit(1)


def as_report(verdict: Verdict, tally: Tally, seconds: float) -> dict[str, Any]:
    """The verdict and the tally for JSON; delays in minutes, memory in MiB."""
    calls = {
        f"{endpoint} {status}": number
        for endpoint, statuses in sorted(verdict.calls.items())
        for status, number in sorted(statuses.items())
    }
    counts = {**verdict.counts, "stranded": len(verdict.stranded)}
    return {
        "good": verdict.good,
        **{name: counts.get(name, 0) for name, _ in _OUTCOME},
        "limit": asdict(verdict.limit) if verdict.limit else {},
        "set_aside_by_reason": verdict.rejected_items,
        "faults": dict(sorted(tally.occurred.items())),
        "calls_struck": dict(sorted(tally.struck.items())),
        "runs": dict(sorted(tally.runs.items())),
        "api_calls": calls,
        "api_calls_per_user_hour": round(sum(calls.values()) / max(1, tally.user_hours), 2),
        "minutes_from_play_to_row": verdict.delays,
        "peak_memory_mib": tally.memory,
        "resident_mib_by_day": tally.resident,
        "seconds": round(seconds, 1),
    }


def as_table(report: dict[str, Any]) -> Table:
    """The report as a table."""
    table = Table(title="The promise was kept" if report["good"] else "The promise was not kept")
    table.add_column()
    table.add_column(justify="right")
    for name, title in _OUTCOME:
        table.add_row(title, f"{report[name]:,}")
    for title, name in (
        ("Limit: ", "limit"),
        ("Rejected: ", "set_aside_by_reason"),
        ("Faults: ", "faults"),
        ("Calls struck: ", "calls_struck"),
        ("Runs: ", "runs"),
        ("API calls: ", "api_calls"),
        ("Minutes from play to row: ", "minutes_from_play_to_row"),
        ("Peak memory, MiB: ", "peak_memory_mib"),
    ):
        table.add_section()
        for part, number in report[name].items():
            table.add_row(
                f"{title}{part.replace('_', ' ')}", "–" if number is None else f"{number:,}"
            )
    table.add_section()
    for name in report["peak_memory_mib"]:
        days = [day.get(name, "–") for day in report["resident_mib_by_day"]]
        if set(days) - {"–"}:
            table.add_row(f"Resident after each day, MiB: {name}", " ".join(map(str, days)))
    table.add_section()
    table.add_row("API calls a user and hour", f"{report['api_calls_per_user_hour']}")
    table.add_row("Seconds", f"{report['seconds']:,}")
    return table


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    left = (TextColumn("left:"), TimeRemainingColumn())
    return Progress(*columns, *left, console=err, transient=True, disable=not err.is_watched)


def _log_to(file: Path) -> None:
    """Write the pipeline's log to a file: under a storm it is long."""
    handler = logging.FileHandler(file)
    for name, level in (("songswap", logging.INFO), ("psycopg.pool", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
