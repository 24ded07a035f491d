"""Errors as one line that may be shown to people, and the advice about them."""

import inspect
import re

import pytest

from songswap import errors
from songswap.alerts.problem import MOST_CHARACTERS, WHAT_TO_DO, Problem, advice_for, cut
from songswap.warehouse.tokens import decode


def test_own_error_becomes_its_first_line() -> None:
    """Further lines are for the log alone."""
    problem = Problem.of(errors.WarehouseUnavailable("It is away since 10:00.\nsecret"))
    assert problem == ("WarehouseUnavailable", "It is away since 10:00.")
    assert "SongSwap_RDS" in problem.what_to_do


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("Never Gonna Give You Up"), "KeyError"),
        (ValueError("no such user: Anna Müller, anna@example.com"), "ValueError"),
        (RuntimeError("Key (email)=(anna@example.com) already exists"), "RuntimeError"),
        (OSError("postgresql://me:pw@host/db refused"), "OSError"),
        (OSError(28, "Anna's disk", "/exports/anna.zip"), "OSError (No space left on device)"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_other_error_shows_nothing_of_its_text(error: Exception, text: str) -> None:
    """Whatever its form: it may be a name, a row or a key."""
    problem = Problem.of(error)
    assert problem.text == text
    assert problem.what_to_do.startswith("Read the log")


def test_other_error_names_the_line_of_the_pipeline() -> None:
    """Through which it came, although another library raised it."""
    with pytest.raises(UnicodeDecodeError) as raised:
        decode(b"\xff")
    assert re.fullmatch(
        r"UnicodeDecodeError in tokens\.py, line \d+", Problem.of(raised.value).text
    )
    with pytest.raises(ZeroDivisionError) as of_others:
        _ = 1 / len("")
    assert Problem.of(of_others.value).text.startswith("ZeroDivisionError in test_problem.py, line")


def test_long_line_is_cut() -> None:
    """A message on Discord has limits."""
    assert len(Problem.of(errors.RunFailed("x" * 1000)).text) == MOST_CHARACTERS


@pytest.mark.parametrize(
    ("most", "left"),
    [
        (100, "One is here. Is 2.5 more? Yes: three.\nFour"),
        (40, "One is here. Is 2.5 more? Yes: three. …"),
        (38, "One is here. Is 2.5 more? …"),
        (20, "One is here. …"),
        (10, "One is…"),
        (3, "On…"),
    ],
)
def test_text_is_cut_after_a_sentence(most: int, left: str) -> None:
    """If the first sentence is too long, after a word."""
    text = cut("One is here. Is 2.5 more? Yes: three.\nFour", most)
    assert text == left
    assert len(text) <= most


def test_every_error_has_advice() -> None:
    """Its own, or that of its base class."""
    names = [
        name
        for name, error in inspect.getmembers(errors, inspect.isclass)
        if error.__module__ == errors.__name__
    ]
    without = {name for name in names if advice_for(name) is None}
    assert without == {"SongSwapError"}
    assert advice_for("CorruptResponse") != advice_for("SpoolError")
    assert advice_for("UnknownToSpotify") == WHAT_TO_DO["SpotifyError"]


def test_cause_ignores_numbers_and_own_sentences() -> None:
    """Two runs that fail of the same have the same cause."""
    first, second = Problem("", "load 3 was lost"), Problem("", "load 17 was lost")
    assert first.cause == second.cause != Problem("", "fetch 3 was lost").cause
    lost, refused = (Problem("WarehouseUnavailable", text) for text in ("lost", "refused"))
    assert lost.cause == refused.cause != Problem("SpoolError", "lost").cause


def test_advice_names_existing_errors() -> None:
    """A renamed error takes its advice along."""
    known = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    assert WHAT_TO_DO.keys() <= known
