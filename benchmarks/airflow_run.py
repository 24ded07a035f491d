"""The hourly load on real parts: a site that stays, worlds that come and go on it, and Airflow.

A world is a new warehouse, S3 endpoint, spool and simulated Spotify at the site's addresses, so
that one Airflow can load one world after the other. Its listeners are those of the other parts:
200,000 tracks, 60 days, responses of at most 50 plays. Their access tokens have just expired, as in
every hour: a user costs one token and one page.

The simulator shares the cores: its 2 ms per response are part of every duration.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psycopg

import songswap
from benchmarks import services
from benchmarks.measurement import seconds
from benchmarks.pages import LISTENERS, LIVED, SEED
from songswap.dev.simulator.accounts import READ_EMAIL, READ_RECENTLY_PLAYED
from songswap.dev.simulator.clock import Clock
from songswap.dev.simulator.token import TokenIssuer
from songswap.dev.stack.access import Access, platform_access
from songswap.dev.stack.airflow import Airflow
from songswap.dev.stack.airflow_api import UNFINISHED
from songswap.dev.stack.loopback import free_port
from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.plan import BUCKET, Plan, make_plan
from songswap.dev.stack.ports import Ports
from songswap.dev.stack.postgres import Postgres
from songswap.dev.stack.simulator import Simulator
from songswap.dev.stack.stack import DAG, POOL
from songswap.pipelines import hourly_load
from songswap.settings import from_environment
from songswap.supervision.errors import StackError
from songswap.supervision.process import Process, stop_all, stop_leftovers, wait_until
from songswap.warehouse.migrate import migrate

AnAirflow = TypeVar("AnAirflow", bound=Airflow)

_DAGS = Path(songswap.__file__).parents[2] / "dags"
_SCHEDULE = "schedule=hourly()"
_WAREHOUSE = "songswap"
_METADATA = "airflow"
_READY_S = 180
_LONGEST_RUN_S = 900


class Run(NamedTuple):
    """A run of the DAG: its duration, and the size of its XComs."""

    seconds: float
    xcom_bytes: int


class Celery(Airflow):
    """An Airflow that sends tasks over Redis to workers of one process each."""

    def __init__(self, folder: Path, port: int, *, broker: str, **more: Any) -> None:
        self._broker = broker
        super().__init__(folder, port, **more)

    def worker(self, name: str) -> Process:
        """Return another worker; the caller starts and stops it."""
        host = ["--celery-hostname", name]
        return self._process(name, ["celery", "worker", "--skip-serve-logs", *host])

    def _settings(self, port: int) -> dict[str, str]:
        celery = {
            "BROKER_URL": f"{self._broker}/0",
            "RESULT_BACKEND": f"{self._broker}/1",
            "WORKER_CONCURRENCY": "1",
            "WORKER_PREFETCH_MULTIPLIER": "1",
            "TASK_ACKS_LATE": "true",
        }
        return {
            **super()._settings(port),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            **{f"AIRFLOW__CELERY__{name}": text for name, text in celery.items()},
        }


@dataclass(frozen=True)
class Site:
    """What stays: PostgreSQL, the addresses of the other services, and the tasks' environment."""

    folder: Path
    server: Postgres
    plan: Plan
    access: Access
    environment: Mapping[str, str]

    @property
    def spool(self) -> Path:
        """The folder of the spool."""
        return _spool(self.folder)

    @property
    def warehouse_dsn(self) -> str:
        """The DSN of the current world's warehouse."""
        return self.server.dsn(_WAREHOUSE)

    @contextmanager
    def world(self, users: int, *, per_30_s: int = 0, latency_ms: int = 0) -> Iterator[Simulator]:
        """Create a world whose users have signed up, and yield its Spotify.

        Args:
            users: how many, at most 20,000.
            per_30_s: the rate limit, in requests in a rolling 30 s; 0 is none.
            latency_ms: the delay of each response.
        """
        folder = self.folder / "world"
        ports = self.plan.ports
        store = ObjectStore(folder / "s3", ports.s3, self.access, buckets=(BUCKET,))
        spotify = Simulator(folder / "simulator", ports.simulator, _options(per_30_s))
        self.server.create_database(_WAREHOUSE)
        try:
            store.start()
            spotify.start()
            if latency_ms:
                spotify.post("/admin/faults", {"path": "/*", "delay_ms": latency_ms})
            migrate(self.warehouse_dsn)
            _sign_up(self.warehouse_dsn, users)
            yield spotify
        finally:
            stop_all([store.process, spotify.process], timeout_s=3)
            self.server.drop_database(_WAREHOUSE)
            for path in (folder, self.spool):
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def airflow(self, kind: Callable[..., AnAirflow]) -> Iterator[AnAirflow]:
        """Start an Airflow that is ready to load and has no run.

        Raises:
            StackError: it did not start.
        """
        folder = self.folder / "airflow"
        self.server.create_database(_METADATA)
        airflow = kind(
            folder,
            self.plan.ports.airflow,
            database_url=self.server.dsn(_METADATA),
            dags=_unscheduled(folder / "dags"),
            environment=self.environment,
            mark=folder,
        )
        try:
            airflow.start_migration()
            airflow.wait_migrated()
            airflow.start()
            if not wait_until(lambda: _ready(airflow), _READY_S, 0.5):
                raise StackError(f"Airflow was not ready after {_READY_S} s.")
            airflow.api.unpause(DAG)
            airflow.api.set_pools({POOL: self.plan.spotify_slots})
            yield airflow
        finally:
            airflow.stop()
            stop_leftovers(folder)
            self.server.drop_database(_METADATA)

    def load(self, airflow: Airflow) -> Run:
        """Load the current world with the DAG.

        Raises:
            StackError: the run failed, or did not end.
        """
        run = airflow.api.trigger(DAG)

        def ended() -> bool:
            airflow.require_running()
            return airflow.api.state(DAG, run) not in UNFINISHED

        wait_until(ended, _LONGEST_RUN_S, 1)
        if (state := airflow.api.state(DAG, run)) != "success":
            raise StackError(f"The run is {state}: {self._problem(run)}")
        with psycopg.connect(self.server.dsn(_METADATA)) as connection:
            row = connection.execute(_RUN, {"dag": DAG, "run": run}).fetchone()
        return Run(*(row or (0.0, 0)))

    def load_here(self) -> float:
        """Load the current world in this process, and return the seconds."""
        settings = from_environment(self.environment)
        return seconds(lambda: hourly_load.load_once(settings, "in process", lambda *_: None))

    def _problem(self, run: str) -> str:
        with psycopg.connect(self.warehouse_dsn) as connection:
            row = connection.execute(
                "SELECT problem FROM songswap.runs WHERE run_id = %s", [run]
            ).fetchone()
        return str(row[0]) if row else "it recorded no problem"


_RUN = """
SELECT extract(epoch FROM r.end_date - r.start_date)::float,
  (SELECT coalesce(sum(octet_length(x.value::text)), 0)::integer FROM xcom x
   WHERE x.dag_id = r.dag_id AND x.run_id = r.run_id)
FROM dag_run r WHERE r.dag_id = %(dag)s AND r.run_id = %(run)s
"""


@contextmanager
def open_site(folder: Path, **settings: str) -> Iterator[Site]:
    """Open a site on free ports; ``settings`` are environment variables for the pipeline."""
    with services.postgres(folder) as server:
        access = platform_access()
        ports = {Ports.variable(part): str(free_port()) for part in ("airflow", "s3", "simulator")}
        path = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)}
        plan = make_plan({**path, **ports, **settings})
        environment = plan.environment(
            warehouse=server.dsn(_WAREHOUSE),
            archive=f"http://127.0.0.1:{plan.ports.s3}",
            access=access,
            simulator=f"http://127.0.0.1:{plan.ports.simulator}",
            spool=_spool(folder),
        )
        yield Site(folder, server, plan, access, environment)


def web_api_calls(spotify: Simulator) -> int:
    """Return how many requests the Web API has accepted, as its rate limit counts them."""
    calls = spotify.get("/admin/calls")["by_endpoint"]
    others = ("token", "authorize", "discord", "reccobeats")
    return sum(
        count
        for endpoint, by_status in calls.items()
        if endpoint not in others
        for status, count in by_status.items()
        if status != "429"
    )


def _spool(folder: Path) -> Path:
    return folder / "spool"


def _options(per_30_s: int) -> tuple[str, ...]:
    epoch = (datetime.now(UTC) - LIVED).isoformat(timespec="seconds")
    world = ("--seed", str(SEED), "--users", str(LISTENERS), "--epoch", epoch)
    return (*world, "--rate-limit", str(per_30_s))


def _sign_up(dsn: str, users: int) -> None:
    """Add the first listeners with tokens of an hour ago, as a load of that hour leaves them."""
    an_hour_ago = time.time_ns() // 1_000_000 - 3_600_000
    issuer = TokenIssuer(SEED, Clock(an_hour_ago))
    scopes = READ_EMAIL | READ_RECENTLY_PLAYED
    with psycopg.connect(dsn) as connection:
        cursor = connection.cursor()
        with cursor.copy('COPY "Users" (username, email, spotify_id) FROM STDIN') as copy:
            for number in range(1, users + 1):
                name = f"listener-{number:04d}"
                copy.write_row([name, f"{name}@example.com", name])
        with cursor.copy('COPY "SpotifyTokens" FROM STDIN') as copy:
            for number in range(1, users + 1):
                grant = (f"listener-{number:04d}", an_hour_ago, scopes)
                copy.write_row([number, issuer.issue_access(*grant), issuer.issue_refresh(*grant)])
        cursor.execute(
            "INSERT INTO songswap.grants (user_id, refresh_digest, authorized_at)"
            " SELECT user_id, platform_digest, now() - interval '1 hour'"
            " FROM songswap.current_tokens()"
        )
        cursor.execute(
            "INSERT INTO songswap.tokens"
            " (user_id, access_token, refresh_token, expires_at, platform_digest, stored_at)"
            " SELECT user_id, access_token, refresh_token, now(), platform_digest,"
            " now() - interval '1 hour' FROM songswap.current_tokens()"
        )


def _unscheduled(folder: Path) -> Path:
    """Create a folder with only the DAG, without its schedule, so that no hourly run interferes."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{DAG}.py"
    text = (_DAGS / name).read_text()
    if _SCHEDULE not in text:
        raise StackError(f"{name} has another schedule than {_SCHEDULE}.")
    (folder / name).write_text(text.replace(_SCHEDULE, "schedule=None"))
    return folder


def _ready(airflow: Airflow) -> bool:
    return not airflow.unhealthy() and DAG in airflow.api.dags()
