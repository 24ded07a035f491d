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
    assert bool(found.due_now(NOW)) is (left <= 0)


@given(gone=st.integers(0, 60), archived=st.integers(0, 6_000), revoked=st.integers(0, 60))
def test_many_gone_at_once_are_never_erased_by_a_program(
    gone: int, archived: int, revoked: int
) -> None:
    """More than 3, and more than one in a hundred are gone, or one in ten is revoked."""
    users = [user(n) for n in range(gone)] + [user(1_000 + n, "revoked") for n in range(revoked)]
    found = Refreshed(users, archived)
    erased = found.due_now(NOW)
    for reason, listed, share in (("gone", gone, 100), ("revoked", revoked, 10)):
        number = sum(each.reason == reason for each in erased)
        assert number in (0, listed)
        assert number <= max(3, archived / share)
        assert (reason in found.held_back) is (number < listed)


def test_unknown_archive_lets_nobody_be_gone() -> None:
    """Without its size nobody knows whether few or many are gone."""
    found = Refreshed([user(1), user(2, "revoked")], None)
    assert [each.user_id for each in found.due_now(NOW)] == [2]


def test_run_erases_as_many_as_airflow_maps() -> None:
    """The first of those who were told; others are left to the next day."""
    users = [user(n, "revoked") for n in range(1_100)]
    found = Refreshed(users, 20_000)
    assert found.to_erase(NOW, range(50, 1_100)) == users[50:1_050]
    assert found.due_now(NOW) == users
