"""What a snapshot counts again, and how its facts are composed."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from songswap.pipelines.snapshot import (
    BARS,
    IN_AN_HOUR,
    compose,
    in_json,
    must_count,
    plays_since,
)
from songswap.warehouse.limits.capacity import Learned
from songswap.warehouse.overview import Ages, Ending, Overview
from songswap.warehouse.snapshots import Snapshot

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)


def overview(**found: Any) -> Overview:
    """An overview of an empty warehouse, but for what is given."""
    empty = Overview(
        users=0,
        users_with_tokens=0,
        newest_play=None,
        ages=Ages(0, 0, None, {}),
        open_gaps=0,
        closed_gaps=0,
        newest_gaps=[],
        requests_in_window=0,
        runs=[],
        steps=[],
        polls_between={"runs": 0, "failed": 0, "ended_at": None},
        grants=[],
        imports=[],
        due_users=0,
        due=[],
        open_erasures=[],
    )
    return empty._replace(**found)


def facts(**found: Any) -> dict[str, Any]:
    """The facts of run ``r``."""
    return compose(overview(**found), Learned(), [], [], "r", NOW)


@pytest.mark.parametrize(
    ("taken_at", "days"),
    [
        (None, 30),
        (NOW - timedelta(hours=1), 2),
        (NOW.replace(hour=0, minute=0), 2),
        (NOW.replace(hour=0, minute=0) - timedelta(seconds=1), 30),
        (NOW - timedelta(days=5), 30),
    ],
)
def test_first_snapshot_of_a_day_counts_30_days(taken_at: datetime | None, days: int) -> None:
    """The others count 48 hours; after a pause of days none is left out."""
    previous = Snapshot(taken_at, "r", {}) if taken_at else None
    assert plays_since(previous, NOW) == NOW - timedelta(days=days)


@pytest.mark.parametrize(
    ("total", "hours", "due"),
    [
        (0, 0, True),
        (IN_AN_HOUR, 0.1, True),
        (IN_AN_HOUR + 1, 1.0, False),
        (2 * IN_AN_HOUR, 1.2, False),
        (2 * IN_AN_HOUR, 1.6, True),
        (5 * IN_AN_HOUR, 4.1, False),
        (5 * IN_AN_HOUR, 4.9, True),
        (1000 * IN_AN_HOUR, 22.9, False),
        (1000 * IN_AN_HOUR, 24.1, True),
        (5 * IN_AN_HOUR, -1, True),
    ],
)
def test_catalogue_is_counted_the_more_seldom_the_larger_it_is(
    total: int, hours: float, due: bool
) -> None:
    """A small one in each snapshot, any at least daily, and at once after a wrong clock."""
    catalogue = {
        "counted_at": (NOW - timedelta(hours=hours)).isoformat(),
        "tracks": {"total": total},
        "artists": {"total": 0},
    }
    assert must_count(catalogue, NOW) is due


def test_catalogue_is_counted_before_anything_is_known_of_it() -> None:
    assert must_count({}, NOW)


def test_histogram_has_each_bar() -> None:
    """Bars without users too, and the one without an end."""
    ages = Ages(6, 1, [20, 70, 90_000], {30: 3, 90: 1, None: 1})
    freshness = facts(ages=ages)["freshness"]
    bars = [(bar["up_to_minutes"], bar["users"]) for bar in freshness["histogram"]]
    assert [bar for bar, _ in bars] == [*BARS, None]
    assert [(bar, users) for bar, users in bars if users] == [(30, 3), (90, 1), (None, 1)]
    assert freshness["answered"] == {
        "never": 1,
        "p50_minutes": 20,
        "p90_minutes": 70,
        "oldest_minutes": 90_000,
    }


def test_grants_by_state_and_by_day() -> None:
    """Each state is there; only grants that are alive have an end to come."""
    first, second = date(2026, 12, 1), date(2027, 1, 5)
    grants = facts(
        grants=[
            Ending("active", None, 4),
            Ending("expired", date(2026, 11, 1), 2),
            Ending("revoked", first, 1),
            Ending("active", second, 3),
            Ending("expiring", first, 5),
            Ending("active", first, 1),
        ]
    )["grants"]
    assert grants == {
        "states": {
            "active": 8,
            "expiring": 5,
            "expired": 2,
            "revoked": 1,
            "lost": 0,
            "forbidden": 0,
        },
        "ending": [{"day": "2026-12-01", "users": 6}, {"day": "2027-01-05", "users": 3}],
    }


def run(run_id: str) -> dict[str, Any]:
    """A run's row."""
    return {
        "run_id": run_id,
        "state": "failed",
        "started_at": NOW,
        "ended_at": None,
        "problem": "No",
        "plays": 1,
        "users": 2,
    }


def step(run_id: str, name: str, **counts: int) -> dict[str, Any]:
    """A step's row."""
    row = {"run_id": run_id, "step": name, "parts": 2, "failed": 0, "planned": 0, "problem": None}
    return row | counts


def test_steps_of_runs_are_in_their_order() -> None:
    """A part that failed weighs more than one that never ended; unknown steps come last."""
    steps = [
        step("r", "load", failed=1, planned=1),
        step("cli__1", "load"),
        step("r", "later"),
        step("r", "fetch"),
        step("r", "retry", planned=1),
    ]
    found = facts(runs=[run("r"), run("cli__1")], steps=steps)
    ours, theirs = found["runs"]
    assert [(each["step"], each["state"]) for each in ours["steps"]] == [
        ("retry", "planned"),
        ("fetch", "done"),
        ("load", "failed"),
        ("later", "done"),
    ]
    assert (ours["dag_id"], ours["dag_run_id"]) == ("load_listening_history", "r")
    assert (theirs["dag_id"], theirs["dag_run_id"], len(theirs["steps"])) == (None, None, 1)
    assert found["run"]["run_id"] == "r"
    assert "steps" not in found["run"]


def test_run_that_is_not_among_the_last() -> None:
    assert facts(runs=[run("other")])["run"] is None


def test_times_are_in_utc() -> None:
    """Whatever zone they had; the result is plain JSON."""
    west = timezone(-timedelta(hours=8))
    plain = in_json({"at": datetime(2026, 11, 22, 10, tzinfo=west), "day": date(2026, 1, 2)})
    assert plain == {"at": "2026-11-22T18:00:00+00:00", "day": "2026-01-02"}
    everything = in_json(facts(runs=[run("r")], steps=[step("r", "load")]))
    assert json.loads(json.dumps(everything)) == everything
