"""The embedded stack: starts its parts in order, and stops them.

PostgreSQL starts first, because all others need it. While Airflow's metadata tables are created,
S3 and the simulator start, the warehouse gets its tables and the listeners sign up. Airflow starts
last.
"""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from songswap.dev.stack.access import Access
from songswap.dev.stack.airflow import Airflow
from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.plan import BUCKET, Plan
from songswap.dev.stack.postgres import READER, Postgres
from songswap.dev.stack.sign_up import sign_up
from songswap.dev.stack.simulator import Simulator
from songswap.dev.stack.state import World
from songswap.settings import from_environment
from songswap.supervision.errors import StackError
from songswap.supervision.private import write_private
from songswap.supervision.process import stop_all, stop_leftovers, wait_until
from songswap.terminal.progress import Progress
from songswap.warehouse.migrate import migrate
from songswap.warehouse.rights import page_grants

DAG = "load_listening_history"
POOL = "spotify"
BACKFILL_POOL = "backfill"
_BACKFILL_SLOTS = 3
_SETTINGS = ("AIRFLOW_CONN_", "AIRFLOW_VAR_", "SPOTIFY_", "SONGSWAP_", "RECCOBEATS_")
_METADATA = "airflow"
_WAREHOUSE = "songswap"
_AIRFLOW_S = 180
_POLL_S = 0.5


class Stack:
    """All parts of one state folder.

    Args:
        folder: the state folder; the caller holds its lock.
        plan: which parts are started, and their ports.
        world: the simulated listeners.
        access: the S3 endpoint's keys.
        dags: the folder of the DAG files.
    """

    def __init__(self, folder: Path, plan: Plan, world: World, access: Access, dags: Path) -> None:
        self.plan = plan
        self._folder = folder
        self._world = world
        self.postgres = Postgres(folder / "postgres", plan.ports.postgres, mark=folder)
        self.objects = ObjectStore(
            folder / "s3", plan.ports.s3, access, buckets=(BUCKET,), mark=folder
        )
        self.simulator = Simulator(
            folder / "simulator", plan.ports.simulator, _options(world), mark=folder
        )
        self._access = access
        self._dags = dags
        self._airflow: Airflow | None = None
        self.warehouse_dsn = ""

    @property
    def environment_file(self) -> Path:
        """The settings with which a shell's other commands use this stack."""
        return self._folder / "environment"

    @property
    def airflow(self) -> Airflow:
        """Airflow, from the middle of `start` on."""
        if self._airflow is None:
            raise StackError("Airflow has not been started.")
        return self._airflow

    def start(self, progress: Progress) -> None:
        """Start all parts and wait until the DAG can run.

        Raises:
            StackError: a part did not start; the text begins with the last lines of its log.
        """
        with progress.step("PostgreSQL"):
            self.postgres.start()
            self.postgres.create_database(_METADATA)
            if self.plan.local_warehouse:
                self.postgres.create_database(_WAREHOUSE)
        self._airflow = self._prepare_airflow()
        self.airflow.start_migration()
        if self.plan.local_archive:
            with progress.step("S3"):
                self.objects.start()
        if self.plan.simulated:
            with progress.step("The Spotify simulator"):
                self._start_simulator()
        with progress.step("The warehouse's tables"):
            platform = migrate(self.warehouse_dsn).platform
            if self.plan.local_warehouse:
                self.postgres.let_read(_WAREHOUSE, page_grants(platform, READER))
        if self.plan.simulated:
            with progress.step("Listeners sign up") as say:
                listeners = self.simulator.get("/admin/listeners")
                sign_up(self.warehouse_dsn, self.simulator.url, listeners, say)
        with progress.step("Airflow's metadata tables"):
            self.airflow.wait_migrated()
        with progress.step("Airflow") as say:
            self._start_airflow(say)

    def unpause(self) -> None:
        """Let the other DAGs run too; each daily one starts with its latest scheduled run."""
        for dag in self.airflow.api.dags():
            self.airflow.api.unpause(dag)

    def require_running(self) -> None:
        """Raise StackError, with the last lines of its log, when a part has ended."""
        parts = [self.postgres.process]
        if self.plan.local_archive:
            parts.append(self.objects.process)
        if self.plan.simulated:
            parts.append(self.simulator.process)
        for part in parts:
            if not part.running:
                raise part.failure(f"{part.name} ended.")
        self.airflow.require_running()

    def stop(self) -> None:
        """Stop all parts within 10 s: Airflow first, then what its tasks use, then the rest."""
        if self._airflow is not None:
            self._airflow.stop(timeout_s=4)
        stop_all([self.postgres.process, self.objects.process, self.simulator.process], timeout_s=3)
        stop_leftovers(self._folder, timeout_s=1)

    def _prepare_airflow(self) -> Airflow:
        environment = self.plan.environment(
            warehouse=self.postgres.dsn(_WAREHOUSE),
            page=self.postgres.dsn_of_reader(_WAREHOUSE),
            archive=self.objects.url,
            access=self._access,
            simulator=self.simulator.url,
            spool=self._folder / "spool",
        )
        self.warehouse_dsn = from_environment(environment).warehouse_dsn
        write_private(self.environment_file, _exports(environment))
        return Airflow(
            self._folder / "airflow",
            self.plan.ports.airflow,
            database_url=self.postgres.dsn(_METADATA),
            dags=self._dags,
            environment=environment,
            mark=self._folder,
        )

    def _start_simulator(self) -> None:
        self.simulator.start()
        joined = self._world.listeners - self._world.founders
        if joined:
            self.simulator.post("/admin/listeners", {"count": joined})

    def _start_airflow(self, say: Callable[[str], None]) -> None:
        self.airflow.start()
        files = len(list(self._dags.rglob("*.py")))

        def ready() -> bool:
            unhealthy = self.airflow.unhealthy()
            say(f"waiting for {', '.join(unhealthy)}" if unhealthy else "waiting for the DAGs")
            api = self.airflow.api
            return not unhealthy and len(api.dags()) + len(api.import_errors()) >= files

        if not wait_until(ready, _AIRFLOW_S, _POLL_S):
            raise StackError(
                f"Airflow was not ready to run the {files} DAGs after {_AIRFLOW_S} s. Its logs are"
                f" in {self.airflow.logs}."
            )
        errors = "\n".join(map(str, self.airflow.api.import_errors().items()))
        if errors:
            raise StackError(f"Airflow cannot import all DAGs:\n{errors}")
        self.airflow.api.unpause(DAG)
        self.airflow.api.set_pools({POOL: self.plan.spotify_slots, BACKFILL_POOL: _BACKFILL_SLOTS})


def _exports(environment: Mapping[str, str]) -> str:
    """The settings of the pipeline as lines of a shell."""
    ours = {name: text for name, text in environment.items() if name.startswith(_SETTINGS)}
    return "".join(f"export {name}={shlex.quote(text)}\n" for name, text in sorted(ours.items()))


def _options(world: World) -> tuple[str, ...]:
    size = ("--seed", str(world.seed), "--users", str(world.founders))
    return (*size, "--epoch", world.epoch)
