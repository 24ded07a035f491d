"""The calls of Airflow's REST API that the demo needs: health, DAGs, runs, pools."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from songswap.dev.stack.loopback import HTTPError, URLError, call_json

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
UNFINISHED = ("queued", "running")


class AirflowApi:
    """The REST API of one Airflow, used as its admin.

    Args:
        url: the api-server's address.
        user, password: the login.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._login = {"username": user, "password": password}
        self._token: str | None = None

    def unhealthy(self) -> list[str]:
        """The components that are not healthy; all of them while the api-server is unreachable."""
        try:
            health = call_json("GET", f"{self._url}/api/v2/monitor/health")
        except (URLError, ConnectionError, TimeoutError):
            return ["api-server", *COMPONENTS]
        return [name for name in COMPONENTS if health[name]["status"] != "healthy"]

    def dags(self) -> list[str]:
        """The DAGs that have been parsed, paused or not."""
        dags = self._call("GET", "/dags?exclude_stale=true&limit=100")["dags"]
        return [str(dag["dag_id"]) for dag in dags]

    def unpause(self, dag: str) -> None:
        """Unpause a DAG."""
        self._call("PATCH", f"/dags/{dag}?update_mask=is_paused", {"is_paused": False})

    def due(self, dag: str) -> bool:
        """True while a scheduled run is due and not started yet."""
        due_at = self._call("GET", f"/dags/{dag}")["next_dagrun_run_after"]
        return due_at is not None and datetime.fromisoformat(due_at) <= datetime.now(UTC)

    def import_errors(self) -> dict[str, str]:
        """The DAG files that could not be imported, with the end of their traceback."""
        errors = self._call("GET", "/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"].strip()[-600:] for error in errors}

    def current_run(self, dag: str) -> str | None:
        """The id of the oldest run that is queued or running, if there is one."""
        states = "&".join(f"state={state}" for state in UNFINISHED)
        runs = self._call("GET", f"/dags/{dag}/dagRuns?{states}&order_by=run_after")["dag_runs"]
        return str(runs[0]["dag_run_id"]) if runs else None

    def runs(self, dag: str) -> list[tuple[str, str]]:
        """The newest runs of a DAG: id and state."""
        path = f"/dags/{dag}/dagRuns?order_by=-run_after&limit=20"
        return [(run["dag_run_id"], run["state"]) for run in self._call("GET", path)["dag_runs"]]

    def trigger(self, dag: str) -> str:
        """Start a run; return its id."""
        run = self._call("POST", f"/dags/{dag}/dagRuns", {"logical_date": None})
        return str(run["dag_run_id"])

    def state(self, dag: str, run: str) -> str:
        """The state of a run: queued, running, success or failed."""
        return str(self._call("GET", f"/dags/{dag}/dagRuns/{run}")["state"])

    def task_states(self, dag: str, run: str) -> list[tuple[str, str]]:
        """The tasks of a run with their states ("none" before they are scheduled).

        A mapped task is named with the index of its instance: `fetch[3]`.
        """
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances?limit=1000"
        return [
            (
                task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""),
                task["state"] or "none",
            )
            for task in self._call("GET", path)["task_instances"]
        ]

    def set_pools(self, pools: Mapping[str, int]) -> None:
        """Create pools, or set their number of slots."""
        for name, slots in pools.items():
            pool = {"pool": name, "slots": slots, "include_deferred": False}
            try:
                self._call("PATCH", f"/pools/{name}?update_mask=slots", pool)
            except HTTPError as error:
                if error.code != HTTPStatus.NOT_FOUND:
                    raise
                self._call("POST", "/pools", {"name": name, "slots": slots})

    def _call(self, method: str, path: str, body: object = None) -> Any:
        if self._token is None:
            self._token = call_json("POST", f"{self._url}/auth/token", self._login)["access_token"]
        return call_json(method, f"{self._url}/api/v2{path}", body, self._token)
