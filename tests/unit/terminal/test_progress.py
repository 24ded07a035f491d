"""What a start shows: live in a terminal, a line a step in a log."""

import io
import re

import pytest
from rich.console import Console

from songswap.terminal.progress import Progress


class Terminal(io.StringIO):
    """A stream that says to be a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


@pytest.mark.parametrize("forced", [None, True])
def test_a_log_has_a_line_a_step(forced: bool | None) -> None:
    """With its time, ended with "done"; what is waited for meanwhile is not in it. So it is in CI,
    which has its logs colored."""
    stream = io.StringIO()
    progress = Progress(Console(file=stream, force_terminal=forced))
    progress.say("Stopped [red]what[/] was left.")
    with progress.step("Airflow") as say:
        say("waiting for the scheduler")
        say("waiting for the DAGs")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("Z Stopped [red]what[/] was left.")
    assert re.fullmatch(r"\S+Z Airflow … done \(\d+\.\d s\)", second)


@pytest.mark.parametrize("title", ["Airflow", "[/] is no markup"])
def test_a_terminal_ticks_steps_off(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is waited for, which is text and never markup."""
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    progress = Progress(Console(file=stream, width=100))
    with progress.step(title) as say:
        say("waiting for [/]")
    assert f"✓ {title} (" in stream.getvalue()
