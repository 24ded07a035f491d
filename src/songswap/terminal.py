"""What the commands have in common on a terminal.

Standard output is for results; everything that accompanies the work goes to standard error.
"""

import logging
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

err = Console(stderr=True)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, and nothing else.")
]


def log_to_stderr() -> None:
    """Show what the work logs."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )
