"""The two scheduled DAGs notice when the other one stands still: through ``dag.test()``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from factories import MakePlatform, Platform

REPOSITORY = Path(__file__).parents[2]
LOAD, FOLLOW = "load_listening_history", "follow_heavy_listeners"
STANDS, GOES_ON = "🔴 Something stands still", "🟢 It goes on again"


def told(platform: Platform) -> list[tuple[str, str]]:
    """Titles and texts of what Discord was sent since this was asked last."""
    embeds = [embed for message in platform.messages() for embed in message["embeds"]]
    platform.spotify.delete("/admin/discord")
    return [(embed["title"], embed["description"].replace("\\", "")) for embed in embeds]


def later(platform: Platform, minutes: int) -> None:
    """Let everything that was noticed be so much older."""
    platform.execute(
        "UPDATE songswap.notices SET sent_at = sent_at - make_interval(mins => %s)", minutes
    )


@contextmanager
def metadata(airflow: Any, change: str, back: str) -> Iterator[None]:
    """Change Airflow's own database for the block, as a person or the scheduler does."""
    dsn = airflow.dsn.replace("+psycopg2", "")
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute(change.encode()).rowcount > 0
        try:
            yield
        finally:
            connection.execute(back.encode())


def paused(airflow: Any, dag: str) -> Any:
    """Pause a DAG for the block."""
    change = f"UPDATE dag SET is_paused = {{}} WHERE dag_id = '{dag}'"  # noqa: S608  (our ids)
    return metadata(airflow, change.format("true"), change.format("false"))


def look(airflow: Any, platform: Platform, dag: str = FOLLOW) -> list[tuple[str, str]]:
    """Run a DAG, which has to be green; what was told by it."""
    run = airflow.run(dag, platform)
    assert run["state"] == "success", run["log"]
    assert run["tasks"]["watch"] == "success"
    return told(platform)


def test_standstills_are_told_once_although_nobody_is_at_risk(
    airflow: Any, make_platform: MakePlatform
) -> None:
    """The run of the polls in between is green and skips all else.

    Tasks of a missing pool stay scheduled for ever; those that wait while others run do not.
    """
    platform = make_platform(users=2, real_time=True)
    run = airflow.run(LOAD, platform)
    assert run["state"] == "success", run["log"]
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    platform.execute("UPDATE songswap.runs SET ended_at = ended_at - interval '100 minutes'")
    told(platform)
    state = "UPDATE task_instance SET state = '{}' WHERE run_id = '{}' AND task_id = '{}'"
    waits = [state.format(name, run["run_id"], "batch") for name in ("scheduled", "success")]
    with metadata(airflow, *waits):
        ((title, text),) = look(airflow, platform)
        assert title == STANDS
        assert text.startswith("load_listening_history does not end well. The last hourly load")
        later(platform, 10)
        ((title, text),) = look(airflow, platform)
        assert title == STANDS
        assert text.startswith("No task of the pool spotify begins. Tasks wait (1 of load_")
        platform.load()
        runs = [
            state.format(name, run["run_id"], "enrich_tracks") for name in ("running", "success")
        ]
        with metadata(airflow, *runs):
            ((title, text),) = look(airflow, platform)
        assert title == GOES_ON
        assert "This is over: load_listening_history does not end well" in text
        assert "This is over: No task of the pool spotify begins" in text


def test_paused_dag_is_told_by_the_other(airflow: Any, make_platform: MakePlatform) -> None:
    """Each of the two, once it was seen twice."""
    platform = make_platform(users=2, real_time=True)
    both = f"{LOAD},{FOLLOW}"
    for minutes, titles in ((0, []), (60, [STANDS, STANDS])):
        # The first run makes the rows of the DAGs.
        airflow.run(both, platform) if not minutes else later(platform, minutes)
        told(platform)
        with paused(airflow, LOAD), paused(airflow, FOLLOW):
            found = airflow.run(both, platform)
        assert {run["state"] for run in (found[LOAD], found[FOLLOW])} == {"success"}, found["log"]
        messages = told(platform)
        assert [title for title, _ in messages] == titles
    assert [text.partition(". ")[0] for _, text in messages] == [
        f"{FOLLOW} is paused in Airflow",
        f"{LOAD} is paused in Airflow",
    ]


def test_without_the_warehouse_it_is_red(airflow: Any, make_platform: MakePlatform) -> None:
    """What was told before is not known: the run fails, as its other tasks do."""
    platform = make_platform(users=1, real_time=True)
    nowhere = json.loads(platform.environment()["AIRFLOW_CONN_SONGSWAP_RDS"]) | {"port": 1}
    run = airflow.run(FOLLOW, platform, AIRFLOW_CONN_SONGSWAP_RDS=json.dumps(nowhere))
    assert run["state"] == "failed"
    assert (run["tasks"]["watch"], run["tasks"]["plan"]) == ("failed", "failed")
    assert [title for title, _ in told(platform)] == [f"🔴 {FOLLOW} failed"]


def test_watched_pools_are_those_of_the_dag_files(airflow: Any) -> None:
    """A task that is given a pool without being watched would wait for it unnoticed."""
    code = (
        "from airflow.dag_processing.dagbag import DagBag; import json\n"
        "from songswap.orchestration.airflow_state import POOLS\n"
        "bag = DagBag('dags'); assert bag.dags and not bag.import_errors\n"
        "found = [[task.pool, name, task.task_id] for name, dag in bag.dags.items()"
        " for task in dag.tasks if task.pool != 'default_pool']\n"
        "watched = [[pool, name, task] for pool, dags in POOLS.items()"
        " for name, tasks in dags.items() for task in tasks]\n"
        "print(json.dumps([sorted(found), sorted(watched)]))"
    )
    found, watched = json.loads(airflow.last_line(code))
    assert found == watched
