"""Notices about a run beside its failures."""

from datetime import UTC, datetime

from songswap.alerts.notices import unusable_grants, warehouse_set_back, warnings


def test_ordinary_counts_are_no_warning() -> None:
    """Most runs have none."""
    assert warnings({"plays": 500, "gaps": 0, "seconds": 3}) == []


def test_gaps_are_a_warning() -> None:
    """It has the number of users, and the table to look at."""
    (sentence,) = warnings({"gaps": 1200})
    assert sentence.startswith("1,200 users had played more than Spotify remembers")
    assert "songswap.gaps" in sentence


def test_missing_users_are_a_warning() -> None:
    """It names the command that checks the warehouse."""
    (sentence,) = warnings({"missing_users": 1200})
    assert sentence.startswith("1,200 users fewer than before have tokens in the warehouse")
    assert "songswap check postgres" in sentence


def test_unusable_grants_are_counted_by_state() -> None:
    """With the command that lists them; grants in other states do not count."""
    assert unusable_grants({"active": 5, "expiring": 1, "revoked": 0}) is None
    assert unusable_grants({"active": 5, "revoked": 1}) == (
        "1 user cannot be polled: 1 revoked. They have to authorize again (`songswap connect`;"
        " signing in to the web app changes no tokens)."
        " `songswap grants --state revoked` lists them."
    )
    sentence = unusable_grants({"revoked": 1200, "forbidden": 2, "lost": 1})
    assert sentence is not None
    assert sentence.startswith("1,203 users cannot be polled: 1,200 revoked, 1 lost, 2 forbidden.")
    assert "`songswap grants --state revoked --state lost --state forbidden`" in sentence
    assert "authorize" not in str(unusable_grants({"forbidden": 2}))


def test_grants_that_end_soon_are_a_warning() -> None:
    """Each period has a sentence."""
    sentences = warnings(
        {"expiring_in_30_days": 4, "expiring_in_7_days": 0, "expiring_in_1_days": 1}
    )
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "The grants of 4 users end within 30 days",
        "The grants of 1 users end within 1 day",
    ]


def test_warehouse_that_went_back_in_time_needs_a_replay() -> None:
    """From the last run that the warehouse has."""
    sentence = warehouse_set_back(1200, datetime(2026, 11, 22, 18, 4, tzinfo=UTC))
    assert "older tokens of 1,200 users than" in sentence
    assert "`songswap replay --from 2026-11-22T18` restores" in sentence
    sentence = warehouse_set_back(1, None)
    assert "older tokens of 1 user than" in sentence
    assert "`songswap replay` restores" in sentence
