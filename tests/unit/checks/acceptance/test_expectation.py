"""The messages of an acceptance check that finds something else."""

from datetime import UTC, datetime

import pytest

from songswap.checks.acceptance.expectation import expect, expect_rows
from songswap.errors import AcceptanceFailed


def test_other_value_is_named_with_the_expected_one() -> None:
    """The message says which module to look at; an equal value raises nothing."""
    expect("The key", "a", "a", "key.py")
    with pytest.raises(
        AcceptanceFailed, match=r"^The key: expected 'a', found 'b'\. Look at key\.py\."
    ):
        expect("The key", "a", "b", "key.py")


def test_long_values_are_cut() -> None:
    """A whole response is not written to a log."""
    with pytest.raises(AcceptanceFailed) as failure:
        expect("The body", b"a" * 10_000, b"b" * 10_000, "spool.py")
    assert len(str(failure.value)) < 1_500


def test_order_of_rows_does_not_matter() -> None:
    """Nor does a table that is empty in both."""
    at = datetime(2026, 11, 2, tzinfo=UTC)
    expect_rows({"T": [(1, at), (2, at)]}, {"T": [(2, at), (1, at)], "U": []}, "load.py")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (
            {"T": [(1, "a")]},
            r"^T: 1 of 2 rows are missing.*load\.py[^\n]*\nMissing: \[\(2, 'b'\)\]",
        ),
        (
            {"T": [(1, "a"), (2, "b"), (2, "b")]},
            r"missing and 1 are wrong.*\n.*\nWrong: \[\(2, 'b'\)\]",
        ),
        ({"T": [(1, "a"), (2, "c")]}, r"T: 1 of 2 .*\nMissing: .*'b'.*\nWrong: .*'c'"),
        ({}, "T: 2 of 2 rows are missing and 0 are wrong"),
        ({"T": [(1, "a"), (2, "b")], "U": [(3,)]}, "U: 0 of 0 rows are missing and 1 are wrong"),
    ],
)
def test_wrong_rows_are_named(found: dict[str, list[tuple[object, ...]]], says: str) -> None:
    """Missing, doubled and changed rows, and rows of a table that is not expected."""
    with pytest.raises(AcceptanceFailed, match=says):
        expect_rows({"T": [(1, "a"), (2, "b")]}, found, "load.py")
