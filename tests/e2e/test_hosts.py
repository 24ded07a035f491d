"""Workers on machines of their own, with their own disks, and what may happen to machines."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2e.central import Central
from e2e.compose_file import ComposeFile
from e2e.deployment import PORTS, Deployment, redis_programs, takes_tasks
from e2e.site import DAG, Site
from hosts import Network

from songswap.dev.stack.airflow_api import UNFINISHED
from songswap.storage.spool import Spool
from songswap.supervision.process import wait_until

# One whole stack at a time is what two cores can run.
pytestmark = pytest.mark.xdist_group("stack")

STILL = {"Age": "1"}
"""As out of a cache: Spotify's time stands still here, and its Date says nothing of our clock."""
QUICK = {
    "SONGSWAP_BATCH_SIZE": "4",
    "SONGSWAP_IN_FLIGHT": "1",
    "SONGSWAP_SPOTIFY_SLOTS": "4",
    "SONGSWAP_RETRY_DELAY_S": "1",
    "SONGSWAP_HEARTBEAT_TIMEOUT_S": "15",
    "SONGSWAP_QUEUED_TIMEOUT_S": "30",
    "SONGSWAP_PAUSED_AT_CREATION": "true",  # the other DAGs are not looked at here
}
"""Small batches, one request at a time, and the tasks of a dead host are back within seconds."""
USERS = 20
COUNTS = """
SELECT (counts ->> 'plays')::int, (counts ->> 'polled')::int FROM songswap.runs
WHERE run_id LIKE '%%' || %s
"""
WORKER = "airflow-worker"


class Machine:
    """A machine with workers only, of docker-compose.worker.yaml."""

    def __init__(self, deployment: Deployment) -> None:
        self.host = deployment.host
        self._deployment = deployment
        self._worker = deployment.start(WORKER, self.host.name)
        self._drain = deployment.start("songswap-drain")

    def wait_healthy(self) -> None:
        """Wait until the worker takes tasks, and its health check says so."""
        self._worker.wait_ready(partial(takes_tasks, self._worker), 60)
        healthy = partial(self._deployment.healthy, WORKER, self.host.name)
        assert wait_until(healthy, 60, 0.5), self._worker.log_tail()

    def task(self, site: Site, run: str) -> dict[str, Any] | None:
        """A batch of a run that its worker is at, if it is at one."""
        pids = self._deployment.tree(self._worker)
        return next((task for task in site.fetching(run) if task["pid"] in pids), None)

    def waiting(self) -> int:
        """The responses in its spool that are not loaded."""
        with Spool(self.host.disk / "var/spool/songswap") as spool:
            return spool.waiting()[1]

    def leave(self) -> None:
        """Go for good, as docs/deployment.md says: nothing may be left in its spool."""
        assert self._drain.running, self._drain.log_tail()
        self._worker.request_stop()
        self._worker.wait_success(60)
        self._drain.request_stop()
        self._drain.wait_success(60)
        self._deployment.start("songswap-drain", command="songswap drain").wait_success(60)


Join = Callable[[str], Machine]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """The machines' network."""
    redis_programs()  # nothing can be downloaded in there
    with Network(tmp_path) as network:
        yield network


@pytest.fixture
def ports(free_port: Callable[[], int]) -> dict[str, int]:
    """The ports here, by those in the containers."""
    return {port: free_port() for port in PORTS}


@pytest.fixture
def central(network: Network, compose: ComposeFile, ports: dict[str, int]) -> Iterator[Central]:
    """The central machine, with listeners; the test sits there."""
    host = network.add("central")
    with host.inside():
        central = Central(host, compose, ports, QUICK, USERS)
        yield central
        central.stop()


@pytest.fixture
def join(
    network: Network, central: Central, ports: dict[str, int], worker_compose: ComposeFile
) -> Iterator[Join]:
    """Adds a machine with workers, by its name."""
    joined: list[Deployment] = []

    def join(name: str) -> Machine:
        services = worker_compose.resolved(central.settings | {"SONGSWAP_HOST": name})["services"]
        joined.append(Deployment(network.add(name), services, ports))
        return Machine(joined[-1])

    yield join
    for deployment in joined:
        deployment.stop(timeout_s=1)


def ended(site: Site, run: str) -> bool:
    """Whether a run has ended."""
    return site.api.state(DAG, run) not in UNFINISHED


def assert_green(central: Central, site: Site, run: str, left_on: str | None = None) -> None:
    """Wait for the end of a run, which has to be green, with every play once.

    Args:
        left_on: a machine that came back too late for its spool to be empty at the run's end: the
            run may be red for that, and for nothing else.
    """
    assert wait_until(lambda: ended(site, run), 300, 0.5), site.api.task_states(DAG, run)
    if left_on and site.api.state(DAG, run) == "failed":
        one_problem = rf"\[\('\d+ responses wait in [^\\]+, on host {left_on} since [^\\]+',\)\]"
        assert re.fullmatch(one_problem, central.problem(run))
    else:
        assert site.api.state(DAG, run) == "success", central.problem(run)
    assert wait_until(lambda: site.api.current_run(DAG) is None, 120, 0.5)  # the hour's own run
    assert central.platform.history() == central.platform.reachable()


def cut_off_at_work(site: Site, run: str, machine: Machine) -> dict[str, Any]:
    """Cut a machine off in the middle of a batch; gives the batch."""

    def is_at_work() -> bool:
        machine.host.cut_off()
        if machine.task(site, run):
            return True
        machine.host.reconnect()
        return False

    assert wait_until(is_at_work, 60, 0.3)
    batch = machine.task(site, run)
    assert batch
    return batch


def test_machines_come_and_go(network: Network, central: Central, join: Join) -> None:
    """In the middle of a run a machine dies with its disk, and another is cut off until its batch
    has gone to others: the run ends with every play once, and the machine that was cut off stores
    what its batch left there. Then a machine leaves; the one that was cut off does the next run
    alone."""
    site, platform = central.up(), central.platform
    first, second = [join(name) for name in ("worker-1", "worker-2")]
    for machine in (first, second):
        machine.wait_healthy()
    platform.fault(path="/v1/me/*", delay_ms=1500, headers=STILL)
    platform.fault(headers=STILL)
    run = site.first_run()
    assert wait_until(lambda: all(one.task(site, run) for one in (first, second)), 90, 0.3)
    assert wait_until(lambda: first.waiting() > 0, 60)
    first.host.die()
    batch = None if network.why_not else cut_off_at_work(site, run, second)
    newcomer = join("worker-1")
    if batch:
        assert wait_until(lambda: site.tries(run)[batch["map_index"]][1] == 2, 120, 0.5)
        assert psutil.pid_exists(batch["pid"]), "nobody is left to do the same twice"
        second.host.reconnect()
    assert_green(central, site, run, left_on="worker-2" if batch else None)
    [(plays, polled)] = platform.rows(COUNTS, run)
    assert 100 < plays <= platform.history().total()
    assert polled == USERS
    if batch:
        assert wait_until(lambda: not psutil.pid_exists(batch["pid"]), 120)
        assert wait_until(lambda: second.waiting() == 0, 150), "the next drain is minutes away"

    newcomer.leave()
    platform.mend()
    platform.fault(headers=STILL)
    platform.advance(hours=1)
    assert_green(central, site, site.api.trigger(DAG))
    hosts = platform.rows("SELECT DISTINCT host FROM songswap.spools ORDER BY host")
    assert hosts == [("worker-1",), ("worker-2",)]
    if network.why_not:
        pytest.skip(f"Hosts were folders, and none was cut off: {network.why_not}")
