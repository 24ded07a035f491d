"""What is being waited for, on standard error: live in a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

Say = Callable[[str], None]


class Progress:
    """Shows the steps of a start, one after the other, with their seconds.

    Args:
        console: where to; `Console(stderr=True)`.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """Shows one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Say]:
        """Shows a step while its block runs; what the block is waiting for goes to the function."""
        started = time.monotonic()
        with self._live(title) if self._console.is_terminal else self._plain(title) as say:
            yield say
        self.say(f"✓ {title} ({time.monotonic() - started:.1f} s)")

    @contextmanager
    def _live(self, title: str) -> Iterator[Say]:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Bars(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(title)
            yield lambda text: bars.update(task, description=f"{title}: {text}")

    @contextmanager
    def _plain(self, title: str) -> Iterator[Say]:
        self.say(f"  {title} …")
        last = ""

        def say(text: str) -> None:
            nonlocal last
            if text != last:
                self.say(f"    {text}")
            last = text

        yield say
