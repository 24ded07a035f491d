"""An error in one line that may be shown to people."""

import inspect

import pytest

from songswap import errors
from songswap.alerts.problem import MOST_CHARACTERS, WHAT_TO_DO, Problem


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


def test_every_advice_is_for_an_error() -> None:
    """No advice names an error that does not exist."""
    known = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    assert WHAT_TO_DO.keys() <= known
