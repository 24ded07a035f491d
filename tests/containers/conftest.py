"""One deployment on a Docker engine, whose life the test files tell in their order.

`make test-docker` runs them; no other command comes here. The engine, the images and what was
downloaded stay in `.venv/docker` and `.venv/debian`.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from containers import images, site
from containers.deployment import Deployment
from containers.engine import Docker, OwnEngine, running
from containers.figures import Watch, report

from songswap.dev.stack.loopback import free_port
from songswap.supervision.errors import StackError

_FOLDER = Path(sys.prefix) / "docker"
_START = time.monotonic()
# A killed worker's tasks are back soon, and the 25 users are two batches, fetched for a while.
_QUICK = {
    "SONGSWAP_HEARTBEAT_TIMEOUT_S": "30",
    "SONGSWAP_RETRY_DELAY_S": "5",
    "SONGSWAP_BATCH_SIZE": "13",
    "SONGSWAP_IN_FLIGHT": "1",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of these tests."""
    parser.addoption("--figures", type=Path, help="writes the table of figures to this file too")


def note(text: str) -> None:
    """Say how far it is, with the minutes and seconds since the start."""
    passed = int(time.monotonic() - _START)
    print(f"\n  {passed // 60:3d}:{passed % 60:02d}  {text}", end="", flush=True)


@pytest.fixture(scope="session")
def progress() -> Callable[[str], None]:
    """Says how far it is."""
    return note


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """An engine: the one that runs, else our own."""
    found = running()
    if found is not None:
        note("a running engine is used")
        _refuse_strangers(found)
        yield found
        return
    engine = OwnEngine(_FOLDER)
    try:
        note("an engine of our own is started")
        yield engine.start()
    finally:
        engine.stop()


@pytest.fixture(scope="session")
def deployment(docker: Docker, pytestconfig: pytest.Config) -> Iterator[Deployment]:
    """The deployment with the demo's stand-ins, not yet started; at its end, the figures."""
    folder = _FOLDER / "site"
    stand_ins = images.provide(docker, _FOLDER, note)
    site.clone(folder)
    settings = site.demo_settings(folder, SONGSWAP_PORT=str(free_port()), **_QUICK)
    made = Deployment(docker, folder, settings, note)
    made.stand_ins = stand_ins
    made.take_down()  # what a run that was killed has left
    watch = Watch(made)
    made.watch = watch
    watch.start()
    try:
        yield made
        figures = report(made, watch)
        if file := pytestconfig.getoption("--figures"):
            file.write_text(figures)
        print(f"\n\n{figures}")
    finally:
        watch.stop()
        made.take_down()


def _refuse_strangers(docker: Docker) -> None:
    """Leave a real deployment on this engine alone.

    Raises:
        StackError: there is one.
    """
    label = "label=com.docker.compose.project=songswap"
    found = docker.run("volume", "ls", "--quiet", "--filter", label).stdout.split()
    found += docker.run("ps", "--all", "--quiet", "--filter", label).stdout.split()
    found += docker.run("images", "--quiet", "songswap-airflow*").stdout.split()
    if found:
        raise StackError(
            "This engine has containers, volumes or images of a deployment, which these tests would"
            " replace: run them on another engine."
        )
