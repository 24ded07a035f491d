"""Output of the commands: results, messages, tables, progress and logs.

Results go to standard output, everything else to standard error. Names of users and tracks, files
and errors come from outside, so all of it is shown as plain text: see `printable` and `Terminal`.
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

from songswap.terminal.step_log import timestamp

# Controls, formats (zero width, writing direction, tags), surrogates, line and paragraph ends.
_CONTROL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Letters and symbols that Unicode draws as nothing, though their category says otherwise.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def printable(text: str) -> str:
    """Escape control and invisible characters; the result is one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in _CONTROL or char in _INVISIBLE
        else char
        for char in text
    )


def paragraphs(text: str) -> str:
    """Escape each line as `printable` does, and keep the line breaks."""
    return "\n".join(map(printable, text.split("\n")))


def shortened(text: str, cells: int) -> str:
    """Escape a text as `printable` does, and cut it with an ellipsis to a width in cells."""
    result = Text(printable(text))
    result.truncate(cells, overflow="ellipsis")
    return result.plain


def second(moment: str) -> str:
    """A moment in ISO 8601 as `2026-11-27 08:00:00`."""
    return moment[:19].replace("T", " ")


def minute(moment: str) -> str:
    """A moment in ISO 8601 as `2026-11-27 08:00`."""
    return second(moment)[:16]


class Terminal(Console):
    """A console that prints every string as plain text: no markup, control characters escaped."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a string a `Text`; rich calls this for everything it prints, cells of tables too."""
        return super().render_str(paragraphs(text), **options | {"markup": False, "emoji": False})

    @property
    def is_watched(self) -> bool:
        """Whether it is a terminal; rich itself takes a log for one where FORCE_COLOR is set, as in
        CI."""
        return self.is_terminal and self.file.isatty()

    def say(self, text: str, style: str = "") -> None:
        """Print sentences; in a log, each paragraph is one line."""
        self.print(text, style=style, soft_wrap=not self.is_watched)


class Rows(Table):
    """A table; each string is one line of data, and columns from `right_from` on align right."""

    def __init__(self, *columns: str, right_from: int | None = None, **options: Any) -> None:
        super().__init__(*columns, **options)
        for column in self.columns[right_from:] if right_from is not None else ():
            column.justify = "right"

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        super().add_row(
            *(printable(cell) if isinstance(cell, str) else cell for cell in cells), **options
        )


_STEP_LINE_EVERY_S = 60

out = Terminal()
err = Terminal(stderr=True)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, and nothing else.")
]


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for JSON, with moments in ISO 8601."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result for machines, as one line of ASCII."""
    typer.echo(json.dumps(result))


def complain(error: object) -> None:
    """Print an error."""
    text = Text.assemble(("Error:", "bold red"), " ", paragraphs(str(error)))
    err.print(text, soft_wrap=not err.is_watched)


def print_any_text() -> None:
    """Let standard output and error escape characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        # A stream that a test, or a host of this process, has put in its place may lack it.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


class Steps:
    """Progress of steps on standard error: bars in a terminal, else a line for each step.

    A long step also has a line for each minute.

    Args:
        columns: the columns beside a step's name.
        in_turn: the start of a step ends the steps before it.
    """

    def __init__(self, *columns: ProgressColumn, in_turn: bool = False) -> None:
        self._bars = Progress(_Label(), *columns, console=err, disable=not err.is_watched)
        self._in_turn = in_turn
        self._tasks: dict[str, tuple[TaskID, int]] = {}
        self._ended: set[str] = set()
        self._printed_at = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()
        if kind is None:
            self._end(self._tasks)

    def __call__(self, step: str, done: int, of: int, result: str = "") -> None:
        """Show the progress of a step.

        Args:
            of: the size of the whole; 0 while it is unknown.
            result: the results so far, for the step's line.
        """
        if step not in self._tasks:
            if self._in_turn:
                self._end(self._tasks)
            self._tasks[step] = self._bars.add_task(step, total=of or None), of
        task = self._tasks[step][0]
        self._tasks[step] = task, of
        self._bars.update(task, completed=done, total=of or None)
        if of and done >= of:
            self._end([step], result)
        elif time.monotonic() - self._printed_at >= _STEP_LINE_EVERY_S:
            self._say(step, f"{done / of:.0%}" if of else "under way", result)

    def _end(self, steps: Iterable[str], result: str = "") -> None:
        for step in steps:
            if step not in self._ended:
                self._ended.add(step)
                task, of = self._tasks[step]
                self._bars.update(task, completed=of or 1, total=of or 1)
                self._say(step, "done", result)

    def _say(self, step: str, state: str, result: str) -> None:
        if not err.is_watched:
            self._printed_at = time.monotonic()
            suffix = f" ({result})" if result else ""
            err.say(f"{timestamp(datetime.now(UTC))} {step}: {state}{suffix}")


class _Label(ProgressColumn):
    """The name of a step."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.description))


class _Formatter(logging.Formatter):
    """Escapes the lines of a log and of tracebacks in it."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return timestamp(datetime.fromtimestamp(record.created, UTC))

    def format(self, record: logging.LogRecord) -> str:
        return paragraphs(super().format(record))


def log_to_stderr() -> None:
    """Show log messages on standard error; with dates (UTC) unless it is a terminal."""
    handler: logging.Handler
    if err.is_watched:
        handler = RichHandler(console=err, show_path=False, log_time_format="%H:%M:%S")
        handler.setFormatter(_Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # At INFO it lists its own plugins.
    logging.getLogger("alembic").setLevel(logging.WARNING)
