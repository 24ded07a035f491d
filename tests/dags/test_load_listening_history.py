"""The hourly DAG through ``dag.test()``, with real PostgreSQL, S3 and HTTP."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
import yaml
from factories import MakePlatform, Platform
from psycopg import sql

from songswap.dev.stack.object_store import ObjectStore
from songswap.storage.spool import Spool

REPOSITORY = Path(__file__).parents[2]
DAG = "load_listening_history"
TASKS = {
    "watch",
    "retry",
    "plan",
    "batch[0]",
    "enrich_tracks",
    "enrich_artists",
    "enrich_features",
    "publish_plays",
    "publish_catalogue",
    "summarise",
}


def titles(platform: Platform) -> list[str]:
    """Return the titles of all messages on Discord."""
    return [embed["title"] for message in platform.messages() for embed in message["embeds"]]


def test_second_run_adds_nothing(airflow: Any, make_platform: MakePlatform) -> None:
    """The first loads all plays that Spotify has; the second requests no metadata."""
    platform = make_platform(users=8, real_time=True)
    first = airflow.run(DAG, platform)
    assert first["state"] == "success", first["log"]
    assert first["tasks"] == dict.fromkeys(TASKS, "success")
    assert platform.history() == platform.reachable()
    assert platform.history().total() > 100

    # Real time passes between the runs, and somebody may be listening.
    platform.spotify.delete("/admin/calls")
    before = platform.history()
    second = airflow.run(DAG, platform)
    assert second["state"] == "success", second["log"]
    if platform.history() == before:
        assert platform.calls().keys() == {"recently-played"}
    assert platform.history() == platform.reachable()


def test_run_of_2000_users_has_less_than_10_kb_of_xcoms(
    airflow: Any, make_platform: MakePlatform
) -> None:
    """Tasks pass numbers and keys only."""
    platform = make_platform("--rate-limit", "0", users=2000, real_time=True)
    run = airflow.run(DAG, platform, SONGSWAP_BATCH_SIZE="250")
    assert run["state"] == "success", run["log"]
    assert len([task for task in run["tasks"] if task.startswith("batch")]) == 8
    with psycopg.connect(airflow.dsn.replace("+psycopg2", "")) as connection:
        size = connection.execute(
            "SELECT sum(pg_column_size(x.*)), sum(length(value::text)) FROM xcom x"
            " WHERE dag_id = %s AND run_id = %s",
            [DAG, run["run_id"]],
        ).fetchone()
    assert size is not None
    assert size[0] < 10_240
    assert size[1] < 10_240
    assert platform.history() == platform.reachable()


def test_run_without_s3_loads_and_the_next_one_archives(
    airflow: Any, make_platform: MakePlatform, own_objects: ObjectStore
) -> None:
    """The run without S3 is red."""
    platform = make_platform(users=3, real_time=True)
    platform.use(own_objects)
    own_objects.stop()
    run = airflow.run(DAG, platform)
    assert run["state"] == "failed"
    assert {name for name, state in run["tasks"].items() if state != "success"} == {"summarise"}
    assert "responses wait in the spool for S3" in run["log"]
    assert platform.history() == platform.reachable()
    with Spool(platform.settings.spool) as spool:
        assert spool.waiting() == (3, 0)

    own_objects.start()
    platform.use(own_objects)
    assert airflow.run(DAG, platform)["state"] == "success"
    with Spool(platform.settings.spool) as spool:
        assert spool.waiting() == (0, 0)
    assert len(list(own_objects.objects.glob("own/history/**/*.json"))) >= 3


def test_refused_batch_is_loaded_by_the_next_run(airflow: Any, make_platform: MakePlatform) -> None:
    """It waits in the spool; the run is red."""
    platform = make_platform(users=3, real_time=True)
    platform.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'no space left' USING ERRCODE = 'disk_full'; END $$"
    )
    platform.execute(
        'CREATE TRIGGER refuse BEFORE INSERT ON "History" EXECUTE FUNCTION refuse()',
    )
    run = airflow.run(DAG, platform, SONGSWAP_RETRY_DELAY_S="0.1")
    assert run["state"] == "failed"
    failed = {name for name, state in run["tasks"].items() if state == "failed"}
    assert failed == {"batch[0]", "summarise"}
    assert run["tasks"]["publish_plays"] == "skipped"
    assert "0 responses wait in the spool for S3 and 3 for the warehouse" in run["log"]
    assert platform.history().total() == 0

    platform.execute('DROP TRIGGER refuse ON "History"')
    assert airflow.run(DAG, platform)["state"] == "success"
    assert platform.history() == platform.reachable()
    assert platform.history().total() > 0


def test_pause_of_spotify_skips_tasks_and_is_reported_once(
    airflow: Any, make_platform: MakePlatform
) -> None:
    """The batch is not retried and its responses are loaded; no task calls Spotify before the time
    that it named."""
    platform = make_platform(users=6, real_time=True)
    platform.fault(
        path="/v1/me/*", user="listener-0002", status=429, headers={"Retry-After": "3600"}, body={}
    )
    run = airflow.run(DAG, platform, SONGSWAP_BATCH_SIZE="3", SONGSWAP_IN_FLIGHT="1")
    assert run["state"] == "failed"
    failed = {name for name, state in run["tasks"].items() if state != "success"}
    # The other batch may have been polled before the pause was known.
    calling = {"batch[1]", "enrich_artists", "enrich_features"}
    assert failed - calling == {"batch[0]", "summarise"}
    assert failed & calling
    assert platform.spotify.get("/admin/calls")["by_user"]["listener-0002"]["recently-played"] == 1
    assert not platform.calls().keys() & {"tracks", "artists", "audio-features"}
    assert "allows no more requests of this app until" in run["log"]
    assert not {user for user, _, _ in platform.history()} & {"listener-0002", "listener-0003"}
    assert platform.history() == platform.reachable()

    # Tasks that did not call Spotify are skipped; the run is red, but reported as paused.
    assert run["tasks"]["batch[0]"] == "skipped"
    state = "SELECT state FROM songswap.runs WHERE run_id = %s"
    assert platform.rows(state, run["run_id"]) == [("paused",)]
    (paused,) = titles(platform)
    assert paused == f"🟡 {DAG} is paused"
    again = airflow.run(DAG, platform)
    assert (again["state"], again["tasks"]["summarise"]) == ("failed", "failed")
    assert titles(platform) == [paused], "the same pause was reported twice"
    platform.mend()
    platform.execute("UPDATE songswap.pauses SET until = now()")
    assert airflow.run(DAG, platform)["state"] == "success"
    assert titles(platform) == [paused, f"🟢 {DAG} goes on"]
    assert platform.history() == platform.reachable()


def test_run_that_could_not_be_planned_is_red(airflow: Any, make_platform: MakePlatform) -> None:
    """Although the warehouse recovers meanwhile; the message says why."""
    platform = make_platform(users=2, real_time=True)
    database = str(psycopg.conninfo.conninfo_to_dict(platform.settings.warehouse_dsn)["dbname"])
    other = psycopg.conninfo.make_conninfo(platform.settings.warehouse_dsn, dbname="postgres")
    allowing = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format

    def recover_once_plan_failed(admin: psycopg.Connection) -> None:
        failed = "SELECT count(*) FROM task_instance WHERE task_id = 'plan' AND state = 'failed'"
        with psycopg.connect(airflow.dsn.replace("+psycopg2", ""), autocommit=True) as states:
            before = states.execute(failed).fetchone()
            begun.set()
            while states.execute(failed).fetchone() == before and not over.is_set():
                over.wait(0.05)
        admin.execute(allowing(sql.Identifier(database), sql.SQL("true")))

    begun, over = Event(), Event()
    with psycopg.connect(other, autocommit=True) as admin, ThreadPoolExecutor(1) as beside:
        admin.execute(allowing(sql.Identifier(database), sql.SQL("false")))
        recovery = beside.submit(recover_once_plan_failed, admin)
        try:
            begun.wait(30)
            run = airflow.run(DAG, platform, SONGSWAP_RETRY_DELAY_S="0.1")
        finally:
            over.set()
            recovery.result()
    assert run["state"] == "failed"
    assert run["tasks"]["retry"] == run["tasks"]["plan"] == run["tasks"]["summarise"] == "failed"
    assert "success" not in run["tasks"].values()
    assert "was never planned: nothing is done for it" in run["log"]
    ((state, problem),) = platform.rows("SELECT state, problem FROM songswap.runs")
    assert state == "failed"
    assert "plan 0: The warehouse (connection SongSwap_RDS) refused or was lost" in problem
    assert "never planned: no user was polled" in problem
    assert titles(platform) == [f"🔴 {DAG} failed"]
    (embed,) = platform.messages()[0]["embeds"]
    fields = {field["name"]: field["value"] for field in embed["fields"]}
    assert "The warehouse (connection SongSwap\\_RDS) refused" in embed["description"]
    assert fields["What to do"].startswith("Check PostgreSQL")

    assert airflow.run(DAG, platform)["state"] == "success"
    assert platform.history() == platform.reachable()


@pytest.mark.parametrize(
    ("how", "problem", "alerts"),
    [
        ("failed", "It was marked as failed by hand.", []),
        ("success", "It was marked as a success by hand.", []),
        ("timed_out", "It took longer than the 55 minutes that it may", [f"🔴 {DAG} failed"]),
        (
            "waited",
            "None of its tasks was at work when it was ended after 55 minutes: batch waited for a"
            " slot of the pool spotify.",
            [f"🔴 {DAG} failed"],
        ),
    ],
)
def test_ending_a_run_from_outside_ends_its_row(
    airflow: Any, make_platform: MakePlatform, how: str, problem: str, alerts: list[str]
) -> None:
    """By hand in Airflow's UI, or because it took too long."""
    platform = make_platform(users=1, real_time=True)
    run = airflow.run(DAG, platform)
    platform.execute("UPDATE songswap.runs SET state = 'running', ended_at = NULL")
    platform.spotify.delete("/admin/discord")  # that it recovered from the run before
    environment = airflow.environment(platform)
    output = airflow.call("end_run", run["run_id"], how, environment=environment)
    ((state, recorded, ended),) = platform.rows(
        "SELECT state, problem, ended_at FROM songswap.runs"
    )
    assert state == "failed", output[-3000:]
    assert recorded.startswith(problem)
    assert ended is not None
    assert titles(platform) == alerts


def test_run_marked_where_there_is_no_warehouse(airflow: Any, make_platform: MakePlatform) -> None:
    """The api-server has the page's connection alone: a sentence says who ends the row."""
    platform = make_platform(users=1, real_time=True)
    run = airflow.run(DAG, platform)
    platform.execute("UPDATE songswap.runs SET state = 'running', ended_at = NULL")
    environment = airflow.environment(platform)
    del environment["AIRFLOW_CONN_SONGSWAP_RDS"]
    output = airflow.call("end_run", run["run_id"], "failed", environment=environment)
    assert "is left to the next run" in output
    assert "Traceback" not in output
    assert platform.rows("SELECT state FROM songswap.runs") == [("running",)]


def test_dag_is_hourly_without_catch_up(airflow: Any) -> None:
    """One run at a time, for 55 minutes at most; its page says what to do when it is red."""
    code = (
        "from airflow.dag_processing.dagbag import DagBag; import json\n"
        "from songswap.orchestration.retries import RUN_TIMEOUT, TASK_TIMEOUT\n"
        "from songswap.warehouse.leases import LONGEST_RUN\n"
        "assert TASK_TIMEOUT < RUN_TIMEOUT == LONGEST_RUN\n"
        "bag = DagBag('dags'); dag = bag.dags['load_listening_history']\n"
        "print(json.dumps([bag.import_errors, dag.schedule, dag.catchup,"
        " dag.max_active_runs, sorted(dag.tags), 'When it is red' in dag.doc_md,"
        " [bag.dags[name].dagrun_timeout.total_seconds() / 60 for name in"
        " ('load_listening_history', 'follow_heavy_listeners')]]))"
    )
    expected = '[{}, "1 * * * *", false, 1, ["hourly", "songswap"], true, [55.0, 25.0]]'
    assert airflow.last_line(code) == expected


def test_dag_list_says_what_each_dag_does(airflow: Any) -> None:
    """A description of one line of text, an owner, and a page for when it is red."""
    code = (
        "from airflow.dag_processing.dagbag import DagBag; import json\n"
        "bag = DagBag('dags'); assert not bag.import_errors\n"
        "print(json.dumps({name: [dag.description, dag.doc_md, dag.owner,"
        " sorted({task.owner for task in dag.tasks})] for name, dag in bag.dags.items()}))"
    )
    dags = json.loads(airflow.last_line(code))
    assert len(dags) >= 16
    assert len({description for description, *_ in dags.values()}) == len(dags)
    for name, (description, doc, owner, owners) in dags.items():
        assert owner == "songswap", name
        assert owners == ["songswap"], name
        assert 20 < len(description) <= 100, name
        assert not set(description) & set("\n`#*_"), name
        assert doc.startswith("### "), name
        assert "**When it is red**" in doc, name


def test_every_run_ends(airflow: Any) -> None:
    """One that hangs, or whose tasks wait for a pool that does not exist, is ended and told."""
    code = (
        "from airflow.dag_processing.dagbag import DagBag; import json\n"
        "bag = DagBag('dags'); assert not bag.import_errors\n"
        "print(json.dumps({name: [dag.dagrun_timeout and dag.dagrun_timeout.total_seconds() / 60,"
        " max((task.execution_timeout or task.response_timeout).total_seconds() / 60"
        " for task in dag.tasks),"
        " bool(dag.on_failure_callback)] for name, dag in bag.dags.items()}))"
    )
    limits = json.loads(airflow.last_line(code))
    assert len(limits) >= 20
    for name, (run, task, alerts) in limits.items():
        assert run, name
        assert alerts, name
        # The polls in between make way for the next look at the hourly load.
        assert run > task or name == "follow_heavy_listeners", name


def test_minute_of_the_schedule_is_a_setting(airflow: Any) -> None:
    """The polls between follow it; a wrong one keeps no DAG from running."""
    code = (
        "import os; os.environ['SONGSWAP_MINUTE'] = '{}'\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "bag = DagBag('dags'); names = ('load_listening_history', 'follow_heavy_listeners')\n"
        "print(bag.import_errors, [bag.dags[name].schedule for name in names])"
    )
    assert airflow.last_line(code.format(17)) == "{} ['17 * * * *', '2-52/10 * * * *']"
    assert airflow.last_line(code.format(60)) == "{} ['1 * * * *', '6-56/10 * * * *']"


def test_no_task_outlasts_the_queue(airflow: Any) -> None:
    """Each task has a limit of a day at most: Redis gives no task to a second worker before a
    worker that is asked to stop has ended or killed it. What waits for a human has no worker."""
    code = (
        "from airflow.dag_processing.dagbag import DagBag\n"
        "from songswap.orchestration.retries import LONGEST_TASK\n"
        "bag = DagBag('dags'); assert bag.dags and not bag.import_errors\n"
        "tasks = [task for dag in bag.dags.values() for task in dag.tasks]\n"
        "limits = [task.execution_timeout for task in tasks if task.task_id != 'approve']\n"
        "assert len(tasks) == len(limits) + 1 and None not in limits, limits\n"
        "print(max(limits).total_seconds(), LONGEST_TASK.total_seconds())"
    )
    longest, limit = map(float, airflow.last_line(code).split())
    assert longest == limit
    content = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    worker = content["services"]["airflow-worker"]
    visibility = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"
    assert worker["stop_grace_period"] == "10m"
    assert worker["environment"][visibility] >= limit + 600
