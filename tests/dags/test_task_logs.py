"""What the log of a failed task says: a known error its sentence, a bug its whole stack."""

from pathlib import Path
from typing import Any

from factories import MakePlatform

FAILING = """
from airflow.sdk import dag, task
from songswap.orchestration.dag_defaults import TEST_DAG

@task
def known():
    from songswap.errors import WarehouseUnavailable

    try:
        {}["cause-of-the-known"]
    except KeyError as cause:
        raise WarehouseUnavailable("The warehouse was lost. It comes back.") from cause

@task
def undefined():
    from songswap.orchestration.connections import read_warehouse

    read_warehouse()

@task
def bug():
    return {}["cause-of-the-bug"]

@task
def foreseen_as_unexpected():
    from songswap.errors import UnexpectedFailure

    try:
        {}["cause-of-the-unexpected"]
    except KeyError as cause:
        raise UnexpectedFailure.of(cause) from cause

@dag(schedule=None, **TEST_DAG)
def failing():
    [known(), undefined(), bug(), foreseen_as_unexpected()]

failing()
"""


def test_known_error_is_its_sentence_and_a_bug_keeps_its_stack(
    airflow: Any, make_platform: MakePlatform, tmp_path: Path
) -> None:
    """With the log level DEBUG every stack is there."""
    (tmp_path / "failing.py").write_text(FAILING)
    platform = make_platform(users=1)
    settings = {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path), "AIRFLOW_CONN_SONGSWAP_RDS": ""}
    run = airflow.run("failing", platform, **settings)
    assert set(run["tasks"].values()) == {"failed"}
    log = run["log"]
    assert "The warehouse was lost. It comes back." in log
    assert "error=WarehouseUnavailable" in log
    assert "Not set: the connection SongSwap_RDS" in log
    assert "error=SettingsError" in log
    assert "cause-of-the-known" not in log
    assert log.count("Task failed with exception") == 2
    assert "KeyError: 'cause-of-the-bug'" in log
    assert "KeyError: 'cause-of-the-unexpected'" in log
    assert "in bug" in log

    verbose = airflow.run("failing", platform, AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG", **settings)
    assert "cause-of-the-known" in verbose["log"]
