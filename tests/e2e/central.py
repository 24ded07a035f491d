"""The central machine of a deployment with workers on other machines, as a host of a test.

It holds the metadata, the queue and the api-server, and beside them what is elsewhere in
production: the warehouse, the archive and a simulated Spotify.
"""

import json
import secrets
from collections.abc import Mapping
from functools import partial

import psycopg
from e2e.compose_file import ComposeFile
from e2e.deployment import QUICK_CHECKS, Deployment
from e2e.site import Site, secret_settings
from factories import NOW, Platform
from hosts import Host
from obstore.store import S3Store
from psycopg import sql

from songswap.dev.stack.object_store import REGION
from songswap.dev.stack.plan import BUCKET, SIMULATED_APP
from songswap.dev.stack.postgres import USER, Postgres
from songswap.dev.stack.sign_up import sign_up
from songswap.dev.stack.simulator import Simulator
from songswap.settings import from_environment
from songswap.supervision.process import wait_until

_CONTROL = ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor")
_WAREHOUSE = "songswap"


class Central:
    """The central machine.

    Args:
        host: where all of it runs; this thread is inside.
        compose: docker-compose.yaml.
        ports: the ports here, by those in the containers.
        more: settings beside the required ones.
        users: how many listeners Spotify has; time stands still there.
    """

    def __init__(
        self,
        host: Host,
        compose: ComposeFile,
        ports: Mapping[str, int],
        more: Mapping[str, str],
        users: int,
    ) -> None:
        self.host = host
        self.postgres = Postgres(
            host.disk / "postgres",
            ports["5432"],
            mark=host.disk,
            settings={"listen_addresses": host.listens_on, "fsync": "off"},
        )
        self._start_postgres()
        self.settings = {**secret_settings(compose), **self._services(), **more}
        services = compose.resolved(self.settings)["services"]
        services["demo-simulator"]["command"] += f" --users {users} --clock frozen --now {NOW}"
        self.deployment = Deployment(host, services, ports)
        self.platform = self._platform()

    def up(self) -> Site:
        """Start all of it in Compose's order, sign the listeners up, and log in."""
        self._create_metadata()
        for service in ("redis", "demo-s3", "demo-simulator"):
            self.deployment.start(service)
        self.deployment.start("airflow-init").wait_success(180)
        for service in _CONTROL:
            # Nobody changes the DAG files here.
            rarely = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "900"}
            self.deployment.start(service, **rarely, **QUICK_CHECKS)
        self._wait_healthy("demo-simulator", "demo-s3")
        spotify = self.platform.spotify
        dsn = self.platform.settings.warehouse_dsn
        sign_up(dsn, spotify.url, spotify.get("/admin/listeners"), lambda _: None)
        self._wait_healthy("redis", *_CONTROL)
        return Site(self.deployment, self.settings["SONGSWAP_ADMIN_PASSWORD"])

    def _wait_healthy(self, *services: str) -> None:
        for service in services:
            healthy = partial(self.deployment.healthy, service)
            assert wait_until(healthy, 90, 0.5), f"{service}: {self.logs()}"

    def problem(self, run: str) -> str:
        """What failed in a run, as the warehouse has it."""
        query = "SELECT problem FROM songswap.runs WHERE run_id LIKE %s"
        return str(self.platform.rows(query, f"%{run}"))

    def logs(self) -> str:
        """The end of what was logged here."""
        return self.deployment.logs()[-5000:]

    def stop(self) -> None:
        """Stop what runs, whatever its state."""
        self.deployment.stop(timeout_s=1)
        self.postgres.stop()

    def _start_postgres(self) -> None:
        self.postgres.start()
        access = self.host.disk / "postgres/cluster/pg_hba.conf"
        with access.open("a") as lines:
            lines.write("host all all samenet scram-sha-256\n")
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
        self.postgres.create_database(_WAREHOUSE)

    def _create_metadata(self) -> None:
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as connection:
            role = sql.SQL("CREATE ROLE airflow LOGIN PASSWORD {}")
            password = self.settings["SONGSWAP_METADATA_PASSWORD"]
            connection.execute(role.format(sql.Literal(password)))
            connection.execute("CREATE DATABASE airflow OWNER airflow")

    def _services(self) -> dict[str, str]:
        """The connections of docker.env.example's last section, by this machine's address."""
        address = self.host.address
        spotify, s3 = f"http://{address}:8010", f"http://{address}:9010"
        login = f"{USER}:{self.postgres.password}"
        return {
            **SIMULATED_APP,
            "SPOTIFY_API_URL": f"{spotify}/v1",
            "SPOTIFY_ACCOUNTS_URL": spotify,
            "RECCOBEATS_URL": f"{spotify}/reccobeats",
            "SONGSWAP_ALLOW_HTTP": address,
            "SONGSWAP_CENTRAL": address,
            "SONGSWAP_PRIVATE_ADDRESS": address,
            "AIRFLOW_CONN_SONGSWAP_RDS": f"postgresql://{login}@{address}:5432/{_WAREHOUSE}",
            "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": _s3("pipeline", s3),
            "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE": _s3("tests", s3),
            "AIRFLOW_VAR_BUCKET_NAME": BUCKET,
        }

    def _platform(self) -> Platform:
        """What tests see of it; the pipeline itself does not run here."""
        settings = from_environment(self.deployment.environment("airflow-worker"))
        spotify = Simulator(self.host.disk / "simulator", port=0)
        spotify.url = settings.spotify.accounts_url
        bucket = S3Store(BUCKET, endpoint=settings.archive.endpoint_url)
        return Platform(settings, spotify, bucket, settings.archive, is_frozen=True)


def _s3(key: str, url: str) -> str:
    """The connection of a key of the stand-in."""
    extra = {"endpoint_url": url, "region_name": REGION}
    secret = secrets.token_hex(16)
    return json.dumps({"conn_type": "aws", "login": key, "password": secret, "extra": extra})
