"""What the commands have in common on a terminal.

Standard output is for results; everything that accompanies the work goes to standard error.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

err = Console(stderr=True)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, and nothing else.")
]


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: moments in ISO 8601."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def log_to_stderr() -> None:
    """Show what the work logs."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )
    # It tells at INFO which parts of it are there.
    logging.getLogger("alembic").setLevel(logging.WARNING)
