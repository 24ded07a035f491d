"""A machine with workers only, as docs/deployment.md adds and removes it.

On this engine it is a project of its own, with a network and volumes of its own. It reaches the
other one as another machine does, by an address and published ports.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import site
from containers.deployment import LOAD, Deployment
from containers.project import Project

_PAGE = "Workers on more machines"
_HOST = "worker-2"
_ADDRESS = "10.0.0.5"
"""The central machine's address in the documentation."""
_OUTSIDE = "tests/containers/machines"


@pytest.fixture(scope="module")
def address(deployment: Deployment) -> str:
    """An address of this machine that all its containers reach."""
    gateway = "{{(index .IPAM.Config 0).Gateway}}"
    output = deployment.docker.run("network", "inspect", "--format", gateway, "bridge")
    return output.stdout.strip()


@pytest.fixture(scope="module")
def further(deployment: Deployment) -> Iterator[Project]:
    """The folder on the further machine: a clone of the same commit, without settings."""
    folder = deployment.folder.with_name("further")
    shutil.rmtree(folder, ignore_errors=True)
    site.git(deployment.folder, "clone", "--quiet", ".", str(folder))
    project = Project(deployment.docker, folder, deployment.note)
    yield project
    project.take_down()


def test_central_machine_opens(deployment: Deployment, address: str) -> None:
    """By step 1; what is outside in production is reached at the same address here."""
    _, settings, *_ = site.blocks(deployment.folder, _PAGE)
    lines = settings.replace(_ADDRESS, address).splitlines()
    deployment.settings |= dict(line.split("=", 1) for line in lines)
    deployment.settings["COMPOSE_FILE"] += f":{_OUTSIDE}/central.yaml"
    site.write_settings(deployment.folder, deployment.settings)
    deployment.ledger_is_whole = False  # the simulator is started again
    deployment.compose("up", "-d", "--wait")
    deployment.wait_api()


def test_machine_joins(deployment: Deployment, further: Project, address: str) -> None:
    """By steps 2 and 3, and the commands after them: it reaches everything, and reports."""
    start, _, settings, _ = site.blocks(deployment.folder, _PAGE)
    deployment.shell(settings.replace(_ADDRESS, address))
    _copy_settings(deployment.folder / "worker.env", further.folder / ".env")
    up, check, hosts = start.splitlines()
    with deployment.measured("a further machine, until healthy"):
        further.shell(up)
    assert further.unwell() == []
    services = {container["Service"] for container in further.containers()}
    assert services == {"airflow-worker", "songswap-drain", "songswap-logs"}
    assert "✗" not in further.shell(check)
    assert _HOST in further.shell(hosts)


def test_it_does_a_run_alone(deployment: Deployment, further: Project) -> None:
    """While the central machine has no workers, all batches of a run are done there; the run is
    green, each play is there once, and nothing waits on that machine."""
    deployment.idle()
    deployment.compose("stop", "airflow-worker")
    run = deployment.api.trigger(LOAD)
    deployment.wait_green(run)
    workers = {container["ID"][:12] for container in further.containers("airflow-worker")}
    batches = deployment.fetches(run)
    assert len(batches) > 1
    assert {batch["hostname"] for batch in batches} <= workers
    deployment.compose("start", "airflow-worker")
    deployment.wait_well()
    deployment.idle()
    assert deployment.assert_history_is_ledger() > 1000
    [spool] = _spools(deployment)
    assert (spool["is_silent"], spool["waiting_since"]) == (False, None)
    assert further.unwell() == []


def test_machine_leaves(deployment: Deployment, further: Project) -> None:
    """By the commands for its removal: nothing waits there, and runs go on without it."""
    *_, leave = site.blocks(deployment.folder, _PAGE)
    for line in leave.splitlines():
        further.shell(line)
    assert further.containers() == []
    [spool] = _spools(deployment)
    assert spool["waiting_since"] is None
    deployment.run()
    deployment.idle()
    deployment.assert_history_is_ledger()


def _copy_settings(source: Path, target: Path) -> None:
    """Move them to the other machine, with what one engine for two machines needs."""
    assert source.stat().st_mode & 0o777 == 0o600
    text = source.read_text()
    files = "COMPOSE_FILE=docker-compose.worker.yaml"
    assert files in text
    text = text.replace(files, f"{files}:{_OUTSIDE}/worker.yaml")
    target.touch(mode=0o600)
    target.write_text(f"{text}COMPOSE_PROJECT_NAME=further\n")
    source.unlink()


def _spools(deployment: Deployment) -> list[dict[str, object]]:
    """The machine's spools, as the central machine's `songswap spool hosts` shows them."""
    list_hosts = ("songswap", "spool", "hosts", "--json")
    hosts = json.loads(deployment.compose("exec", "-T", "airflow-worker", *list_hosts))["hosts"]
    return [host for host in hosts if host["host"] == _HOST]
