"""Single values as the columns take them."""

from datetime import UTC, datetime

import pytest

from songswap.transform.values import clean, is_id, moment, whole


@pytest.mark.parametrize("text", ["4iV5W9uYEdYUVa79Axb7Rh", "a", "x" * 24])
def test_id_of_up_to_24_characters_is_accepted(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "x" * 25, "a,b", "a b", "a\n", "ä", "a/b"])
def test_id_that_does_not_fit_or_breaks_a_list_is_refused(text: str) -> None:
    """A column, or a list of ids in an address."""
    assert not is_id(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain", "plain"), ("a\x00b", "ab"), ("\ud83cx", "x"), ("line\nbreak", "line\nbreak")],
)
def test_clean_drops_only_what_postgresql_cannot_store(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_time_is_converted_to_utc_and_cut_to_the_millisecond() -> None:
    expected = datetime(2023, 6, 5, 23, 5, 13, 830000, tzinfo=UTC)
    assert moment("2023-06-05T23:05:13.830Z") == expected
    assert moment("2023-06-06T01:05:13.830999+02:00") == expected
    assert moment("2023-06-05T23:05:13.830") is None
    assert moment("soon") is None


def test_bounds_are_inclusive_and_nothing_is_clamped() -> None:
    assert [whole(n, 0, 3) for n in (-1, 0, 3, 4, None)] == [None, 0, 3, None, None]
