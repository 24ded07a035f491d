"""An error in one line that may be shown to people."""

import inspect

import pytest

from songswap import errors
from songswap.alerts.problem import MOST_CHARACTERS, WHAT_TO_DO, Problem, advice_for, cut


def test_own_error_is_its_first_line() -> None:
    """A sentence for operators is shown as it stands, without what follows it."""
    problem = Problem.of(errors.WarehouseUnavailable("It is away since 10:00.\nsecret"))
    assert problem == ("WarehouseUnavailable", "It is away since 10:00.")
    assert "SongSwap_RDS" in problem.what_to_do


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("Never Gonna Give You Up"), "KeyError: …"),
        (ValueError('invalid input: "Blue Monday" at 1'), "ValueError: invalid input: … at 1"),
        (RuntimeError("token BQDk3xZ9aL0pQw7r-x_1 was bad"), "RuntimeError: token … was bad"),
        (OSError("postgresql://me:pw@host/db refused"), "OSError: postgresql://…@host/db refused"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_other_error_tells_no_data(error: Exception, text: str) -> None:
    """Of what other code says, quoted values and what looks like a key are left out."""
    problem = Problem.of(error)
    assert problem.text == text
    assert problem.what_to_do.startswith("Read the log")


def test_long_line_is_cut() -> None:
    """A line that is too long for a message is cut."""
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
def test_cut_at_the_end_of_a_sentence(most: int, left: str) -> None:
    """What is left are whole sentences; of a first one that is too long, whole words."""
    text = cut("One is here. Is 2.5 more? Yes: three.\nFour", most)
    assert text == left
    assert len(text) <= most


def test_every_error_has_an_advice() -> None:
    """Each error of the pipeline has what to do about it, or that of its branch."""
    known = [
        one
        for _, one in inspect.getmembers(errors, inspect.isclass)
        if one.__module__ == errors.__name__
    ]
    without = {one.__name__ for one in known if advice_for(one.__name__) is None}
    assert without == {"SongSwapError"}
    assert advice_for("CorruptResponse") != advice_for("SpoolError")
    assert advice_for("UnknownToSpotify") == WHAT_TO_DO["SpotifyError"]


def test_cause_is_the_same_for_the_next_run() -> None:
    """Two runs that fail of the same have the same cause, whatever the numbers in their words."""
    one, two = Problem("", "load 3 was lost"), Problem("", "load 17 was lost")
    assert one.cause == two.cause != Problem("", "fetch 3 was lost").cause
    lost, refused = (Problem("WarehouseUnavailable", text) for text in ("lost", "refused"))
    assert lost.cause == refused.cause != Problem("SpoolError", "lost").cause


def test_every_advice_is_for_an_error() -> None:
    """No advice names an error that does not exist."""
    known = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    assert WHAT_TO_DO.keys() <= known
