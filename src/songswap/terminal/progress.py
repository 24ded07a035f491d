"""Progress on standard error: a live spinner in a terminal, a line for each step elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from songswap.terminal.step_log import StepLog

Say = Callable[[str], None]


class Progress:
    """Shows sequential steps with their seconds.

    Args:
        console: the output.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        # FORCE_COLOR, which CI sets, makes rich take a log for a terminal: check the file too.
        is_live = console.is_interactive and console.file.isatty()
        self._log = None if is_live else StepLog(console.file)

    def say(self, text: str) -> None:
        """Show one line."""
        if self._log is not None:
            self._log.line(text)
            return
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Say]:
        """Show a step while its block runs; the yielded function shows what the block waits for."""
        if self._log is not None:
            with self._log.step(title):
                yield _ignore
            return
        started = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Bars(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(escape(title))
            yield lambda text: bars.update(task, description=escape(f"{title}: {text}"))
        self.say(f"✓ {title} ({time.monotonic() - started:.1f} s)")


def _ignore(_: str) -> None:
    """Show nothing: in a log a step is one line."""
