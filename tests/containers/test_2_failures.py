"""Parts that end in the middle of a run."""

from collections.abc import Iterator
from contextlib import contextmanager

from containers import site
from containers.deployment import LOAD, Deployment

from songswap.supervision.process import wait_until

# All of it but the simulator, which stands for the world outside.
RESTARTED = (
    "postgres",
    "redis",
    "airflow-apiserver",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "flower",
    "demo-warehouse",
    "demo-s3",
    "airflow-worker",
)


@contextmanager
def slow_spotify(deployment: Deployment, delay_ms: int) -> Iterator[None]:
    """Each answer about a user's plays takes so long."""
    deployment.simulator("POST", "faults", {"path": "/v1/me/*", "delay_ms": delay_ms})
    yield
    deployment.simulator("DELETE", "faults")


def test_second_worker_starts_and_nothing_is_recreated(deployment: Deployment) -> None:
    """By `SONGSWAP_WORKERS=2` and `up -d`."""
    before = deployment.ids()
    deployment.settings["SONGSWAP_WORKERS"] = "2"
    site.write_settings(deployment.folder, deployment.settings)
    with deployment.measured("a second worker"):
        deployment.compose("up", "-d", "--wait")
    after = deployment.ids()
    assert len(deployment.containers("airflow-worker")) == 2
    assert before.items() < after.items()


def test_worker_killed_in_fetch(deployment: Deployment) -> None:
    """The batch of a worker that was killed with SIGKILL is fetched again by the other worker; the
    run is green, each play is there once, and Docker has started the worker again."""
    with slow_spotify(deployment, 2500):
        run = deployment.api.trigger(LOAD)
        assert wait_until(lambda: bool(deployment.fetching(run)), 120, 0.5)
        task = deployment.fetching(run)[0]
        killed = task["hostname"]
        assert killed in {
            container["ID"][:12] for container in deployment.containers("airflow-worker")
        }
        deployment.kill(killed)
        with deployment.measured("a run whose worker was killed in `fetch`, from the kill on"):
            deployment.wait_green(run)
    tries = {fetch["map_index"]: fetch["try_number"] for fetch in deployment.fetches(run)}
    assert tries[task["map_index"]] == 2
    deployment.wait_well()
    deployment.idle()
    deployment.assert_history_is_ledger()


def test_each_service_restarted_during_a_run(deployment: Deployment) -> None:
    """Whatever is restarted while a run is under way, the run becomes green."""
    runs = set()
    with slow_spotify(deployment, 1500), deployment.measured("restarts of all services in turn"):
        for service in RESTARTED:
            run = deployment.api.current_run(LOAD) or deployment.api.trigger(LOAD)
            runs.add(run)
            deployment.note(f"{service} is restarted during {run}")
            deployment.restart(service)
            deployment.wait_api()
        for run in runs:
            deployment.wait_green(run)
    deployment.wait_well()
    deployment.idle()
    deployment.assert_history_is_ledger()
