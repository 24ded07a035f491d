"""Which tokens came of which: the end of a chain is found from any place on it, and only there."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from songswap.models import RotatedToken, token_digest
from songswap.storage import spool_rotations, spool_tables

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)

EVENTS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["rotated", "login", "same"])))


@contextmanager
def tables_in_memory() -> Iterator[sqlite3.Connection]:
    """The spool's tables, on no disk."""
    db = sqlite3.connect(":memory:")
    try:
        spool_tables.make(db)
        yield db
    finally:
        db.close()


@given(EVENTS)
def test_set_back_to_any_moment(events: list[tuple[int, str]]) -> None:
    """Whenever the warehouse is set back to, what is put back is what its token was rotated to."""
    with tables_in_memory() as db:
        held = {user: f"{user} at first" for user in (1, 2, 3)}
        good: dict[tuple[int, str], str] = {}  # the last of each token's chain
        for number, (user, event) in enumerate(events):
            spent = held[user]
            if event == "login":
                held[user] = f"login {number}"
                continue
            new = spent if event == "same" else f"rotated {number}"
            token = RotatedToken(user, spent, f"access {number}", new, BEGIN)
            spool_rotations.remember(db, [token], BEGIN + number * HOUR)
            if event == "rotated":
                good = {key: new if last == spent else last for key, last in good.items()}
                good[user, spent] = new
                held[user] = new
        ever = {(user, text) for user, text in good} | set(held.items())
        for user, text in ever:
            found = spool_rotations.successor(db, user, token_digest(text))
            assert (found and found.refresh_token) == good.get((user, text))
        ends = {(user, token_digest(last)) for (user, _), last in good.items()}
        assert set(spool_rotations.latest(db, 1, 3, 10**6)) == ends
        assert len(spool_rotations.latest(db, 1, 3, 10**6)) == len(ends), "one for each chain"


@given(st.integers(0, 60), st.integers(1, 50))
def test_rotated_tokens_are_stored_for_a_set_time(hours: int, keep: int) -> None:
    with tables_in_memory() as db:
        for hour in range(hours):
            token = RotatedToken(1, f"t{hour}", "a", f"t{hour + 1}", BEGIN)
            spool_rotations.remember(db, [token], BEGIN + hour * HOUR)
        now = BEGIN + hours * HOUR
        spool_rotations.forget(db, keep * HOUR, now)
        for hour in range(hours):
            found = spool_rotations.successor(db, 1, token_digest(f"t{hour}"))
            assert (found is not None) == (now - (BEGIN + hour * HOUR) < keep * HOUR)


def test_later_successor_of_a_token_wins() -> None:
    with tables_in_memory() as db:
        for new in ("B", "b"):
            spool_rotations.remember(db, [RotatedToken(1, "A", "a", new, BEGIN)], BEGIN)
        found = spool_rotations.successor(db, 1, token_digest("A"))
        assert found is not None
        assert found.refresh_token == "b"


def test_ring_of_tokens_ends() -> None:
    with tables_in_memory() as db:
        for spent, new in (("A", "B"), ("B", "A")):
            spool_rotations.remember(db, [RotatedToken(1, spent, "a", new, BEGIN)], BEGIN)
        assert spool_rotations.latest(db, 1, 1, 99) == [(1, token_digest("A"))]
        found = spool_rotations.successor(db, 1, token_digest("B"))
        assert found is not None
        assert found.refresh_token == "A"


def test_no_token_is_shown() -> None:
    """What shows a token's place in a log or a traceback does not show the token."""
    with tables_in_memory() as db:
        spool_rotations.remember(
            db, [RotatedToken(1, "A", "secret access", "secret refresh", BEGIN)], BEGIN
        )
        assert "secret" not in repr(spool_rotations.successor(db, 1, token_digest("A")))
