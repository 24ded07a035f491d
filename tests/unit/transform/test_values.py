"""Single values as the columns take them."""

from datetime import UTC, datetime

import pytest

from songswap.transform.values import clean, is_id, moment, whole


@pytest.mark.parametrize("text", ["4iV5W9uYEdYUVa79Axb7Rh", "a", "x" * 24])
def test_ids(text: str) -> None:
    """Ids of up to 24 characters fit the column."""
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "x" * 25, "a,b", "a b", "a\n", "ä", "a/b"])
def test_not_ids(text: str) -> None:
    """What does not fit the column, or would break a list of ids in an address, is no id."""
    assert not is_id(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain", "plain"), ("a\x00b", "ab"), ("\ud83cx", "x"), ("line\nbreak", "line\nbreak")],
)
def test_clean(text: str, expected: str) -> None:
    """Only what PostgreSQL cannot store is dropped."""
    assert clean(text) == expected


def test_moment() -> None:
    """A time is read with its zone, given in UTC, and cut to the millisecond."""
    expected = datetime(2023, 6, 5, 23, 5, 13, 830000, tzinfo=UTC)
    assert moment("2023-06-05T23:05:13.830Z") == expected
    assert moment("2023-06-06T01:05:13.830999+02:00") == expected
    assert moment("2023-06-05T23:05:13.830") is None
    assert moment("soon") is None


def test_whole() -> None:
    """Bounds are inclusive; nothing is clamped."""
    assert [whole(n, 0, 3) for n in (-1, 0, 3, 4, None)] == [None, 0, 3, None, None]
