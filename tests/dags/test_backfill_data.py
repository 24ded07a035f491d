"""The backfill DAG through ``dag.test()``, with real PostgreSQL and HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from factories import MakePlatform, Platform

DAG = "backfill_data"
BRANCHES = ("artists", "tracks", "features")


def states(find: str, fill: str, verify: str) -> list[str]:
    """Return the states of a branch's tasks, in order."""
    return [find, fill, verify]


GREEN = states("success", "success", "success")


def branches(run: dict[str, Any]) -> dict[str, list[str]]:
    """Return the states of each branch's tasks in a run."""
    return {
        branch: states(*(run["tasks"][f"{task}_{branch}"] for task in ("find", "fill", "verify")))
        for branch in BRANCHES
    }


def forget(platform: Platform) -> None:
    """Delete metadata of each kind, and its rows in the queue."""
    platform.execute(
        'TRUNCATE "ArtistPopularity", "TrackPopularity", "TrackFeatures", songswap.enrichment_queue'
    )
    platform.spotify.delete("/admin/calls")


def filled(platform: Platform) -> list[bool]:
    """Return whether artists, tracks and features have rows again."""
    (row,) = platform.rows(
        'SELECT (SELECT count(*) FROM "ArtistPopularity") > 0,'
        ' (SELECT count(*) FROM "TrackPopularity") > 0, (SELECT count(*) FROM "TrackFeatures") > 0'
    )
    return list(row)


def test_branches_run_independently(
    airflow: Any, make_platform: MakePlatform, broken_copy: Callable[..., Path]
) -> None:
    """A branch fails alone; a dry run only counts; a pause of Spotify's is waited for."""
    platform = make_platform(users=4, real_time=True)
    platform.load()
    forget(platform)
    dry = airflow.run(DAG, platform, conf={"kinds": ["artist", "track"], "dry_run": True})
    assert dry["state"] == "success", dry["log"]
    counted = states("success", "skipped", "skipped")
    assert branches(dry) == {
        "artists": counted,
        "tracks": counted,
        "features": states("skipped", "skipped", "skipped"),
    }
    assert platform.calls() == {}
    assert filled(platform) == [False, False, False]

    platform.fault(path="/v1/artists", status=400, body={"error": "invalid_client"})
    red = airflow.run(DAG, platform)
    assert red["state"] == "failed"
    assert branches(red) == {
        "artists": states("success", "failed", "upstream_failed"),
        "tracks": GREEN,
        "features": GREEN,
    }
    assert filled(platform) == [False, True, True]
    platform.mend()

    # One second longer than a request may wait.
    forget(platform)
    short = broken_copy(
        ("settings/__init__.py", "longest_wait_s: float = 35.0", "longest_wait_s: float = 1.0")
    )
    platform.fault(path="/v1/artists", status=429, headers={"Retry-After": "2"}, times=1)
    green = airflow.run(DAG, platform, conf={"at_most": 7}, sources=short)
    assert green["state"] == "success", green["log"]
    assert branches(green) == dict.fromkeys(BRANCHES, GREEN)
    counts = "SELECT kind, count(*) FROM songswap.enrichment_queue GROUP BY 1 ORDER BY 1"
    assert platform.rows(counts) == [("artist", 7), ("features", 7), ("track", 7)]
    assert platform.calls()["artists"] == 2
