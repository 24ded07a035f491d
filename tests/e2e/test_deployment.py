"""The deployment of docker-compose.yaml: its very commands and environment, run as processes."""

import http.client
import json
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
from e2e.compose_file import ComposeFile
from e2e.deployment import QUICK_CHECKS, Deploy, Deployment, takes_tasks
from e2e.site import ADMIN, DAG, EMAIL, Site, secret_settings
from factories import MakePlatform, Platform
from obstore.store import S3Store
from psycopg import sql

from songswap.dev.stack.airflow_api import UNFINISHED
from songswap.dev.stack.plan import SIMULATED_APP
from songswap.dev.stack.postgres import Postgres
from songswap.parallel.spark import run_parallel
from songswap.storage.spool import Spool
from songswap.supervision.process import Process, wait_until
from songswap.warehouse import rights

# One whole stack at a time is what two cores can run.
pytestmark = pytest.mark.xdist_group("stack")

WORKER = "airflow-worker"
CLEANING = ("airflow-cleanup", "songswap-logs")
CONTROL = ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
# Small batches, one request at a time, and a killed worker's tasks back within seconds.
STILL = {"Age": "1"}
"""As out of a cache: Spotify's time stands still here, and its Date says nothing of our clock."""
WAITING = "after_new_plays"
"""The example in `docs/examples`, a DAG that waits for new plays."""
QUICK = {
    "SONGSWAP_BATCH_SIZE": "4",
    "SONGSWAP_IN_FLIGHT": "1",
    "SONGSWAP_RETRY_DELAY_S": "1",
    "SONGSWAP_HEARTBEAT_TIMEOUT_S": "15",
    "SONGSWAP_QUEUED_TIMEOUT_S": "30",
    "SONGSWAP_PAUSED_AT_CREATION": "true",  # the other DAGs are not looked at here
}


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Callable[[int, str], None]]:
    """Starts the metadata database as the service `postgres` has it, at a port, with a password."""
    started: list[Postgres] = []

    def start(port: int, password: str) -> None:
        server = Postgres(tmp_path / "metadata", port)
        started.append(server)
        server.start()
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            role = "CREATE ROLE airflow LOGIN PASSWORD {}"
            connection.execute(sql.SQL(role).format(sql.Literal(password)))
            connection.execute("CREATE DATABASE airflow OWNER airflow")

    yield start
    for server in started:
        server.stop()


def up(deployment: Deployment) -> dict[str, Process]:
    """Start everything in Compose's order and wait until it is well; gives the two workers."""
    deployment.start("redis")
    deployment.start("airflow-init").wait_success(180)
    for service in (*CONTROL, "flower"):
        deployment.start(service, **QUICK_CHECKS)
    assert wait_until(lambda: deployment.healthy("airflow-apiserver"), 90, 0.5), deployment.logs()[
        -5000:
    ]
    workers = {name: deployment.start(WORKER, name) for name in ("worker-1", "worker-2")}
    deployment.start("songswap-drain")
    write_old_log(deployment)
    for service in CLEANING:
        deployment.start(service)
    for service in ("postgres", "redis", "flower", *CONTROL):
        assert wait_until(partial(deployment.healthy, service), 60, 0.5), service
    for name, worker in workers.items():
        worker.wait_ready(partial(takes_tasks, worker), 60)
        assert wait_until(partial(deployment.healthy, WORKER, name), 60, 0.5), name
    assert not deployment.healthy(WORKER, "worker-3"), "the check does not tell workers apart"
    for service in CLEANING:
        assert wait_until(partial(deployment.healthy, service), 60, 0.5), deployment.logs()[-5000:]
    assert not old_log(deployment).exists()
    return workers


def old_log(deployment: Deployment) -> Path:
    """A log that nobody has written to for too long."""
    return deployment.folder / "opt/airflow/logs/dag_id=a/run_id=b/task_id=c/attempt=1.log"


def write_old_log(deployment: Deployment) -> None:
    """Leave such a log."""
    log = old_log(deployment)
    log.parent.mkdir(parents=True)
    log.touch()
    month_ago = time.time() - 31 * 86_400
    os.utime(log, (month_ago, month_ago))


def look_around(site: Site, password: str, workers: Iterable[str]) -> None:
    """Only the admin gets in, at Airflow and at Flower, and finds what was prepared."""
    assert site.accepts(password)
    assert not site.accepts("wrong")
    assert site.flower(None)[0] == http.client.UNAUTHORIZED
    assert site.flower(f"{ADMIN}:wrong")[0] == http.client.UNAUTHORIZED
    wanted = {f"celery@{name}" for name in workers}

    def all_listed() -> bool:
        status, listed = site.flower(f"{ADMIN}:{password}")
        return status == http.client.OK and json.loads(listed).keys() >= wanted

    assert wait_until(all_listed, 60, 0.5)
    assert site.pools().items() >= {("spotify", 2), ("backfill", 3)}


def kill_while_fetching(
    deployment: Deployment, site: Site, run: str, platform: Platform, workers: Iterable[Process]
) -> tuple[int, Process]:
    """Kill a worker when Spotify has answered it; gives its batch, and the other worker."""
    assert wait_until(lambda: bool(site.fetching(run)), 60, 0.3), deployment.logs()[-5000:]
    assert wait_until(lambda: platform.calls().get("recently-played", 0) >= 2, 30)
    task = site.fetching(run)[0]
    killed, left = sorted(workers, key=lambda worker: task["pid"] not in deployment.tree(worker))
    assert task["pid"] in deployment.tree(killed)
    deployment.kill(killed)
    return task["map_index"], left


def stop_while_exchanging(deployment: Deployment, site: Site, platform: Platform) -> None:
    """Mark a task failed in the middle of its token exchanges: it ends, and no token is lost."""
    platform.mend()
    platform.spotify.delete("/admin/calls")
    platform.fault(path="/v1/me/*", status=401, headers=STILL)
    platform.fault(path="/api/token", delay_ms=1500)
    run = site.api.trigger(DAG)
    assert wait_until(lambda: platform.calls().get("token", 0) > 1, 60), deployment.logs()[-5000:]
    task = site.fetching(run)[0]
    site.mark_failed(run, task["map_index"])
    assert wait_until(lambda: not psutil.pid_exists(task["pid"]), 60)
    assert site.tries(run)[task["map_index"]][0] == "failed"
    platform.mend()
    platform.fault(headers=STILL)
    assert wait_until(lambda: site.api.state(DAG, run) not in UNFINISHED, 120, 0.5)
    assert site.api.state(DAG, run) == "failed"
    assert platform.rows("SELECT count(*) FROM songswap.token_exchanges") == [(0,)]
    assert platform.rows("SELECT DISTINCT state FROM songswap.grants") == [("active",)]
    # What was rotated is worthless by now.
    platform.advance(minutes=30)
    assert platform.load().get("refused", 0) == 0
    assert platform.history() == platform.reachable()


def up_again(deployment: Deployment, hidden: set[str], password: str) -> None:
    """Init runs a second time, with this password; the list of processes shows no secret."""

    def shown() -> bool:
        arguments = deployment.arguments()
        return any(secret in arguments for secret in hidden | {password})

    init = deployment.start("airflow-init", ADMIN_PASSWORD=password)
    assert wait_until(lambda: shown() or not init.running, 180)
    assert not shown()
    init.wait_success(1)


def test_worker_killed_in_the_middle(
    deploy: Deploy,
    compose: ComposeFile,
    make_platform: MakePlatform,
    metadata: Callable[[int, str], None],
) -> None:
    """A run whose worker is killed is ended by the other one, with every play once, and starts a
    DAG that waits for new plays; a task that is marked failed loses no token; a worker that is
    asked to stop ends its task first; logins hold, and no secret shows."""
    # Spotify's time stands still: what the killed worker was told can still be told.
    platform = make_platform("--rotate-refresh-tokens", "1", users=16)
    made = secret_settings(compose)
    password = made["SONGSWAP_ADMIN_PASSWORD"]
    hidden = {text for name, text in made.items() if name not in platform.environment()}
    hidden -= {ADMIN, EMAIL}
    deployment = deploy(made | platform.environment() | QUICK)
    metadata(deployment.ports["5432"], made["SONGSWAP_METADATA_PASSWORD"])
    workers = up(deployment)
    site = Site(deployment, password)
    look_around(site, password, workers)

    platform.fault(path="/v1/me/*", delay_ms=3000, headers=STILL)
    platform.fault(headers=STILL)
    assert wait_until(lambda: WAITING in site.api.dags(), 60, 0.5), site.api.import_errors()
    site.api.unpause(WAITING)
    run = site.first_run()
    batch, left = kill_while_fetching(deployment, site, run, platform, workers.values())
    platform.mend()
    platform.fault(headers=STILL)
    another = secrets.token_hex(16)
    up_again(deployment, hidden, another)
    assert site.accepts(password)
    assert not site.accepts(another)
    assert wait_until(lambda: site.api.state(DAG, run) not in UNFINISHED, 150, 0.5)
    assert site.api.state(DAG, run) == "success", site.api.task_states(DAG, run)
    assert site.tries(run)[batch] == ("success", 2)
    assert wait_until(lambda: site.api.current_run(DAG) is None, 120, 0.5)  # the hour's own run
    assert platform.history() == platform.reachable()
    assert platform.history().total() > 100
    assert wait_until(lambda: "success" in dict(site.api.runs(WAITING)).values(), 120, 0.5)
    assert f"Run {run} brought" in deployment.logs()
    with Spool(deployment.folder / "var/spool/songswap") as spool:
        assert spool.waiting() == (0, 0)

    stop_while_exchanging(deployment, site, platform)

    platform.mend()
    platform.fault(path="/v1/me/*", delay_ms=2000, headers=STILL)
    platform.fault(headers=STILL)
    run = site.api.trigger(DAG)
    assert wait_until(lambda: bool(site.fetching(run)), 60, 0.3)
    batch = site.fetching(run)[0]["map_index"]
    left.request_stop()
    left.wait_success(60)
    assert site.tries(run)[batch] == ("success", 1)

    assert site.api.import_errors() == {}
    home = deployment.folder / "opt/airflow"
    assert {path.name for path in home.iterdir()} == {"airflow.cfg", "dags", "demo.py", "logs"}
    logs = deployment.logs()
    assert not [name for name, text in made.items() if text in hidden and text in logs]


def test_demo_stand_ins(deploy: Deploy, compose: ComposeFile, warehouse_dsn: str) -> None:
    """The profile `demo`: an S3 endpoint for the two keys, a simulator, its listeners, and the
    login of the page."""
    warehouse = psycopg.conninfo.conninfo_to_dict(warehouse_dsn)
    login = f"{warehouse['user']}:{warehouse['password']}"
    s3 = {"conn_type": "aws", "login": "pipeline", "password": "hush"}
    address = f"127.0.0.1:{warehouse['port']}/{warehouse['dbname']}"
    page = f"postgresql://page_of_{warehouse['dbname']}:hush@{address}"
    made = {
        **secret_settings(compose),
        **SIMULATED_APP,
        "AIRFLOW_VAR_BUCKET_NAME": "songswap",
        "AIRFLOW_CONN_SONGSWAP_RDS": f"postgresql://{login}@{address}",
        "AIRFLOW_CONN_SONGSWAP_RDS_READONLY": page,
        "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": json.dumps(s3),
        "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE": json.dumps({**s3, "login": "tests"}),
    }
    deployment = deploy(made)
    for service in ("demo-s3", "demo-simulator"):
        deployment.start(service)
    for service in ("demo-s3", "demo-simulator"):
        assert wait_until(partial(deployment.healthy, service), 30), deployment.logs()[-5000:]
    listeners = deployment.start("demo-listeners")
    assert wait_until(lambda: deployment.healthy("demo-listeners"), 30), deployment.logs()[-5000:]
    assert listeners.running, "`up --wait` takes its end for a failure"
    with psycopg.connect(warehouse_dsn) as connection:
        users = connection.execute('SELECT count(*) FROM "SpotifyTokens"').fetchone()
    assert users == (25,)
    with psycopg.connect(page) as connection:
        assert rights.missing_grants_of_page(connection) == []
        assert rights.surplus_of_page(connection) == []
    bucket = S3Store(
        "songswap",
        endpoint=f"http://127.0.0.1:{deployment.ports['9010']}",
        region="us-east-1",
        access_key_id="pipeline",
        secret_access_key="hush",
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )
    key = "history/spotify/user1/one"
    bucket.put(key, b"1")
    assert (deployment.folder / "var/lib/demo-s3/songswap" / key).exists()


def test_spark_worker_joins_the_master(
    deploy: Deploy, compose: ComposeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile `spark`: the worker works for whoever knows the secret."""
    secret = secrets.token_hex(32)
    deployment = deploy(secret_settings(compose) | {"SONGSWAP_SPARK_SECRET": secret})
    started = []
    for service in ("spark-master", "spark-worker"):
        started.append(deployment.start(service, SONGSWAP_STATE=str(tmp_path / service)))
        assert wait_until(partial(deployment.healthy, service), 60, 0.5), deployment.logs()
    is_up = re.compile(r"Spark's workers \(1\) ….* done")
    assert wait_until(lambda: bool(is_up.search(started[1].output())), 60)
    monkeypatch.setenv("SONGSWAP_SPARK_SECRET", secret)
    master = f"spark://127.0.0.1:{deployment.ports['7077']}"
    assert sorted(run_parallel(math.factorial, range(5), master, at_once=2)) == [1, 1, 2, 6, 24]
    for process in reversed(started):
        process.request_stop()
        process.wait_success(20)
