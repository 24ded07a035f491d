"""``python -m benchmarks``: run the parts, print one table, store the results."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.measurement import Measurement, OnProgress
from benchmarks.size import TINY

Part = Callable[[Path, OnProgress], Iterator[Measurement]]

PARTS = (
    *("transform", "load", "contention", "archive", "fetch", "warm", "calls", "dags", "reads"),
    *("page", "erase", "whole", "workers", "imports", "engines"),
)
RESULTS = Path(__file__).with_name("results.json")
_NO_REDIS = (
    "The part workers was left out: it needs a redis-server on the PATH. Install Redis"
    " (apt-get install redis-server, or brew install redis)."
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    only: Annotated[
        list[str] | None, typer.Option(help=f"A part, once or more: {', '.join(PARTS)}.")
    ] = None,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Only show that the parts run; the values mean nothing.")
    ] = False,
) -> None:
    """Measure the pipeline against its references; exits 1 when a goal is not met.

    Prints a table and writes the same to benchmarks/results.json and docs/performance.md; parts
    that were not run keep the values of their last run there. With --tiny nothing is written, and
    no goal counts.
    """
    console = Console(stderr=True)
    chosen = _chosen(only or [], console)
    if tiny:
        os.environ[TINY] = "1"
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for number, name in enumerate(chosen, 1):
        prefix = f"{number} of {len(chosen)}: {name}: "
        results[name] = _measured(name, partial(_print, console, prefix))
        if not tiny:
            results = {part: results[part] for part in PARTS if part in results}
            RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    if not tiny:
        report.write(results)
    shown = {name: results[name] for name in chosen}
    Console(width=None if sys.stdout.isatty() else 160).print(_table(shown))
    met = [row["met"] for part in shown.values() for row in part["measurements"]]
    if not tiny and False in met:
        raise typer.Exit(1)


def _chosen(only: list[str], console: Console) -> list[str]:
    """Return the parts to run.

    Raises:
        typer.Exit: a part does not exist, or has no Redis to run with.
    """
    if unknown := set(only) - set(PARTS):
        console.print(f"No such part: {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}.")
        raise typer.Exit(2)
    chosen = [name for name in PARTS if not only or name in only]
    if "workers" in chosen and not shutil.which("redis-server"):
        console.print(_NO_REDIS)
        if only:
            raise typer.Exit(2)
        chosen.remove("workers")
    return chosen


def _measured(name: str, on_progress: OnProgress) -> dict[str, Any]:
    """Run a part in a folder of its own, and return its seconds and its measurements."""
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"songswap-bench-{name}-"))
    on_progress("begins")
    try:
        part: Part = import_module(f"benchmarks.{name}").run
        measurements = []
        for row in part(folder, on_progress):
            measurements.append(row._asdict())
            on_progress(f"{row.what}: {row.ours:,.4g} {row.unit}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"seconds": round(time.monotonic() - start), "measurements": measurements}


def _print(console: Console, prefix: str, doing: str) -> None:
    console.print(prefix + doing, highlight=False, markup=False)


def _table(results: dict[str, Any]) -> Table:
    table = Table("part", "what", title="Ours against the references")
    for column in ("ours", "reference", "ratio", "goal", "met"):
        table.add_column(column, justify="right")
    for name, part in results.items():
        for row in part["measurements"]:
            table.add_row(*report.cells(name, row))
        table.add_row(name, "the whole part", f"{part['seconds']} s")
        table.add_section()
    return table


if __name__ == "__main__":
    app()
