"""What is to be told of a run that went well."""

from datetime import UTC, datetime

from songswap.alerts.warning import set_back, unaskable, warnings


def test_most_runs_have_none() -> None:
    """Counts that need nobody are no warning."""
    assert warnings({"plays": 500, "gaps": 0, "seconds": 3}) == []


def test_gaps() -> None:
    """A gap is told, with how many users it concerns and where to look."""
    (sentence,) = warnings({"gaps": 1200})
    assert sentence.startswith("1,200 users had played more than Spotify remembers")
    assert "songswap.gaps" in sentence


def test_users_who_are_missing() -> None:
    """Many fewer users than before are told, with what to look at."""
    (sentence,) = warnings({"missing_users": 1200})
    assert sentence.startswith("1,200 users fewer than before have tokens in the warehouse")
    assert "songswap check postgres" in sentence


def test_grants_that_cannot_be_asked_with() -> None:
    """They are told by number, with the command that lists them; others are not told of."""
    assert unaskable({"active": 5, "expiring": 1, "revoked": 0}) is None
    assert unaskable({"active": 5, "revoked": 1}) == (
        "1 user cannot be asked for: 1 revoked. They have to authorize again (`songswap connect`;"
        " signing in to the web app changes no tokens)."
        " `songswap grants --state revoked` lists them."
    )
    told = unaskable({"revoked": 1200, "forbidden": 2, "lost": 1})
    assert told is not None
    assert told.startswith("1,203 users cannot be asked for: 1,200 revoked, 1 lost, 2 forbidden.")
    assert "`songswap grants --state revoked --state lost --state forbidden`" in told
    assert "authorize" not in str(unaskable({"forbidden": 2}))


def test_grants_that_end() -> None:
    """Grants that end soon are told, each distance in a sentence of its own."""
    told = warnings({"expiring_in_30_days": 4, "expiring_in_7_days": 0, "expiring_in_1_days": 1})
    assert [sentence.split(":")[0] for sentence in told] == [
        "The grants of 4 users end within 30 days",
        "The grants of 1 users end within 1 day",
    ]


def test_warehouse_that_went_back_in_time() -> None:
    """It is told with the replay that is needed: from the last run that the warehouse knows of."""
    told = set_back(1200, datetime(2026, 11, 22, 18, 4, tzinfo=UTC))
    assert "older tokens of 1,200 users than" in told
    assert "`songswap replay --from 2026-11-22T18` brings" in told
    told = set_back(1, None)
    assert "older tokens of 1 user than" in told
    assert "`songswap replay` brings" in told
