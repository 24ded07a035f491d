"""What a proof says when it finds something else."""

from datetime import UTC, datetime

import pytest

from songswap.checks.acceptance.expectation import expect, expect_rows
from songswap.errors import AcceptanceFailed


def test_expect() -> None:
    """Equal is silent; anything else says what was expected and found, and where to look."""
    expect("The key", "a", "a", "key.py")
    with pytest.raises(
        AcceptanceFailed, match=r"^The key: expected 'a', found 'b'\. Look at key\.py\."
    ):
        expect("The key", "a", "b", "key.py")


def test_long_values_are_cut() -> None:
    """A whole answer does not stand in a log."""
    with pytest.raises(AcceptanceFailed) as failure:
        expect("The body", b"a" * 10_000, b"b" * 10_000, "spool.py")
    assert len(str(failure.value)) < 1_500


def test_rows_in_any_order() -> None:
    """Order and the kind of tuple do not matter, nor a table that is empty in both."""
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
def test_other_rows(found: dict[str, list[tuple[object, ...]]], says: str) -> None:
    """A row that is missing, doubled, other or of a table that nobody expects is named."""
    with pytest.raises(AcceptanceFailed, match=says):
        expect_rows({"T": [(1, "a"), (2, "b")]}, found, "load.py")
