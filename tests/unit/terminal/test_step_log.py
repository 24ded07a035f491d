"""A log of steps: one line each, whatever happens meanwhile."""

import io
import re
from threading import Event

import pytest

from songswap.terminal.step_log import StepLog

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
TOOK = r"\(\d+\.\d s\)"


class Heard(io.StringIO):
    """A stream that tells when something was written that ends like a sign of life."""

    def __init__(self) -> None:
        super().__init__()
        self.signs = Event()

    def write(self, text: str) -> int:
        """Keeps the text."""
        written = super().write(text)
        if text.endswith("s …"):
            self.signs.set()
        return written


def test_a_step_is_one_line_that_ends_with_done() -> None:
    """With the time it began; the beginning can be read while it lasts."""
    stream = io.StringIO()
    with StepLog(stream).step("PostgreSQL") as say:
        assert re.fullmatch(f"{TIME} PostgreSQL …", stream.getvalue())
        say("waiting")
    assert re.fullmatch(f"{TIME} PostgreSQL … done {TOOK}\n", stream.getvalue())


def test_a_step_that_raises_has_failed() -> None:
    """The error goes on, and the line is ended, so that the cause stands below it."""
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), StepLog(stream).step("PostgreSQL"):
        raise KeyboardInterrupt
    assert re.fullmatch(f"{TIME} PostgreSQL … failed {TOOK}\n", stream.getvalue())


def test_a_long_step_gives_signs_of_life() -> None:
    """On its own line, with what it is at."""
    stream = Heard()
    with StepLog(stream, silence_s=0.001).step("Installing") as say:
        assert stream.signs.wait(60)
        say("compiling")
        stream.signs.clear()
        assert stream.signs.wait(60)
        stream.signs.clear()
        assert stream.signs.wait(60)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert re.search(r"… \d+ s …", text)
    assert re.search(r"compiling, \d+ s … ", text)
    assert re.search(f" done {TOOK}\n$", text)


def test_line_within_a_step_has_its_own_line() -> None:
    """The step is named again where it ends."""
    stream = io.StringIO()
    log = StepLog(stream)
    with log.step("Load"):
        log.line("A worker has ended.")
    first, line, last = stream.getvalue().splitlines()
    assert re.fullmatch(f"{TIME} Load …", first)
    assert re.fullmatch(f"{TIME} A worker has ended\\.", line)
    assert re.fullmatch(f"{TIME} Load … done {TOOK}", last)
