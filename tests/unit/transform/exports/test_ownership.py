"""Whose export it is, by the plays that the API returned."""

from datetime import UTC, datetime, timedelta

from songswap.models import Stream
from songswap.transform.exports.ownership import share_found

T = datetime(2026, 1, 2, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def test_share_of_known_plays_shows_whose_export_it_is() -> None:
    """None where there are too few."""
    plays = [(at(100 * number), f"t{number}") for number in range(40)]
    own = [Stream(at(100 * number + 7), 60_000, f"t{number}") for number in range(40)]
    assert share_found(own, plays) == 1
    assert share_found(own[:10], plays) == 0.25
    assert share_found([], plays) == 0
    assert share_found(own, plays[:5]) is None
