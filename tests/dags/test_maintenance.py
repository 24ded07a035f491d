"""The weekly housekeeping through ``dag.test()``."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from factories import MakePlatform

DAG = "maintenance"


def results(airflow: Any, run: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return the results of a run's tasks."""
    with psycopg.connect(airflow.dsn.replace("+psycopg2", "")) as connection:
        rows = connection.execute(
            "SELECT task_id, value FROM xcom WHERE dag_id = %s AND run_id = %s"
            " AND key = 'return_value'",
            [DAG, run["run_id"]],
        )
        return dict(rows.fetchall())


def test_maintenance_says_what_it_removed(
    airflow: Any, make_platform: MakePlatform, tmp_path: Path
) -> None:
    """As its tasks' results and in their logs; a dry run says the same and removes nothing."""
    platform = make_platform(users=1)
    for run_id, days in (("old", 100), ("new", 1)):
        platform.execute(
            "INSERT INTO songswap.runs (run_id, started_at, state, counted)"
            " VALUES (%s, %s, 'success', '{}')",
            *(run_id, platform.clock() - timedelta(days=days)),
        )
    log = tmp_path / "dag_id=a/run_id=b/task_id=c/attempt=1.log"
    log.parent.mkdir(parents=True)
    log.write_text("12345")
    old = platform.clock().timestamp() - 31 * 86_400
    os.utime(log, (old, old))
    settings = {
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    }
    rows = {"runs": 1, "steps": 0, "requests": 0, "snapshots": 0}

    dry = airflow.run(DAG, platform, conf={"dry_run": True}, **settings)
    assert dry["state"] == "success", dry["log"]
    found = results(airflow, dry)
    assert found["clean_warehouse"] == rows
    assert found["clean_logs"] == {"log_files": 1, "log_bytes": 5, "log_folders": 0}
    assert "Would be deleted, rows older than 90 days: runs 1." in dry["log"]
    assert log.exists()

    run = airflow.run(DAG, platform, SONGSWAP_KEEP_DAYS="95", **settings)
    assert run["state"] == "success", run["log"]
    assert results(airflow, run)["clean_warehouse"] == rows
    assert "Deleted, rows older than 95 days: runs 1." in run["log"]
    assert f"Deleted, logs older than 30 days in {tmp_path}: log_files 1" in run["log"]
    assert not log.exists()
    assert platform.rows("SELECT run_id FROM songswap.runs") == [("new",)]
