"""Whom a program may erase, of those who have to be."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.pipelines.due import Due, Refreshed

NOW = datetime(2026, 11, 27, 4, 20, tzinfo=UTC)


def user(user_id: int, reason: str = "gone", due_at: datetime = NOW) -> Due:
    """A user who has to be erased."""
    return Due(user_id, reason, due_at - timedelta(days=5), due_at)


@pytest.mark.parametrize(
    ("due_at", "left"),
    [
        (datetime(2026, 11, 27, 23, 59, tzinfo=UTC), 0),
        (datetime(2026, 11, 27, 0, 0, tzinfo=UTC), 0),
        (datetime(2026, 11, 28, 0, 0, tzinfo=UTC), 1),
        (datetime(2026, 11, 26, 23, 59, tzinfo=UTC), -1),
    ],
)
def test_day_is_what_counts(due_at: datetime, left: int) -> None:
    """A daily run of any hour erases on the day, and not the day after."""
    assert user(1, "revoked", due_at).days_left(NOW) == left
    found = Refreshed([user(1, "revoked", due_at)], 1)
    assert bool(found.to_erase(NOW)) is (left <= 0)


@given(gone=st.integers(0, 60), archived=st.integers(0, 6_000), revoked=st.integers(0, 5))
def test_many_gone_at_once_are_never_erased_by_a_program(
    gone: int, archived: int, revoked: int
) -> None:
    """More than 3, and more than one in a hundred; revoked users are erased all the same."""
    users = [user(n) for n in range(gone)] + [user(100 + n, "revoked") for n in range(revoked)]
    found = Refreshed(users, archived)
    erased = found.to_erase(NOW)
    assert [each for each in erased if each.reason == "revoked"] == users[gone:]
    of_gone = len(erased) - revoked
    assert of_gone in (0, gone)
    assert of_gone <= max(3, archived / 100)
    assert found.is_held_back is (gone > 0 and of_gone == 0)


def test_unknown_archive_lets_nobody_be_gone() -> None:
    """Without its size nobody knows whether few or many are gone."""
    found = Refreshed([user(1), user(2, "revoked")], None)
    assert [each.user_id for each in found.to_erase(NOW)] == [2]
