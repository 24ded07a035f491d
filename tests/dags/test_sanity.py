"""The sanity DAGs through ``dag.test()``: green on a healthy platform, red on a broken one."""

from types import SimpleNamespace
from typing import Any

import psycopg
from factories import MakePlatform, StartObjectStore

from songswap.checks.sanity.run import CHECKS

DAGS = ",".join(f"test_{name}" for name in CHECKS)


def test_healthy_platform_is_green(airflow: Any, make_platform: MakePlatform) -> None:
    """Each step of each check is a task; nothing is left in Discord, S3 or XComs."""
    platform = make_platform(users=1, real_time=True)
    runs = airflow.run(DAGS, platform)
    for name, steps in CHECKS.items():
        run = runs[f"test_{name}"]
        assert run["state"] == "success", runs["log"]
        assert run["tasks"] == {step.name: "success" for step in steps}
    assert platform.messages() == []
    assert platform.objects() == []
    ids = [runs[dag]["run_id"] for dag in DAGS.split(",")]
    with psycopg.connect(airflow.dsn.replace("+psycopg2", "")) as connection:
        left = connection.execute("SELECT key FROM xcom WHERE run_id = ANY (%s)", [ids])
        assert left.fetchall() == []


def test_checks_of_broken_services_are_red(
    airflow: Any, make_platform: MakePlatform, limited_objects: StartObjectStore
) -> None:
    """And no others. After a refused read the object is deleted, and the run is red."""
    platform = make_platform(users=1, real_time=True)
    platform.fault(path="/discord/*", status=404)
    store = limited_objects("PUT", "DELETE")
    platform.use(store)
    environment = platform.environment()
    del environment["AIRFLOW_CONN_SONGSWAP_RDS"]
    runs = airflow.run(DAGS, SimpleNamespace(environment=lambda: environment))
    assert list(store.objects.glob("own/tests/**/*.txt")) == []
    red = {
        dag: {step for step, state in runs[dag]["tasks"].items() if state == "failed"}
        for dag in DAGS.split(",")
        if runs[dag]["state"] == "failed"
    }
    assert red == {
        "test_discord": {"message"},
        "test_postgres": {"connection"},
        "test_s3": {"read"},
    }, runs["log"]
    assert runs["test_s3"]["tasks"]["delete"] == "success"
    assert runs["test_spotipy"]["state"] == "success"
    for words in (
        "Discord knows no such webhook (404)",
        "Not set, or not readable: the connection SongSwap_RDS",
        "S3 did not give an object back (AccessDenied)",
    ):
        assert words in runs["log"]
    assert "simulated-webhook-token" not in runs["log"]


def test_refused_deletion_names_the_object(
    airflow: Any, make_platform: MakePlatform, limited_objects: StartObjectStore
) -> None:
    """It makes the run red."""
    platform = make_platform(users=1, real_time=True)
    store = limited_objects("PUT", "GET")
    platform.use(store)
    run = airflow.run("test_s3", platform)
    (left,) = store.objects.glob("own/tests/sanity/*.txt")
    assert run["state"] == "failed"
    failed = {step for step, state in run["tasks"].items() if state == "failed"}
    assert failed == {"delete"}, run["log"]
    assert f"did not delete tests/sanity/{left.name}" in run["log"]
