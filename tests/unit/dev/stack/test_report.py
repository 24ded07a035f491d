"""The demo's final table."""

from rich.console import Console

from songswap.dev.stack.report import as_table

REPORT = {
    "run": "manual__1",
    "state": "success",
    "users": 25,
    "plays": 12_345,
    "tracks": 471,
    "artists": 213,
    "features": 462,
    "rejected_items": 1,
    "gaps": 2,
    "api_calls": 37,
    "seconds": 9.4,
    "counts": {},
    "problem": None,
}


def test_every_figure_is_shown() -> None:
    """Each total stands in the table, thousands apart."""
    console = Console(width=60)
    with console.capture() as shown:
        console.print(as_table(REPORT))
    figures = ["25", "12,345", "471", "213", "462", "1", "2", "37", "9.4"]
    assert all(figure in shown.get() for figure in figures)
