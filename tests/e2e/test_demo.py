"""The demo as a user runs it: every part real, in processes of their own, stopped by a signal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from songswap.local.airflow_api import UNFINISHED, AirflowApi
from songswap.local.loopback import call
from songswap.local.process import marked, wait_until

DAG = "load_listening_history"


class Demo:
    """A demo's state folder and ports, and the command in it."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder = folder
        parts = ("AIRFLOW", "POSTGRES", "S3", "SIMULATOR")
        self.ports = {part: free_port() for part in parts}
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "SONGSWAP_STATE": str(folder / "state"),
            **{f"SONGSWAP_{part}_PORT": str(port) for part, port in self.ports.items()},
        }

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """Start ``songswap demo`` with no terminal."""
        return subprocess.Popen(  # noqa: S603  (our own command)
            [sys.executable, "-m", "songswap.cli", "demo", "--json", *options],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def history(self) -> set[tuple[str, str, str]]:
        """The plays in the warehouse."""
        password = (self.folder / "state/postgres/password").read_text().strip()
        dsn = f"postgresql://songswap:{password}@127.0.0.1:{self.ports['POSTGRES']}/songswap"
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(
                'SELECT u.spotify_id, to_char(h.played_at, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\'),'
                ' h.track_id FROM "History" h JOIN "Users" u ON u.id = h.user_id'
            ).fetchall()
        assert len(set(rows)) == len(rows)
        return set(rows)

    def reachable(self) -> set[tuple[str, str, str]]:
        """The plays that Spotify could tell when it was asked."""
        url = f"http://127.0.0.1:{self.ports['SIMULATOR']}/admin/ledger"
        plays = [json.loads(line) for line in call("GET", url).splitlines()]
        return {
            (play["user"], play["played_at"], play["track_id"])
            for play in plays
            if play["reachable_when_asked"]
        }

    def airflow(self) -> AirflowApi:
        """Airflow's API, with the generated login."""
        passwords = json.loads((self.folder / "state/airflow/passwords.json").read_text())
        return AirflowApi(f"http://127.0.0.1:{self.ports['AIRFLOW']}", "admin", passwords["admin"])


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The one JSON object on standard output."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    told: dict[str, Any] = json.loads(line)
    return told


@pytest.mark.skipif(sys.platform != "linux", reason="the embedded stack is for Linux")
def test_demo_from_start_to_stop(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """It loads what Spotify can tell, serves Airflow, stops cleanly, and takes up again."""
    demo = Demo(tmp_path, free_port)
    running = demo.start("--users", "12")
    try:
        report = report_of(running)
        assert report["state"] == "success"
        assert report["users"] == 12
        assert report["plays"] == len(demo.history()) > 100
        assert demo.history() == demo.reachable()
        assert report["counts"]["features_asked"] == report["tracks"]

        api = demo.airflow()
        assert api.import_errors() == {}
        assert api.unwell() == []
        again = api.trigger(DAG)
        assert wait_until(lambda: api.state(DAG, again) not in UNFINISHED, 120)
        assert api.state(DAG, again) == "success"
        # The hour's own run may be going by now.
        assert wait_until(lambda: api.current_run(DAG) is None, 120)
        assert demo.history() == demo.reachable()
    finally:
        running.send_signal(signal.SIGTERM)
        output, errors = running.communicate(timeout=20)
    assert running.returncode == 0, errors
    assert output == "", "there is more than one object on standard output"
    assert marked(tmp_path / "state") == []

    # More users, and an S3 that is not there: the state is taken up, and the run is red.
    nowhere = {
        "conn_type": "aws",
        "login": "key",
        "password": "hush",
        "extra": {"endpoint_url": f"http://127.0.0.1:{free_port()}", "region_name": "x"},
    }
    once = demo.start(
        "--once",
        "--users",
        "15",
        AIRFLOW_CONN_SONGSWAP_S3_PUTONLY=json.dumps(nowhere),
        AIRFLOW_VAR_BUCKET_NAME="raw",
    )
    try:
        report = report_of(once)
        output, errors = once.communicate(timeout=30)
    finally:
        once.kill()
    assert once.returncode == 1, errors
    assert report["state"] == "failed"
    assert report["users"] == 15
    assert report["plays"] > 100
    assert "wait in the spool for S3" in report["problem"]
    assert "hush" not in errors + json.dumps(report)
    assert marked(tmp_path / "state") == []
