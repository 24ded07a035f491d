"""Airflow as four processes: api-server, scheduler, dag-processor, triggerer.

`airflow standalone` would leave its children behind when it is stopped. Tasks run under the
LocalExecutor, the metadata is in the embedded PostgreSQL, and home, logs and keys are in the state
folder. The keys and the admin's password are generated at the first start (mode 0600).
"""

import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from songswap.dev.stack import metrics
from songswap.dev.stack.airflow_api import AirflowApi
from songswap.dev.stack.plan import PAGE
from songswap.supervision.private import write_private
from songswap.supervision.process import Process, stop_all

ADMIN = "admin"
_COMPONENTS = {
    "api-server": ["api-server"],
    # The api-server reads the logs from the disk.
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
# The user's own settings of Python and Airflow belong to other installations.
_FOREIGN = ("AIRFLOW__", "AIRFLOW_HOME", "AIRFLOW_CONFIG", "PYTHON")
_OF_TASKS = ("AIRFLOW_CONN_", "AIRFLOW_VAR_", "SPOTIFY_")
"""What the api-server, which browsers reach, does not get: but for the connection of the page."""


class Airflow:
    """An Airflow on 127.0.0.1.

    Args:
        folder: its home; created when missing.
        port: the api-server's TCP port.
        database_url: the metadata database, as `postgresql://…`.
        dags: the folder of the DAG files.
        environment: the user's own, with the connections, variables and settings of the tasks.
        mark: the folder of the stack it belongs to.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        database_url: str,
        dags: Path,
        environment: Mapping[str, str],
        mark: Path,
    ) -> None:
        self._folder = folder.absolute()
        self._dags = dags
        self._database_url = database_url
        self._mark = mark
        self.url = f"http://127.0.0.1:{port}"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._keys = self._load_keys()
        self.password = self._keys["admin"]
        self.api = AirflowApi(self.url, ADMIN, self.password)
        self._otlp_endpoint = environment.get("SONGSWAP_OTLP_ENDPOINT", "")
        ours = {name: text for name, text in environment.items() if not name.startswith(_FOREIGN)}
        self._environment = {**ours, **self._settings(port)}
        self.migration = self._process("migration", ["db", "migrate"])
        self.components = [self._process(name, words) for name, words in _COMPONENTS.items()]

    @property
    def logs(self) -> Path:
        """The folder of the tasks' logs, by DAG, run and task."""
        return self._folder / "logs"

    def start_migration(self) -> None:
        """Start migrating the metadata database, which takes 5 to 30 s."""
        self.migration.start()

    def wait_migrated(self, timeout_s: float = 300) -> None:
        """Wait for the migration.

        Raises:
            StackError: it failed; the text begins with the last lines of its log.
        """
        self.migration.wait_success(timeout_s)

    def start(self) -> None:
        """Start the four processes; they are ready once `unhealthy` is empty."""
        for component in self.components:
            component.start()

    def unhealthy(self) -> list[str]:
        """The components that do not report themselves healthy yet.

        Raises:
            StackError: one of them ended; the text begins with the last lines of its log.
        """
        self.require_running()
        return self.api.unhealthy()

    def require_running(self) -> None:
        """Raise StackError when one of the four processes has ended."""
        for component in self.components:
            if not component.running:
                raise component.failure(f"{component.name} ended.")

    def stop(self, timeout_s: float = 5) -> None:
        """Stop the processes concurrently."""
        stop_all([self.migration, *self.components], timeout_s)

    def _process(self, name: str, words: list[str]) -> Process:
        environment = self._environment
        if name == "api-server":
            environment = {
                variable: text
                for variable, text in environment.items()
                if variable == PAGE or not variable.startswith(_OF_TASKS)
            }
        return Process(
            f"Airflow's {name}",
            [sys.executable, "-m", "airflow", *words],
            log=self.logs / f"{name}.log",
            mark=self._mark,
            environment=environment,
        )

    def _load_keys(self) -> dict[str, str]:
        """The keys that the four processes share, and the admin's password."""
        keys = self._folder / "keys.json"
        if not keys.exists():
            fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            new = {"fernet": fernet, "admin": secrets.token_urlsafe(12)}
            new |= {name: secrets.token_urlsafe(48) for name in ("jwt", "secret")}
            write_private(keys, json.dumps(new))
        stored: dict[str, str] = json.loads(keys.read_text())
        write_private(self._passwords, json.dumps({ADMIN: stored["admin"]}))
        return stored

    @property
    def _passwords(self) -> Path:
        return self._folder / "passwords.json"

    def _settings(self, port: int) -> dict[str, str]:
        settings: dict[str, dict[str, object]] = {
            "core": {
                "dags_folder": self._dags,
                "executor": "LocalExecutor",
                "parallelism": 4,
                "default_task_retry_delay": 30,  # seconds; Airflow's default is five minutes
                "load_examples": False,
                "dags_are_paused_at_creation": True,
                "simple_auth_manager_users": f"{ADMIN}:admin",
                "simple_auth_manager_passwords_file": self._passwords,
                "fernet_key": self._keys["fernet"],
                "execution_api_server_url": f"{self.url}/execution/",
                # The default looks the machine's name up in the network.
                "hostname_callable": "socket.gethostname",
            },
            "database": {
                "sql_alchemy_conn": self._database_url.replace(
                    "postgresql:", "postgresql+psycopg2:"
                )
            },
            "api": {
                "base_url": self.url,
                "host": "127.0.0.1",
                "port": port,
                "workers": 1,
                "secret_key": self._keys["secret"],
                "instance_name": "SongSwap",
            },
            "api_auth": {"jwt_secret": self._keys["jwt"]},
            "logging": {
                "base_log_folder": self.logs,
                "dag_processor_child_process_log_directory": self.logs / "dag_processor",
            },
            "scheduler": {
                # Seconds between a task and the next.
                "scheduler_heartbeat_sec": 1,
                "scheduler_idle_sleep_time": 0.5,
                # Seconds until the tasks of a stack that was stopped run again.
                "orphaned_tasks_check_interval": 20,
                "task_instance_heartbeat_timeout": 60,
            },
            # On a busy machine the api-server responds late, and the first tasks would fail.
            "workers": {"execution_api_timeout": 30, "execution_api_retries": 10},
            "dag_processor": {
                "refresh_interval": 30,
                "dag_bundle_storage_path": self._folder / "bundles",
            },
        }
        environment = {
            f"AIRFLOW__{section}__{option}".upper(): str(value)
            for section, options in settings.items()
            for option, value in options.items()
        }
        environment |= metrics.settings(self._otlp_endpoint)
        environment["AIRFLOW_HOME"] = str(self._folder)
        environment["NO_PROXY"] = environment["no_proxy"] = _no_proxy()
        # Airflow's process titles would overwrite the environment, by which leftovers are found.
        environment["SPT_NOENV"] = "1"
        return environment


def _no_proxy() -> str:
    """The user's exceptions from proxies, and 127.0.0.1, where all of Airflow's own calls go."""
    users = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return ",".join(filter(None, [users, "127.0.0.1", "localhost"]))
