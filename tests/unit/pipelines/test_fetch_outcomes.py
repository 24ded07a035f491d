"""What came of each user of a batch, and when its polling stops."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from songswap.errors import (
    Forbidden,
    Interrupted,
    InvalidClient,
    InvalidGrant,
    RateLimited,
    SongSwapError,
    SpoolError,
    SpotifyUnavailable,
    TokenLost,
    WarehouseUnavailable,
)
from songswap.pipelines.fetch_outcomes import Outcomes

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
DOWN = SpotifyUnavailable("Spotify is down.")


@pytest.mark.parametrize(
    ("error", "outcome", "problem"),
    [
        (DOWN, "failed", "Spotify is down."),
        (Forbidden("no"), "forbidden", "forbidden"),
        (InvalidGrant("no"), "refused", "grant refused"),
    ],
)
def test_error_of_one_user_stops_no_other(error: SongSwapError, outcome: str, problem: str) -> None:
    outcomes = Outcomes(2)
    outcomes.failed(7, error)
    assert (outcomes.by_user, outcomes.polled) == ({7: outcome}, {7: problem})
    assert outcomes.goes_on()


@pytest.mark.parametrize(
    "error",
    [
        InvalidClient("no"),
        WarehouseUnavailable("It was lost."),
        SpoolError("The disk is full."),
    ],
)
def test_error_of_every_user_stops_the_batch(error: SongSwapError) -> None:
    """The user has no outcome: the next run polls again."""
    outcomes = Outcomes(2)
    outcomes.failed(7, error)
    assert not outcomes.goes_on()
    assert outcomes.stopped_by is error
    assert (outcomes.by_user, outcomes.polled) == ({}, {7: type(error).__name__})


@pytest.mark.parametrize("error", [Interrupted("stopped"), RateLimited("Wait.", NOW)])
def test_signal_and_pause_are_no_problem_of_a_user(error: SongSwapError) -> None:
    """The user's turn is still to come."""
    outcomes = Outcomes(2)
    outcomes.failed(7, error)
    assert not outcomes.goes_on()
    assert outcomes.polled == {}


def test_first_error_is_the_one_that_is_reported() -> None:
    outcomes = Outcomes(2)
    first = SpoolError("The disk is full.")
    outcomes.stop(first)
    outcomes.stop(DOWN)
    assert outcomes.stopped_by is first


def test_failures_in_a_row_stop_the_batch() -> None:
    outcomes = Outcomes(3)
    for user_id in (1, 2, 3, 4, 5):
        outcomes.failed(user_id, DOWN)
        if user_id == 2:
            outcomes.responded()
        assert outcomes.goes_on() is (user_id < 5)
    assert "3 users in a row" in str(outcomes.stopped_by)


def test_refusals_do_not_count_as_failures_in_a_row() -> None:
    outcomes = Outcomes(1)
    outcomes.failed(1, InvalidGrant("no"))
    outcomes.failed(2, Forbidden("no"))
    assert outcomes.goes_on()


def test_lost_token_is_recorded_with_its_time() -> None:
    outcomes = Outcomes(1)
    outcomes.failed(1, InvalidGrant("no"))
    outcomes.failed(2, TokenLost.since(NOW))
    assert outcomes.refused == {1: None, 2: NOW}


def test_counts_are_of_users_by_their_outcome() -> None:
    outcomes = Outcomes(5)
    outcomes.counts["responses"] = 1
    outcomes.by_user[1] = "answered"
    outcomes.unchanged(2)
    outcomes.failed(3, Forbidden("no"))
    outcomes.failed(4, DOWN)
    assert outcomes.final_counts() == Counter(
        responses=1, polled=4, unchanged=1, forbidden=1, failed=1
    )
    assert outcomes.forbidden() == [3]
    assert outcomes.polled[2] is None
