"""The deployment as its operator works it: `docker compose` in the folder, and what can be seen."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from containers.engine import Docker
from containers.site import ADMIN

from songswap.dev.stack.airflow_api import UNFINISHED, AirflowApi
from songswap.dev.stack.loopback import HTTPError, call_json
from songswap.supervision.errors import StackError
from songswap.supervision.process import wait_until

if TYPE_CHECKING:
    from containers.figures import Watch

LOAD = "load_listening_history"
ENDS_BY_ITSELF = ("airflow-init",)
UNCHECKED = ("songswap-drain",)
"""Without a health check: it reports to the warehouse."""
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


class Deployment:
    """One deployment.

    Args:
        folder: with docker-compose.yaml and .env.
        settings: what stands in .env.
        note: is told what takes time.
    """

    def __init__(
        self, docker: Docker, folder: Path, settings: dict[str, str], note: Callable[[str], None]
    ) -> None:
        self.docker = docker
        self.folder = folder
        self.settings = settings
        self.note = note
        self.seconds: dict[str, float] = {}
        self.stand_ins: list[str] = []
        self.watch: Watch
        self.url = f"http://127.0.0.1:{settings['SONGSWAP_PORT']}"
        self.api = Api(self.url, ADMIN, settings["SONGSWAP_ADMIN_PASSWORD"])
        # A simulator that was started again does not know what it was asked before.
        self.ledger_is_whole = True

    def compose(
        self,
        *arguments: str,
        data: bytes | None = None,
        check: bool = True,
        timeout_s: float = 1200,
    ) -> str:
        """What `docker compose` with these arguments says on standard output.

        Raises:
            StackError: it failed.
        """
        done = self.docker.run(
            "compose",
            *arguments,
            cwd=self.folder,
            data=data,
            check=check,
            timeout_s=timeout_s,
        )
        return done.stdout

    def shell(self, command: str) -> str:
        """What a line of docs/deployment.md says, run in the folder.

        Raises:
            StackError: it failed.
        """
        done = subprocess.run(  # noqa: S602  (a line of our own documentation)
            command,
            shell=True,
            cwd=self.folder,
            env=dict(self.docker.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        if done.returncode:
            said = f"{done.stdout}{done.stderr}"[-4000:]
            raise StackError(f"{command} failed with {done.returncode}:\n{said}")
        return done.stdout

    def take_down(self) -> None:
        """Remove all of it, data too; on an engine that is not ours, the built images as well."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "20")
        if not self.docker.own:
            built = self.compose("--profile", "*", "config", "--images").split()
            mine = {name for name in built if name.startswith("songswap-")}
            self.docker.run("image", "rm", *mine, check=False)

    @contextmanager
    def measured(self, what: str) -> Iterator[None]:
        """Note how long something takes."""
        start = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - start
        self.note(f"{what}: {self.seconds[what]:.0f} s")

    def login(self, password: str) -> int:
        """The status of the admin's login with a password."""
        try:
            call_json("POST", f"{self.url}/auth/token", {"username": ADMIN, "password": password})
        except HTTPError as error:
            return error.code
        return 200

    # --- containers

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """The containers there are, ended ones too, as `docker compose ps` tells them."""
        output = self.compose("ps", "--all", "--no-trunc", "--format", "json", *services)
        return [json.loads(line) for line in output.splitlines() if line.strip()]

    def ids(self) -> dict[str, str]:
        """The id of each container, by name."""
        return {container["Name"]: container["ID"] for container in self.containers()}

    def unwell(self) -> list[str]:
        """The containers that are not as they should be, with what they are."""
        return [
            f"{found['Name']} {found['State']} {found['Health']} {found['ExitCode']}"
            for found in self.containers()
            if not _is_well(found)
        ]

    def wait_well(self, timeout_s: float = 300) -> None:
        """Wait until all containers are healthy."""
        assert wait_until(lambda: not self.unwell(), timeout_s, 2), self._trouble(self.unwell())

    def restart(self, service: str) -> None:
        """Restart a service, and wait until it is healthy again."""
        self.compose("restart", service)

        def healthy() -> bool:
            return all(container["Health"] == "healthy" for container in self.containers(service))

        assert wait_until(healthy, 240, 1), self._trouble([service])

    def kill(self, container: str) -> None:
        """Kill a container as the kernel does it, with SIGKILL from outside: `docker kill` would
        keep Docker from starting it again."""
        output = self.docker.run("inspect", "--format", "{{.State.Pid}}", container)
        os.kill(int(output.stdout), signal.SIGKILL)

    def logs(self) -> str:
        """What all containers have logged, and all tasks."""
        output = self.compose("logs", "--no-color", "--no-log-prefix")
        search = "find /opt/airflow/logs -type f -exec cat {} +"
        return output + self.compose("exec", "-T", "airflow-worker", "sh", "-c", search)

    # --- runs

    def wait_api(self, timeout_s: float = 240) -> None:
        """Wait until Airflow's API answers, and says that all its parts are well."""
        assert wait_until(lambda: not self.api.unhealthy(), timeout_s, 1), self._trouble("API")

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
        assert self.api.state(LOAD, run) == "success", self._trouble(states)
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

    def _trouble(self, what: object) -> str:
        tail = self.compose("logs", "--no-color", "--tail", "25", check=False)
        return f"{what}\n{_without_escapes(tail)[-8000:]}"


def _is_well(container: dict[str, Any]) -> bool:
    """Whether a container, as `docker compose ps` tells it, is as it should be."""
    if container["Service"] in ENDS_BY_ITSELF:
        return (container["State"], container["ExitCode"]) == ("exited", 0)
    if container["Service"] in UNCHECKED:
        return bool(container["State"] == "running")
    return bool(container["Health"] == "healthy")


def _without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
