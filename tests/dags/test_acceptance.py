"""The test DAGs: green on a healthy platform, red on broken code, and they leave nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.checks.acceptance import spool

TEST_DAGS = [
    "test_rds_load_history",
    "test_rds_load_track",
    "test_rds_load_artist",
    "test_rds_load_track_features",
    "test_file_utils",
    "test_s3_user_load_history",
]


def everything(platform: Platform) -> dict[str, Any]:
    """Return all rows of all tables, all objects in the bucket, and all files of the spool.

    Without the versions of shards, which count the writes of tracks.
    """
    tables = platform.rows(
        "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname IN ('public', 'songswap') AND tablename <> 'catalogue_shards'"
    )
    rows = {name: platform.rows(f"SELECT t::text FROM {name} t ORDER BY 1") for (name,) in tables}  # noqa: S608  (names from the catalogue)
    files = sorted(str(file) for file in platform.settings.spool.rglob("*"))
    return {**rows, "objects": platform.objects(), "files": files}


def red_tasks(runs: dict[str, Any]) -> dict[str, set[str]]:
    """Return the tasks that failed themselves, by DAG."""
    return {
        dag: {task for task, state in runs[dag]["tasks"].items() if state == "failed"}
        for dag in TEST_DAGS
    }


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """A platform with real rows."""
    made = make_platform(users=2, real_time=True)
    made.load()
    return made


def test_green_after_a_kill_and_nothing_is_left(airflow: Any, platform: Platform) -> None:
    """One DAG was killed while it loaded."""
    before = everything(platform)
    assert len(before['public."History"']) > 10
    _kill_while_it_inserts(airflow, platform)
    assert everything(platform) != before

    runs = airflow.run(",".join(TEST_DAGS), platform)
    states = {dag: runs[dag]["state"] for dag in TEST_DAGS}
    assert states == dict.fromkeys(TEST_DAGS, "success"), runs["log"]
    assert everything(platform) == before


def _kill_while_it_inserts(airflow: Any, platform: Platform) -> None:
    script = str(Path(__file__).parent / "run_dag.py")
    with psycopg.connect(platform.settings.warehouse_dsn) as guard:
        # The load writes this table last: it waits with its other rows written.
        guard.execute("LOCK TABLE songswap.polls IN EXCLUSIVE MODE")
        run = subprocess.Popen(  # noqa: S603  (our own script)
            [sys.executable, script, TEST_DAGS[0], str(airflow.home / "killed.json"), "null", ""],
            env=airflow.environment(platform),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_for_a_lock(platform)
        finally:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait(timeout=30)


def _wait_for_a_lock(platform: Platform) -> None:
    for _ in range(600):
        waits = platform.rows(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        if waits[0][0]:
            return
        time.sleep(0.1)
    pytest.fail("the load did not come to the table that is locked")


def test_broken_code_is_red_in_the_task_that_covers_it(
    airflow: Any, platform: Platform, broken_copy: Callable[..., Path]
) -> None:
    """Nothing is left."""
    before = everything(platform)
    sources = broken_copy(
        ("transform/values.py", "if beyond else parsed", "if 0 else parsed.replace(microsecond=0)"),
        (
            "transform/metadata.py",
            "Popularity(artist_id, observed_at, popularity)",
            "Popularity(artist_id, observed_at, 50)",
        ),
        (
            "warehouse/enrichment.sql",
            "(id text, acousticness float, danceability float,",
            "(id text, danceability float, acousticness float,",
        ),
        (
            "warehouse/enrichment.sql",
            "coalesce(nullif(s.name, ''), t.name)",
            "coalesce(nullif(t.name, ''), s.id)",
        ),
        ("storage/records.py", "compress(body, _LEVEL, ", "compress(body.strip(), _LEVEL, "),
        ("storage/archive.py", 'mode="create"', 'mode="overwrite"'),
    )
    runs = airflow.run(",".join(TEST_DAGS), platform, sources=sources)
    assert red_tasks(runs) == {
        "test_rds_load_history": {"transform"},
        "test_rds_load_track": {"verify"},
        "test_rds_load_artist": {"transform"},
        "test_rds_load_track_features": {"verify"},
        "test_file_utils": {"read"},
        "test_s3_user_load_history": {"put"},
    }
    assert {runs[dag]["state"] for dag in TEST_DAGS} == {"failed"}
    for says in (
        "History: 4 of 4 rows are missing and 4 are wrong",
        "Look at songswap/transform/recent_plays.py",
        "TrackFeatures: 1 of 2 rows",
        "Look at songswap/warehouse/enrichment.py and enrichment.sql",
        "Nothing real was touched",
    ):
        assert says in runs["log"]
    assert everything(platform) == before


def test_failures_of_the_last_tasks_are_red(
    airflow: Any, platform: Platform, broken_copy: Callable[..., Path]
) -> None:
    """Only the second load is wrong, rights are too wide, or a folder is not removed.

    The next set-up removes it.
    """
    before = everything(platform)
    sources = broken_copy(
        (
            "transform/recent_plays.py",
            "return RejectedItem(digest,",
            "import os; return RejectedItem(os.urandom(32),",
        ),
        (
            "warehouse/enrichment.sql",
            "coalesce(nullif(s.duration_ms, 0), t.duration_ms)",
            "t.duration_ms + s.duration_ms",
        ),
        (
            "warehouse/enrichment.sql",
            "'UTC', s.followers",
            "'UTC', s.followers + 1",
        ),
        (
            "warehouse/enrichment.sql",
            "speechiness float, tempo float",
            "tempo float, speechiness float",
        ),
        ("checks/acceptance/spool.py", "shutil.rmtree(", "raise OSError("),
    )
    wide = platform.environment()["AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE"]
    runs = airflow.run(
        ",".join(TEST_DAGS), platform, sources=sources, AIRFLOW_CONN_SONGSWAP_S3_PUTONLY=wide
    )
    assert red_tasks(runs) == {
        "test_rds_load_history": {"insert_again"},
        "test_rds_load_track": {"insert_again"},
        "test_rds_load_artist": {"verify"},
        "test_rds_load_track_features": {"verify"},
        "test_file_utils": {"remove"},
        "test_s3_user_load_history": {"check_refusals"},
    }
    assert {runs[dag]["state"] for dag in TEST_DAGS} == {"failed"}
    assert "was allowed to PUT tests/user0" in runs["log"]
    assert everything(platform) != before
    spool.remove(platform.settings.spool)
    assert everything(platform) == before
