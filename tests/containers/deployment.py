"""The deployment with its stand-ins: Airflow's runs, and what the demo's outside world knows."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from containers.engine import Docker
from containers.project import Project
from containers.site import ADMIN

from songswap.dev.stack.airflow_api import UNFINISHED, AirflowApi
from songswap.dev.stack.loopback import HTTPError, call_json
from songswap.supervision.process import wait_until

if TYPE_CHECKING:
    from containers.figures import Watch

LOAD = "load_listening_history"
_SIMULATOR = "http://localhost:8010"


class Api(AirflowApi):
    """Airflow's API, with what only these tests ask."""

    def scheduled(self) -> set[str]:
        """The DAGs that run by a schedule."""
        dags = self._call("GET", "/dags?exclude_stale=true&limit=100")["dags"]
        return {dag["dag_id"] for dag in dags if dag["timetable_summary"]}

    def task_instances(self, dag: str, run: str, task: str) -> list[dict[str, Any]]:
        """The instances of a task of a run, all that is known of them."""
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances?task_id={task}&limit=100"
        instances: list[dict[str, Any]] = self._call("GET", path)["task_instances"]
        return instances


class Deployment(Project):
    """One deployment.

    Args:
        folder: with docker-compose.yaml and .env.
        settings: what stands in .env.
        note: is told what takes time.
    """

    def __init__(
        self, docker: Docker, folder: Path, settings: dict[str, str], note: Callable[[str], None]
    ) -> None:
        super().__init__(docker, folder, note)
        self.settings = settings
        self.stand_ins: list[str] = []
        self.watch: Watch
        self.url = f"http://127.0.0.1:{settings['SONGSWAP_PORT']}"
        self.api = Api(self.url, ADMIN, settings["SONGSWAP_ADMIN_PASSWORD"])
        # A simulator that was started again does not know what it was asked before.
        self.ledger_is_whole = True

    def login(self, password: str) -> int:
        """The status of the admin's login with a password."""
        try:
            call_json("POST", f"{self.url}/auth/token", {"username": ADMIN, "password": password})
        except HTTPError as error:
            return error.code
        return 200

    # --- runs

    def wait_api(self, timeout_s: float = 240) -> None:
        """Wait until Airflow's API answers, and says that all its parts are well."""
        assert wait_until(lambda: not self.api.unhealthy(), timeout_s, 1), self.trouble("API")

    def run(self, timeout_s: float = 600) -> str:
        """Wait for the run of the load that is under way, or start one; it has to become green."""
        run = self.api.current_run(LOAD) or self.api.trigger(LOAD)
        return self.wait_green(run, timeout_s)

    def wait_green(self, run: str, timeout_s: float = 600) -> str:
        """Wait for the end of a run of the load, which has to be green; gives the run."""

        def ended() -> bool:
            return self.api.state(LOAD, run) not in UNFINISHED

        wait_until(ended, timeout_s, 2)
        states = self.api.task_states(LOAD, run)
        assert self.api.state(LOAD, run) == "success", self.trouble(states)
        return run

    def idle(self, timeout_s: float = 600) -> None:
        """Wait until no run of any DAG is under way."""

        def busy() -> list[str]:
            return [dag for dag in self.api.dags() if self.api.current_run(dag)]

        assert wait_until(lambda: not busy(), timeout_s, 3), busy()

    def fetching(self, run: str) -> list[dict[str, Any]]:
        """The fetch tasks of a run that are running."""
        return [task for task in self.fetches(run) if task["state"] == "running" and task["pid"]]

    def fetches(self, run: str) -> list[dict[str, Any]]:
        """The fetch tasks of a run."""
        return self.api.task_instances(LOAD, run, "batch")

    # --- what the demo's outside world knows

    def simulator(self, method: str, path: str, body: object = None) -> str:
        """The simulator's answer to a request of its admin."""
        command = ["curl", "--silent", "--show-error", "--fail", "--request", method]
        if body is not None:
            command += ["--json", json.dumps(body)]
        command.append(f"{_SIMULATOR}/admin/{path}")
        return self.compose("exec", "-T", "demo-simulator", *command)

    def sql(self, query: str) -> list[list[str]]:
        """The rows that the warehouse gives, as texts."""
        words = ("psql", "-U", "songswap", "-d", "songswap", "-At", "-F", "\t", "-c", query)
        output = self.compose("exec", "-T", "demo-warehouse", *words)
        return [line.split("\t") for line in output.splitlines()]

    def schema(self) -> str:
        """The version of the warehouse's schema; up to 0007 its table had another name."""
        tables = "('schema_version', 'alembic_version')"
        (table,) = self.sql(f"SELECT relname FROM pg_class WHERE relname IN {tables}")[0]  # noqa: S608
        return self.sql(f"SELECT version_num FROM songswap.{table}")[0][0]  # noqa: S608

    def history(self) -> Counter[tuple[str, str, str]]:
        """The plays that were loaded: Spotify's user, time, track."""
        moment = """to_char(h.played_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
        rows = self.sql(
            f"SELECT u.spotify_id, {moment}, h.track_id"  # noqa: S608  (our own texts)
            ' FROM "History" h JOIN "Users" u ON u.id = h.user_id'
        )
        return Counter((user, played_at, track) for user, played_at, track in rows)

    def assert_history_is_ledger(self) -> int:
        """Compare what was loaded with what Spotify could tell when it was asked; gives the number
        of plays.

        A simulator that was started again has forgotten what it was asked before: then every play
        that was loaded has to be one that was made, and none may be missing that it was asked for
        since.
        """
        history = self.history()
        lines = self.simulator("GET", "ledger").splitlines()
        ledger = [json.loads(line) for line in lines]
        made = Counter((play["user"], play["played_at"], play["track_id"]) for play in ledger)
        reachable = Counter(
            (play["user"], play["played_at"], play["track_id"])
            for play in ledger
            if play["reachable_when_polled"]
        )
        assert not reachable - history, f"missing: {list((reachable - history).items())[:5]}"
        more = history - (reachable if self.ledger_is_whole else made)
        assert not more, f"too many: {list(more.items())[:5]}"
        return history.total()
