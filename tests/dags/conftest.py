"""An Airflow metadata database, and DAG runs through ``dag.test()`` against a whole platform."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import psycopg
import pytest

from songswap.dev.stack.postgres import Postgres

REPOSITORY = Path(__file__).parents[2]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one worker: each worker would migrate a database and import Airflow."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("dags"))


class ForkServer:
    """A process that runs scripts in forks of itself, see `fork_runs.py`.

    Args:
        environment: of Airflow itself.
        log: a file for its own output.
    """

    LONGEST_S = 300

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        reader, writer = os.pipe()
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  (our own script)
                [sys.executable, str(Path(__file__).parent / "fork_runs.py"), str(writer)],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[writer],
                start_new_session=True,
            )
        os.close(writer)
        self._ends = os.fdopen(reader)

    def run(self, run: dict[str, Any]) -> int | None:
        """Wait for the end of a run, and return its exit code; None if it took too long."""
        watchdog = Timer(self.LONGEST_S, os.killpg, (self._process.pid, signal.SIGKILL))
        watchdog.start()
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(run).encode() + b"\n")
            self._process.stdin.flush()
            ended = self._ends.readline()
            return int(ended) if ended else None
        finally:
            watchdog.cancel()

    def stop(self) -> str:
        """End the process, and a run that is in progress; return what it has logged."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._ends.close()
        return self._log.read_text()


class Forks:
    """The processes that run scripts: one for the first environment, and one for the last other.

    Args:
        folder: for their logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[tuple[dict[str, str], ForkServer]] = []

    def run(self, run: dict[str, Any], environment: dict[str, str]) -> int:
        """Wait for the end of a run, and return its exit code.

        Args:
            run: the fields of `fork_runs.Run`.
            environment: of Airflow itself; another one imports Airflow again.
        """
        server = self._server(environment)
        code = server.run(run)
        if code is None:
            self._servers = [each for each in self._servers if each[1] is not server]
            log = server.stop()[-3000:]
            pytest.fail(f"the run failed, or did not end within {server.LONGEST_S} s: {log}")
        return code

    def stop(self) -> None:
        """End all processes."""
        while self._servers:
            self._servers.pop()[1].stop()

    def _server(self, environment: dict[str, str]) -> ForkServer:
        for known, server in self._servers:
            if known == environment:
                return server
        if len(self._servers) == 2:
            self._servers.pop()[1].stop()
        server = ForkServer(environment, self._folder / f"{len(self._servers)}.log")
        self._servers.append((environment, server))
        return server


@dataclass(frozen=True)
class Airflow:
    """An Airflow without its services: a metadata database and a home.

    Processes of ``beside`` work while those of ``forks`` do.
    """

    home: Path
    dsn: str
    forks: Forks
    beside: Forks

    def environment(self, platform: Any = None) -> dict[str, str]:
        """Return the variables of a process of Airflow, with the platform's connections."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(REPOSITORY / "src"),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            # A paused DAG is one that the other tells of.
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.dsn,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "SONGSWAP_RETRY_DELAY_S": "0.1",
        }
        return environment | (platform.environment() if platform is not None else {})

    def call(
        self,
        script: str,
        *arguments: str,
        environment: dict[str, str] | None = None,
        beside: bool = False,
    ) -> str:
        """Run a script of this folder in a process of Airflow, which must succeed.

        Args:
            script: its name; with "-c", the argument is code.
            arguments: of its ``main``.
            environment: all its variables, if not those without a platform.
            beside: whether a DAG runs at the same time.

        Returns:
            Its output.
        """
        output = self.home / f"output-{script.strip('-')}.txt"
        run = {
            "script": script,
            "arguments": arguments,
            "environment": environment or self.environment(),
            "output": str(output),
            "sources": None,
        }
        forks = self.beside if beside else self.forks
        code = forks.run(run, self.environment())
        text = output.read_text(errors="replace")
        assert code == 0, text[-6000:]
        return text

    def last_line(self, code: str) -> str:
        """Run code in the repository, in a process of Airflow; return its last line of output."""
        return self.call("-c", code).strip().splitlines()[-1]

    def run(
        self,
        dag: str,
        platform: Any,
        *,
        conf: dict[str, Any] | None = None,
        sources: Path | None = None,
        at: str = "",
        **more: str,
    ) -> dict[str, Any]:
        """Run a DAG to its end; return the run's state and id, its tasks' states, and the log.

        Args:
            dag: its id; with several (``one,other``), the results are by id.
            conf: the run's params.
            sources: a folder with another copy of the package to run.
            at: the time of the run, if not now; one of the same time before is run again.
            more: environment variables.
        """
        result, output = self.home / "result.json", self.home / "output.txt"
        result.unlink(missing_ok=True)
        run = {
            "script": "run_dag",
            "arguments": [dag, str(result), json.dumps(conf), at],
            "environment": self.environment(platform) | more,
            "output": str(output),
            "sources": sources and str(sources),
        }
        # Airflow reads its settings when it is imported, but for those that a fork reads itself.
        own = {
            name: value
            for name, value in more.items()
            if name.startswith("AIRFLOW__")
            and not name.startswith(("AIRFLOW__METRICS__", "AIRFLOW__CORE__DAGS_FOLDER"))
        }
        self.forks.run(run, self.environment() | own)
        log = output.read_text(errors="replace")
        assert result.exists(), log[-6000:]
        results: dict[str, Any] = json.loads(result.read_text())
        return {**results, "log": log}

    def variables(self, prefix: str) -> set[str]:
        """Return the names of Airflow's variables that begin with ``prefix``."""
        with psycopg.connect(self.dsn.replace("+psycopg2", "")) as connection:
            rows = connection.execute("SELECT key FROM variable WHERE key LIKE %s", [f"{prefix}%"])
            return {row[0] for row in rows}


@pytest.fixture(scope="session")
def airflow(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A migrated metadata database, one for the whole session."""
    postgres.create_database("airflow")
    dsn = postgres.dsn("airflow").replace("postgresql:", "postgresql+psycopg2:")
    home = tmp_path_factory.mktemp("airflow")
    folders = [home / "forks", home / "forks-beside"]
    for folder in folders:
        folder.mkdir()
    made = Airflow(home, dsn, *map(Forks, folders))
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=made.environment(),
        check=True,
        capture_output=True,
        timeout=300,
    )
    yield made
    made.forks.stop()
    made.beside.stop()


@pytest.fixture
def broken_copy(tmp_path: Path) -> Callable[..., Path]:
    """Copy the package with wrong lines, and return the folder to run it from.

    ``broken_copy(("transform/recent_plays.py", old, new), …)``
    """

    def make(*changes: tuple[str, str, str]) -> Path:
        copy = tmp_path / f"broken-{len(list(tmp_path.glob('broken-*')))}"
        shutil.copytree(REPOSITORY / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        for file, old, new in changes:
            path = copy / "songswap" / file
            text = path.read_text()
            assert text.count(old) == 1, f"{file} has {text.count(old)} times: {old}"
            path.write_text(text.replace(old, new))
        return copy

    return make
