"""``songswap check airflow``: a missing pool and a paused DAG, from Airflow's metadata database."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

LOAD, FOLLOW = "load_listening_history", "follow_heavy_listeners"


def check(environment: dict[str, str], folder: Path, *names: str) -> tuple[int, dict[str, Any]]:
    """The exit code of the command, and what each step of the checks found."""
    done = subprocess.run(  # noqa: S603  (our own command)
        [sys.executable, "-m", "songswap.cli.main", "check", *names, "--json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    results = json.loads(done.stdout)
    return done.returncode, {
        name: {step["step"]: (step["ok"], step["message"]) for step in steps}
        for name, steps in results.items()
    }


@pytest.fixture
def metadata(airflow: Any) -> Iterator[psycopg.Connection]:
    """Airflow's database, without pools and DAGs of ours; as before at the end."""
    dsn = airflow.dsn.replace("+psycopg2", "")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS TABLE serialized_dag")
        connection.execute("DELETE FROM serialized_dag")
        yield connection
        connection.execute("DELETE FROM slot_pool WHERE pool <> 'default_pool'")
        connection.execute("INSERT INTO serialized_dag SELECT * FROM kept")
        connection.execute("DROP TABLE kept")


def test_missing_pool_and_paused_dag_are_found(
    airflow: Any, metadata: psycopg.Connection, tmp_path: Path
) -> None:
    """Each says what to do; with both mended, the check passes."""
    environment = airflow.environment()
    code, found = check(environment, tmp_path, "airflow")
    ok, message = found["airflow"]["pools"]
    assert (code, ok) == (1, False)
    assert "spotify, backfill. Create them" in message
    assert "airflow pools set spotify" in message
    assert airflow.dsn not in message

    pool = "INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('{}', {}, false)"
    metadata.execute(pool.format("spotify", 2).encode())
    metadata.execute(pool.format("backfill", 0).encode())
    assert "ever: backfill." in check(environment, tmp_path, "airflow")[1]["airflow"]["pools"][1]
    metadata.execute("UPDATE slot_pool SET slots = 3 WHERE pool = 'backfill'")
    code, found = check(environment, tmp_path, "airflow")
    assert found["airflow"]["pools"] == (True, "The pools have slots: spotify 2, backfill 3.")
    ok, message = found["airflow"]["dags"]
    assert ok is False
    assert message.startswith(f"Airflow does not know {LOAD}, {FOLLOW}")


def test_where_airflow_is_out_of_reach_it_says_where_to_look(tmp_path: Path) -> None:
    """A worker has no metadata database: the check is left out there, unless it is named."""
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    code, found = check(environment, tmp_path, "airflow")
    assert code == 1
    assert "docker compose exec airflow-scheduler songswap check" in found["airflow"]["pools"][1]
    assert "airflow" not in check(environment, tmp_path)[1]
    nowhere = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://a:hush@127.0.0.1:1/x"}
    home = {"AIRFLOW_HOME": str(tmp_path)}
    message = check(environment | nowhere | home, tmp_path, "airflow")[1]["airflow"]["pools"][1]
    assert message.startswith("`airflow pools list` failed")
    assert "hush" not in message
