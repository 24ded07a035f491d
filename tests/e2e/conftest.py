"""The compose file, its services as processes, and the wheel."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import debian_packages
import pytest
from built_wheel import Wheel, built
from e2e.compose_file import Compose, ComposeFile
from e2e.deployment import PORTS, Deploy, Deployment
from hosts import Host

from songswap.supervision.process import marked

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def compose() -> ComposeFile:
    """The deployment's compose file."""
    return ComposeFile(REPOSITORY / "docker-compose.yaml")


@pytest.fixture(scope="session")
def worker_compose() -> ComposeFile:
    """The compose file of a machine with workers only."""
    return ComposeFile(REPOSITORY / "docker-compose.worker.yaml")


@pytest.fixture(scope="session")
def central_compose() -> ComposeFile:
    """What is added to the deployment's compose file so that such machines reach it."""
    return ComposeFile(REPOSITORY / "docker-compose.central.yaml")


@pytest.fixture(scope="session")
def docker_compose(compose: ComposeFile) -> Compose:
    """Docker Compose: this machine's own, or Debian's. Skipped where there is neither."""
    if (docker := shutil.which("docker")) and not subprocess.run(  # noqa: S603  (asks its version)
        [docker, "compose", "version"], capture_output=True, check=False
    ).returncode:
        return Compose([docker, "compose"], compose.path)
    folder = debian_packages.unpacked("docker-compose", suite="trixie")
    return Compose([str(folder / "usr/bin/docker-compose")], compose.path)


@pytest.fixture
def deploy(compose: ComposeFile, free_port: Callable[[], int], tmp_path: Path) -> Iterator[Deploy]:
    """Makes the deployment of an environment; nothing of it is left running."""
    made: list[Deployment] = []

    def make(environment: Mapping[str, str]) -> Deployment:
        services = compose.resolved(environment)["services"]
        ports = {port: free_port() for port in PORTS}
        name = f"deployment-{len(made)}"
        made.append(Deployment(Host(name, "127.0.0.1", tmp_path / name), services, ports))
        return made[-1]

    yield make
    for deployment in made:
        deployment.stop()
        assert marked(deployment.folder) == []


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """The wheel, built, and installed into a clean environment."""
    return built(tmp_path_factory.mktemp("wheel"))
