"""``python -m benchmarks``: run the parts, print one table, write it down."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import paper
from benchmarks.figure import Figure
from benchmarks.size import TINY

Part = Callable[[Path, Callable[[str], None]], Iterator[Figure]]

PARTS = (
    *("transform", "load", "archive", "fetch", "calls", "dags", "reads", "whole", "workers"),
    *("imports", "engines"),
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
        bool, typer.Option("--tiny", help="See that the parts run; the figures mean nothing.")
    ] = False,
) -> None:
    """Measure the pipeline against its references; exits 1 when a goal is not met.

    Prints a table and writes the same to benchmarks/results.json and docs/performance.md; parts
    that were not run keep the figures of their last run there. With --tiny nothing is written, and
    no goal counts.
    """
    console = Console(stderr=True)
    if unknown := set(only or ()) - set(PARTS):
        console.print(f"No such part: {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}.")
        raise typer.Exit(2)
    if tiny:
        os.environ[TINY] = "1"
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    chosen = [name for name in PARTS if not only or name in only]
    if "workers" in chosen and not shutil.which("redis-server"):
        console.print(_NO_REDIS)
        if only:
            raise typer.Exit(2)
        chosen.remove("workers")
    for number, name in enumerate(chosen, 1):
        started = time.monotonic()
        folder = Path(tempfile.mkdtemp(prefix=f"songswap-bench-{name}-"))

        def told(doing: str, number: int = number, name: str = name) -> None:
            line = f"{number} of {len(chosen)}: {name}: {doing}"
            console.print(line, highlight=False, markup=False)

        told("begins")
        try:
            part: Part = import_module(f"benchmarks.{name}").run
            figures = []
            for figure in part(folder, told):
                figures.append(figure._asdict())
                told(f"{figure.what}: {figure.ours:,.4g} {figure.unit}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        results[name] = {"seconds": round(time.monotonic() - started), "figures": figures}
        results = {part: results[part] for part in PARTS if part in results}
        if not tiny:
            RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    if not tiny:
        paper.write(results)
    shown = {name: results[name] for name in chosen}
    Console(width=None if sys.stdout.isatty() else 160).print(_table(shown))
    if not tiny and any(one["met"] is False for part in shown.values() for one in part["figures"]):
        raise typer.Exit(1)


def _table(results: dict[str, Any]) -> Table:
    table = Table("part", "what", title="Ours against the references")
    for column in ("ours", "reference", "ratio", "goal", "met"):
        table.add_column(column, justify="right")
    for name, part in results.items():
        for one in part["figures"]:
            table.add_row(*paper.cells(name, one))
        table.add_row(name, "the whole part", f"{part['seconds']} s")
        table.add_section()
    return table


if __name__ == "__main__":
    app()
