"""What the commands have in common on a terminal.

Standard output is for results; everything that accompanies the work goes to standard error. Names
of users and tracks, files and errors come from outside: all of it is shown as text, see `printable`
and `Terminal`.
"""

import json
import logging
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Annotated, Any, Self

import typer
from rich.console import Console, RenderableType
from rich.logging import RichHandler
from rich.progress import Progress, ProgressColumn, Task, TaskID
from rich.table import Table
from rich.text import Text

# Controls, formats (zero width, writing direction, tags), surrogates, line and paragraph ends.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Letters and signs that Unicode wants drawn as nothing, though their category says otherwise.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def printable(text: str) -> str:
    """Show as escapes what a terminal would act on, or show as nothing; the result is one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        sign.encode("unicode_escape").decode()
        if unicodedata.category(sign) in _ACTING or sign in _UNSEEN
        else sign
        for sign in text
    )


def paragraphs(text: str) -> str:
    """The same, of each of its lines."""
    return "\n".join(map(printable, text.split("\n")))


def shortened(text: str, cells: int) -> str:
    """The same, cut with an ellipsis where it takes more than so many columns of a terminal."""
    shown = Text(printable(text))
    shown.truncate(cells, overflow="ellipsis")
    return shown.plain


class Terminal(Console):
    """A console to which every string is text: it reads no markup, and escapes what acts."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a string a `Text`; rich does so with all that is printed, cells of tables too."""
        return super().render_str(paragraphs(text), **options | {"markup": False, "emoji": False})

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks at it: rich takes a log for a terminal where FORCE_COLOR is set,
        as in CI."""
        return self.is_terminal and self.file.isatty()

    def say(self, text: str, style: str = "") -> None:
        """Print sentences; where nobody watches, each paragraph is one line."""
        self.print(text, style=style, soft_wrap=not self.is_watched)


class Rows(Table):
    """A table; a cell that is a string is one line of data."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        super().add_row(
            *(printable(cell) if isinstance(cell, str) else cell for cell in cells), **options
        )


_SIGN_OF_LIFE_S = 60

out = Terminal()
err = Terminal(stderr=True)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, and nothing else.")
]


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: moments in ISO 8601."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result for machines: one line of ASCII, whatever is in it."""
    typer.echo(json.dumps(result))


def complain(error: object) -> None:
    """Print an error."""
    text = Text.assemble(("Error:", "bold red"), " ", paragraphs(str(error)))
    err.print(text, soft_wrap=not err.is_watched)


def print_any_text() -> None:
    """Have standard output and error take any text: what their encoding lacks becomes an escape."""
    for stream in (sys.stdout, sys.stderr):
        # Not what a test, or a host of this process, has put in their place.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


class Steps:
    """Shows the steps of some work on standard error: bars in a terminal, else a line a step.

    A step that takes long has a line a minute there.

    Args:
        columns: what stands beside a step's name.
        in_turn: a step that begins ends the ones before.
    """

    def __init__(self, *columns: ProgressColumn, in_turn: bool = False) -> None:
        self._bars = Progress(_Label(), *columns, console=err, disable=not err.is_watched)
        self._in_turn = in_turn
        self._known: dict[str, tuple[TaskID, int]] = {}
        self._ended: set[str] = set()
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()
        if kind is None:
            self._end(self._known)

    def __call__(self, step: str, done: int, of: int, result: str = "") -> None:
        """Show how far a step is.

        Args:
            of: how much there is to do; 0 while that is not known.
            result: what came of it until now, for its line.
        """
        if step not in self._known:
            if self._in_turn:
                self._end(self._known)
            self._known[step] = self._bars.add_task(step, total=of or None), of
        task = self._known[step][0]
        self._known[step] = task, of
        self._bars.update(task, completed=done, total=of or None)
        if of and done >= of:
            self._end([step], result)
        elif time.monotonic() - self._said_at >= _SIGN_OF_LIFE_S:
            self._say(step, f"{done / of:.0%}" if of else "under way", result)

    def _end(self, steps: Iterable[str], result: str = "") -> None:
        for step in steps:
            if step not in self._ended:
                self._ended.add(step)
                task, of = self._known[step]
                self._bars.update(task, completed=of or 1, total=of or 1)
                self._say(step, "done", result)

    def _say(self, step: str, state: str, result: str) -> None:
        if not err.is_watched:
            self._said_at = time.monotonic()
            about = f" ({result})" if result else ""
            err.say(f"{_when(datetime.now(UTC))} {step}: {state}{about}")


class _Label(ProgressColumn):
    """The name of a step."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.description))


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class _Formatter(logging.Formatter):
    """The lines of a log; those of a traceback stay lines."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _when(datetime.fromtimestamp(record.created, UTC))

    def format(self, record: logging.LogRecord) -> str:
        return paragraphs(super().format(record))


def log_to_stderr() -> None:
    """Show what the work logs: where nobody watches, with dates (UTC)."""
    handler: logging.Handler
    if err.is_watched:
        handler = RichHandler(console=err, show_path=False, log_time_format="%H:%M:%S")
        handler.setFormatter(_Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It tells at INFO which parts of it are there.
    logging.getLogger("alembic").setLevel(logging.WARNING)
