"""Units of a replay: every user once, in few enough of them, and small enough to travel."""

import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.errors import SettingsError
from songswap.pipelines import replay, run_counts
from songswap.settings import Archive, Settings, Spotify

SETTINGS = Settings("", Spotify("id", "hush"), Archive("raw"), Path("spool"))
HOUR = datetime(2026, 11, 22, 8, tzinfo=UTC)


@given(users=st.lists(st.integers(0, 10**6), max_size=3000))
def test_every_user_is_in_one_unit(users: list[int]) -> None:
    """Users are cut along their ids; a unit is a small value that is the same after a journey."""
    units = replay.plan(SETTINGS, users, HOUR)
    chosen = [user for unit in units for user in unit.users]
    assert chosen == sorted(set(users))
    assert len(units) <= replay.MOST_UNITS
    assert len(units) >= min(len(chosen), 16) // 2
    for unit in units:
        assert unit.users
        assert (unit.since, unit.until) == (HOUR, None)
        assert pickle.loads(pickle.dumps(unit)) == unit  # noqa: S301 - our own


def test_hours_have_to_be_some() -> None:
    """Hours that end before they begin are a mistake and not an empty replay."""
    with pytest.raises(SettingsError, match="end before they begin"):
        replay.plan(SETTINGS, [1], HOUR, HOUR)


def test_archive_needs_a_key() -> None:
    """Without a key that may read, the sentence names the connection."""
    with pytest.raises(SettingsError, match="SongSwap_S3_ReadOnly"):
        replay.plan(SETTINGS)


def test_damaged_and_refused_responses_are_problems() -> None:
    """What is gone or foreign is none."""
    assert replay.problem({"gone": 5, "foreign": 3}) is None
    assert "2 objects are damaged" in str(replay.problem(run_counts.total([{"damaged": 1}] * 2)))
    assert "1 responses were refused" in str(replay.problem({"refused": 1}))
