"""The hourly load on real parts: a site that stays, worlds that come and go on it, and Airflow.

A world is a fresh warehouse, S3 endpoint, spool and simulated Spotify at the site's addresses, so
that one Airflow can load one world after the other. Its listeners are those of the other parts:
200,000 tracks, 60 days lived, at most 50 plays told. Their access tokens have just ended, as every
hour finds them: a user costs one token and one page.

The simulator needs 2 to 5 ms of one core for an answer, and shares the cores with what is measured:
that is part of every time here.
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
from benchmarks.figure import seconds
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
_SCHEDULE = 'schedule="1 * * * *"'
_WAREHOUSE = "songswap"
_METADATA = "airflow"
_READY_S = 180
_LONGEST_RUN_S = 900


class Run(NamedTuple):
    """A run of the DAG: how long it took from its start to its end, and what its XComs hold."""

    seconds: float
    xcom_bytes: int


class Celery(Airflow):
    """An Airflow whose tasks go over Redis to workers of one process each."""

    def __init__(self, folder: Path, port: int, *, broker: str, **more: Any) -> None:
        self._broker = broker
        super().__init__(folder, port, **more)

    def worker(self, name: str) -> Process:
        """One more worker; to be started and stopped by who asked for it."""
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
    """What stays: the PostgreSQL server, the addresses of the rest, and what tasks are told."""

    folder: Path
    server: Postgres
    plan: Plan
    access: Access
    environment: Mapping[str, str]

    @property
    def spool(self) -> Path:
        """The folder of what could not be delivered yet."""
        return _spool(self.folder)

    @property
    def warehouse_dsn(self) -> str:
        """The warehouse of the present world."""
        return self.server.dsn(_WAREHOUSE)

    @contextmanager
    def world(self, users: int, *, per_30_s: int = 0, latency_ms: int = 0) -> Iterator[Simulator]:
        """A world of as many users who have signed up; gives its Spotify.

        Args:
            users: how many, at most 20,000.
            per_30_s: the rate limit, in requests in a rolling 30 s; 0 is none.
            latency_ms: how much later each answer comes.
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
            for gone in (folder, self.spool):
                shutil.rmtree(gone, ignore_errors=True)

    @contextmanager
    def airflow(self, kind: Callable[..., AnAirflow]) -> Iterator[AnAirflow]:
        """An Airflow that is ready to load, with no run of its own.

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
        """Load the present world with the DAG.

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
        """Load the present world in this process; how long it takes, in seconds."""
        settings = from_environment(self.environment)
        return seconds(lambda: hourly_load.load_once(settings, "in process", lambda *_: None))

    def _problem(self, run: str) -> str:
        with psycopg.connect(self.warehouse_dsn) as connection:
            row = connection.execute(
                "SELECT problem FROM songswap.runs WHERE run_id = %s", [run]
            ).fetchone()
        return str(row[0]) if row else "it noted nothing"


_RUN = """
SELECT extract(epoch FROM r.end_date - r.start_date)::float,
  (SELECT coalesce(sum(octet_length(x.value::text)), 0)::integer FROM xcom x
   WHERE x.dag_id = r.dag_id AND x.run_id = r.run_id)
FROM dag_run r WHERE r.dag_id = %(dag)s AND r.run_id = %(run)s
"""


@contextmanager
def site(folder: Path, **settings: str) -> Iterator[Site]:
    """A site with free ports; ``settings`` are the user's own, such as ``SONGSWAP_BATCH_SIZE``."""
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
    """How many requests the Web API has answered: what its rate limit counts."""
    kinds = spotify.get("/admin/calls")["by_endpoint"]
    others = ("token", "authorize", "discord", "reccobeats")
    return sum(
        count
        for kind, by_status in kinds.items()
        if kind not in others
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
    """The first listeners with tokens of an hour ago, as a load of that hour has left them."""
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
    """A folder with the DAG alone, without its schedule: no hour's run comes in between."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{DAG}.py"
    text = (_DAGS / name).read_text()
    if _SCHEDULE not in text:
        raise StackError(f"{name} has another schedule than {_SCHEDULE}.")
    (folder / name).write_text(text.replace(_SCHEDULE, "schedule=None"))
    return folder


def _ready(airflow: Airflow) -> bool:
    return not airflow.unwell() and DAG in airflow.api.dags()
