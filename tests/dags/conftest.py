"""An Airflow metadata database, and DAG runs through ``dag.test()`` against a whole platform."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from songswap.local.postgres import Postgres

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Airflow:
    """An Airflow without its services: a metadata database and a home."""

    home: Path
    dsn: str

    def environment(self, platform: Any = None) -> dict[str, str]:
        """What a process of Airflow needs, with the platform's connections and variables."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.dsn,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "SONGSWAP_RETRY_DELAY_S": "0.1",
        }
        return environment | (platform.environment() if platform is not None else {})

    def run(
        self,
        dag: str,
        platform: Any,
        *,
        conf: dict[str, Any] | None = None,
        sources: Path | None = None,
        **more: str,
    ) -> dict[str, Any]:
        """Run a DAG to its end; gives its state, its run's id and the states of its tasks.

        Args:
            dag: its id; of several (``one,other``) the results come by their ids.
            conf: the run's params.
            sources: a folder with another copy of the package to run instead of this one.
            more: environment variables.
        """
        result = self.home / f"{dag}.json"
        result.unlink(missing_ok=True)
        if sources is not None:
            more["PYTHONPATH"] = str(sources)
        script = str(Path(__file__).parent / "run_dag.py")
        done = subprocess.run(  # noqa: S603  (our own script)
            [sys.executable, script, dag, str(result), json.dumps(conf)],
            env=self.environment(platform) | more,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.exists(), done.stdout[-3000:] + done.stderr[-3000:]
        told: dict[str, Any] = json.loads(result.read_text())
        return {**told, "log": done.stdout + done.stderr}

    def variables(self, prefix: str) -> set[str]:
        """The names of Airflow's variables that begin with ``prefix``."""
        with psycopg.connect(self.dsn.replace("+psycopg2", "")) as connection:
            rows = connection.execute("SELECT key FROM variable WHERE key LIKE %s", [f"{prefix}%"])
            return {row[0] for row in rows}


@pytest.fixture(scope="session")
def airflow(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """A migrated metadata database, one for the whole session."""
    postgres.create_database("airflow")
    dsn = postgres.dsn("airflow").replace("postgresql:", "postgresql+psycopg2:")
    made = Airflow(tmp_path_factory.mktemp("airflow"), dsn)
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=made.environment(),
        check=True,
        capture_output=True,
        timeout=300,
    )
    return made


@pytest.fixture
def broken_copy(tmp_path: Path) -> Callable[..., Path]:
    """Makes copies of the package in which one line is wrong.

    ``broken_copy(("transform/history.py", old, new), …)`` gives the folder to run it from.
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
