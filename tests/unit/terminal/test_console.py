"""What the commands print is text, whatever is in it."""

import io
import logging
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from songswap.terminal import console
from songswap.terminal.console import Rows, Steps, Terminal, paragraphs, printable, shortened

ANY = st.text(st.characters(exclude_categories=()))
"""Surrogates too: they stand for what is no UTF-8 in the name of a file."""

NASTY = (
    "[/red]",
    "[dim]hidden[/dim]",
    "[link=http://evil.invalid]x[/link]",
    ":smile:",
    "\x1b]8;;http://evil.invalid\x1b\\x\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H",
    "\x9b2J\x9d0;title\x07",
    "\u202egnp.exe\u2066",
    "a\u200bb\ufeff\U000e0041",
    "one\ntwo\rthree\tfour\u2028five",
    "\udcff\udc80",
    "\u3164\u2800",
)


def acting(text: str) -> set[str]:
    """The characters that a terminal may act on, beside the ends of lines."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {one for one in text if unicodedata.category(one) in kinds} - {"\n"}


class Screen(Terminal):
    """A terminal of 80 columns that is read by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.file = io.StringIO()
        self.width = 80

    @property
    def text(self) -> str:
        """What was printed."""
        assert isinstance(self.file, io.StringIO)
        return self.file.getvalue()


@given(ANY)
def test_printable_is_one_harmless_line(text: str) -> None:
    """Nothing in it acts on a terminal, and what is harmless stays as it is."""
    shown = printable(text)
    assert acting(shown) == set()
    assert "\n" not in shown
    assert printable(shown) == shown
    assert all(one in shown for one in text if printable(one) == one)


@pytest.mark.parametrize("text", ["Zoë", "山田　太郎", "🎧 ❤️", "[red]", "a\\b", ""])
def test_names_of_people_stay(text: str) -> None:
    """Letters of all scripts, emoji and brackets are shown as they are."""
    assert printable(text) == text


def test_escape_names_its_character() -> None:
    assert printable("\x1b[2J\u202e\udcff") == r"\x1b[2J\u202e\udcff"
    assert paragraphs("one\n\ttwo") == "one\n\\ttwo"


@given(ANY, st.integers(1, 30))
def test_shortened_text_fits_its_columns(text: str, cells: int) -> None:
    """Also with wide characters; a text that fits is whole."""
    shown = shortened(text, cells)
    assert cell_len(shown) <= cells
    if cell_len(printable(text)) <= cells:
        assert shown == printable(text)


@given(ANY)
def test_any_text_is_printed(text: str) -> None:
    """A sentence, a cell and a title with any text in them are printed as text."""
    screen = Screen()
    screen.say(f"A file {text}: broken.")
    assert screen.text == f"A file {paragraphs(text)}: broken.\n"
    table = Rows("name", title=text)
    table.add_row(text)
    screen.print(table)
    assert acting(screen.text) == set()


@pytest.mark.parametrize("text", NASTY)
def test_cells_show_names(text: str) -> None:
    """A cell is one line, and the name can be read in it."""
    screen = Screen()
    table = Rows("user", "name")
    table.add_row("1", text)
    screen.print(table)
    lines = screen.text.splitlines()
    assert len(lines) == 5
    assert printable(text) in lines[3]
    assert {cell_len(line) for line in lines} == {cell_len(lines[0])}


@given(ANY)
@example("one\nError: two")
def test_log_lines_are_text(text: str) -> None:
    """A line of a log with any text in it has a date, and nothing acts on a terminal."""
    record = logging.LogRecord("songswap", logging.WARNING, "x.py", 1, "User: %s", (text,), None)
    record.created = 0
    shown = console._Formatter("%(asctime)s %(levelname)s %(message)s").format(record)
    assert shown.startswith("1970-01-01T00:00:00Z WARNING User: ")
    assert acting(shown) == set()


def test_steps_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is one line with its date when it is done, and none that failed is."""
    screen = Screen()
    monkeypatch.setattr(console, "err", screen)
    with Steps(in_turn=True) as result:
        result("[red]plan", 0, 1)
        result("fetch", 1, 2)
        result("fetch", 2, 2, "7 rows")
        result("fetch", 2, 2)
        result("summarise", 0, 1)
    lines = [line.split(" ", 1) for line in screen.text.splitlines()]
    assert [text for _, text in lines] == [
        "[red]plan: done",
        "fetch: done (7 rows)",
        "summarise: done",
    ]
    assert all(len(when) == len("2026-11-26T20:00:00Z") for when, _ in lines)


def test_log_with_colours_is_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where FORCE_COLOR is set, as in CI, a step is still one line."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen = Screen()
    monkeypatch.setattr(console, "err", screen)
    with Steps() as result:
        result("plan", 1, 1)
    assert screen.text.endswith("Z plan: done\n")
    assert len(screen.text.splitlines()) == 1


def test_step_that_failed_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an error ends has no line that says it was done."""
    screen = Screen()
    monkeypatch.setattr(console, "err", screen)
    result = Steps()

    def fail() -> None:
        with result:
            result("load", 0, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert screen.text == ""
