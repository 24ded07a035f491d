"""The compose file, its services as processes, and the wheel."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import debian_packages
import psycopg
import pytest
from built_wheel import Wheel, built
from e2e import page_rows
from e2e.api_server import ApiServer, Metadata
from e2e.browser import Chromium
from e2e.compose_file import Compose, ComposeFile
from e2e.deployment import PORTS, Deploy, Deployment
from hosts import Host

from songswap.dev.stack.postgres import Postgres
from songswap.supervision.process import marked
from songswap.warehouse import rights

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


@pytest.fixture(scope="session")
def page_warehouse(postgres: Postgres, _migrated: str) -> str:
    """The DSN of a warehouse with a user 12 for the page, with the login of the pipeline."""
    postgres.create_database("page", template=_migrated)
    with psycopg.connect(postgres.dsn("page"), autocommit=True) as connection:
        connection.execute("ALTER ROLE songswap IN DATABASE page SET search_path = public")
    page_rows.write_user(postgres.dsn("page"), 12, datetime.now(UTC))
    return postgres.dsn("page")


@pytest.fixture(scope="session")
def page_login(page_warehouse: str) -> str:
    """The same with the login of the page, which may read what it shows and nothing else."""
    with psycopg.connect(page_warehouse, autocommit=True) as connection:
        connection.execute("CREATE ROLE page LOGIN PASSWORD 'of the page'")
        connection.execute("SET ROLE page")
        missing = rights.missing_grants_of_page(connection)
        connection.execute("RESET ROLE")
        for grant in missing:
            connection.execute(grant.encode())
    return psycopg.conninfo.make_conninfo(page_warehouse, user="page", password="of the page")


@pytest.fixture(scope="session")
def metadata(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Metadata:
    """A metadata database with the DAGs."""
    postgres.create_database("metadata")
    made = Metadata(tmp_path_factory.mktemp("metadata") / "airflow", postgres.dsn("metadata"))
    made.prepare()
    return made


@pytest.fixture(scope="session")
def api_server(
    metadata: Metadata, page_login: str, free_port: Callable[[], int]
) -> Iterator[ApiServer]:
    """An api-server with the simple auth manager; the page's connection is in the database."""
    server = ApiServer(metadata, free_port())
    try:
        server.start()
        server.connect_page(page_login)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def fab_server(
    metadata: Metadata, api_server: ApiServer, free_port: Callable[[], int]
) -> Iterator[ApiServer]:
    """An api-server with the FAB auth manager, on the same database."""
    metadata.prepare_fab()
    server = ApiServer(metadata, free_port(), fab=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium: this machine's own, or Debian's. Skipped where there is neither.

    While it runs, no other test of the same process has an event loop of its own.
    """
    with Chromium() as browser:
        yield browser
