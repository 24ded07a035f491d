"""What a start shows: live in a terminal, a line a step in a log."""

import io
import re

import pytest
from rich.console import Console

from songswap.local.progress import Progress


def test_a_log_has_a_line_a_step() -> None:
    """With its time, ended with "done"; what is waited for meanwhile is not in it."""
    stream = io.StringIO()
    progress = Progress(Console(file=stream))
    progress.say("Stopped [red]what[/] was left.")
    with progress.step("Airflow") as say:
        say("waiting for the scheduler")
        say("waiting for the DAGs")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("Z Stopped [red]what[/] was left.")
    assert re.fullmatch(r"\S+Z Airflow … done \(\d+\.\d s\)", second)


@pytest.mark.parametrize("title", ["Airflow", "[/] is no markup"])
def test_a_terminal_ticks_steps_off(title: str) -> None:
    """With what is waited for, which is text and never markup."""
    stream = io.StringIO()
    progress = Progress(Console(file=stream, force_terminal=True, width=100))
    with progress.step(title) as say:
        say("waiting for [/]")
    assert f"✓ {title} (" in stream.getvalue()
