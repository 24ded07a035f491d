"""The demo as a user runs it: every part real, in processes of their own, stopped by a signal.

First from a wheel in a clean environment, then from this clone.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psutil
import psycopg
import pytest
from built_wheel import Wheel
from e2e.standstills import TOKEN, Operator, require_that_standstills_are_noticed
from receivers import HttpService, http_service

from songswap.dev.stack.airflow_api import UNFINISHED, AirflowApi
from songswap.dev.stack.loopback import call, call_json
from songswap.supervision.process import marked, wait_until

# One whole stack at a time is what two cores can run.
pytestmark = pytest.mark.xdist_group("stack")

DAG = "load_listening_history"
DAILY = (
    "erase_due_users",
    "test_discord",
    "test_postgres",
    "test_s3",
    "test_spotipy",
    "test_tables",
    "test_discord_failure_notifications",
    "test_file_utils",
    "test_rds_load_artist",
    "test_rds_load_history",
    "test_rds_load_track",
    "test_rds_load_track_features",
    "test_s3_user_load_history",
)


class Demo:
    """A demo's state folder and ports, and the command in it.

    Args:
        folder: where the command is given, with nothing in it.
        free_port: gives ports.
        installed: the programs of the environment that has the wheel.
    """

    def __init__(self, folder: Path, free_port: Callable[[], int], installed: Path) -> None:
        self.folder = folder / "empty"
        self.folder.mkdir()
        self.state = folder / "state"
        self.log = folder / "log"
        self.installed = str(installed / "songswap")
        parts = ("AIRFLOW", "POSTGRES", "S3", "SIMULATOR")
        self.ports = {part: free_port() for part in parts}
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder / "home"),
            "SONGSWAP_STATE": str(self.state),
            # The hour's own run does not begin between those of a test.
            "SONGSWAP_MINUTE": str((datetime.now(UTC).minute + 50) % 60),
            **{f"SONGSWAP_{part}_PORT": str(port) for part, port in self.ports.items()},
        }

    def connections_of_the_api_server(self) -> set[str]:
        """The variables with connections that it has."""
        home, found = str(self.state / "airflow"), set[str]()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                if environment.get("AIRFLOW_HOME") == home and re.search(
                    "api[-_]server", " ".join(process.cmdline())
                ):
                    found |= environment.keys()
        return {name for name in found if name.startswith(("AIRFLOW_CONN_", "SPOTIFY_"))}

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start ``songswap demo``, the command being the first words, with no terminal.

        What it shows of its start goes into a log."""
        with self.log.open("w") as log:
            return subprocess.Popen(  # noqa: S603  (our own command)
                words,
                cwd=self.folder,
                env=self.environment | environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def addresses(self) -> list[str]:
        """The addresses that it prints once all is there."""
        assert wait_until(lambda: "Ctrl-C stops everything." in self.log.read_text(), 120)
        return re.findall(r"^\S+ +(http://\S+)", self.log.read_text(), re.MULTILINE)

    def history(self) -> set[tuple[str, str, str]]:
        """The plays in the warehouse."""
        password = (self.state / "postgres/password").read_text().strip()
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
            if play["reachable_when_polled"]
        }

    def spotify(self, method: str, what: str, body: object = None) -> Any:
        """What the simulator answers to its admin."""
        url = f"http://127.0.0.1:{self.ports['SIMULATOR']}/admin/{what}"
        return call_json(method, url, body)

    def check_fresh(self) -> tuple[int, str]:
        """What a cron job finds: the exit code, and all that is printed."""
        done = self._command("check --fresh 90m")
        return done.returncode, done.stdout + done.stderr

    def command(self, name: str) -> Any:
        """What ``songswap NAME --json`` prints in a shell that read the demo's environment."""
        done = self._command(f"{name} --json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def shown(self, name: str) -> str:
        """What ``songswap NAME`` prints for people."""
        done = self._command(name)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _command(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  (our own command)
            ["/bin/sh", "-c", f'. ../state/environment; "{self.installed}" {line}'],
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def titles(self) -> list[str]:
        """The titles of the messages that Discord was sent."""
        messages = self.spotify("GET", "discord")
        return [embed["title"] for message in messages for embed in message["embeds"]]

    def task_log(self, dag: str, run: str) -> list[dict[str, Any]]:
        """The lines of the log of a run's ``summarise``."""
        folder = self.state / f"airflow/logs/dag_id={dag}/run_id={run}/task_id=summarise"
        (log,) = folder.iterdir()
        return [json.loads(line) for line in log.read_text().splitlines()]

    def airflow(self) -> AirflowApi:
        """Airflow's API, with the generated login."""
        passwords = json.loads((self.state / "airflow/passwords.json").read_text())
        return AirflowApi(f"http://127.0.0.1:{self.ports['AIRFLOW']}", "admin", passwords["admin"])


def report_of(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    """The one JSON object on standard output."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, log.read_text()
    data: dict[str, Any] = json.loads(line)
    return data


def ended(api: AirflowApi, dag: str) -> bool:
    """True when a DAG has run, and is not running."""
    states = [state for _, state in api.runs(dag)]
    return bool(states) and not set(states) & set(UNFINISHED)


def visit(address: str) -> int:
    """The status of what a browser shows of an address."""
    request = Request(address, headers={"Accept": "text/html,*/*;q=0.8"})  # noqa: S310  (ours)
    with build_opener(ProxyHandler({})).open(request, timeout=60) as response:
        assert response.headers.get_content_type() == "text/html"
        return int(response.status)


@pytest.fixture
def other() -> Iterator[HttpService]:
    """A service that gets messages beside Discord."""
    with http_service() as service:
        yield service


def test_demo_from_start_to_stop(
    tmp_path: Path, free_port: Callable[[], int], wheel: Wheel, other: HttpService
) -> None:
    """It loads what Spotify can tell, serves Airflow, stops cleanly, and takes up again."""
    demo = Demo(tmp_path, free_port, wheel.environment / "bin")
    alerts = {"conn_type": "generic", "password": f"json://{other.address}/"}
    running = demo.start(
        *(demo.installed, "demo", "--json", "--users", "12"),
        AIRFLOW_CONN_SONGSWAP_ALERTS=json.dumps(alerts),
        SONGSWAP_TIME_ZONES="Asia/Tokyo",
        SONGSWAP_HEALTH_TOKEN=TOKEN,
    )
    try:
        report = report_of(running, demo.log)
        assert report["state"] == "success"
        assert report["users"] == 12
        assert report["plays"] == len(demo.history()) > 100
        assert demo.history() == demo.reachable()
        assert report["counts"]["features_requested"] == report["tracks"]

        addresses = demo.addresses()
        assert len(addresses) == 4
        assert {address: visit(address) for address in addresses} == dict.fromkeys(addresses, 200)

        api = demo.airflow()
        assert api.import_errors() == {}
        assert api.unhealthy() == []
        # The daily ones are let run once the first load has ended.
        others = {
            "backfill_data",
            "erase_users",
            "follow_heavy_listeners",
            "import_streaming_history",
            "maintenance",
            "replay_archive",
        }
        assert set(api.dags()) == {DAG, *others, *DAILY}
        # Whoever asks more often takes the cores from what is asked for.
        assert wait_until(lambda: all(ended(api, dag) for dag in DAILY), 300, 1)
        states = {dag: {state for _, state in api.runs(dag)} for dag in DAILY}
        assert states == {dag: {"success"} for dag in DAILY}
        assert demo.spotify("GET", "discord") == [], "a daily test left its message"
        assert demo.history() == demo.reachable()

        known = demo.connections_of_the_api_server()
        assert known == {"AIRFLOW_CONN_SONGSWAP_RDS_READONLY"}, "browsers reach it"
        checks = demo.command("check")
        assert {step["ok"] for steps in checks.values() for step in steps} == {True}
        assert demo.command("status")["plays"] == len(demo.history())
        for name in ("status", "status --all", "grants", "spool list", "spool hosts"):
            assert demo.shown(name)
        assert demo.command("replay")["known"] > 0

        # The api-server says that a run has ended before the dag-processor tells of it.
        demo.spotify("POST", "faults", {"path": "/api/token", "status": 503})
        demo.spotify("POST", "faults", {"path": "/v1/*", "status": 503})
        red = api.trigger(DAG)
        assert wait_until(lambda: bool(demo.titles()), 120), "nobody was told"
        assert api.state(DAG, red) == "failed"
        demo.spotify("DELETE", "faults")
        green = api.trigger(DAG)
        assert wait_until(lambda: len(demo.titles()) > 1, 120), "nobody was told of the recovery"
        assert api.state(DAG, green) == "success"
        assert demo.titles() == [f"🔴 {DAG} failed", f"🟢 {DAG} recovered"]
        assert wait_until(lambda: len(other.requests) > 1, 20), "the other service was not told"
        told = [json.loads(request.body) for request in other.requests]
        assert [message["title"] for message in told] == demo.titles()
        assert re.search(r"^Tokyo: .* JST$", told[0]["message"], re.MULTILINE)
        (embed,) = demo.spotify("GET", "discord")[0]["embeds"]
        assert "Spotify" in embed["description"]
        log = next(field["value"] for field in embed["fields"] if field["name"] == "Log")
        assert f"/dags/{DAG}/runs/" in log
        *_, last_error = [line for line in demo.task_log(DAG, red) if line["level"] == "error"]
        assert last_error["error"] == "RunFailed"
        assert last_error["event"].startswith("Spotify")
        assert "error_detail" not in last_error, "the sentence is followed by a stack"

        require_that_standstills_are_noticed(Operator(demo.state, demo.ports), demo.check_fresh)
        assert demo.history() == demo.reachable()
    finally:
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=20)
    shown = demo.log.read_text()
    assert running.returncode == 0, shown
    steps = [line for line in shown.splitlines() if " …" in line]
    assert len(steps) >= 8
    for line in steps:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ .* … done \(.*\)", line), line
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
        sys.executable,
        *("-m", "songswap.cli.main", "demo", "--json", "--once"),
        "--users",
        "15",
        AIRFLOW_CONN_SONGSWAP_S3_PUTONLY=json.dumps(nowhere),
        AIRFLOW_VAR_BUCKET_NAME="raw",
    )
    try:
        report = report_of(once, demo.log)
        output, _ = once.communicate(timeout=30)
    finally:
        once.kill()
    errors = demo.log.read_text()
    assert once.returncode == 1, errors
    assert report["state"] == "failed"
    assert report["users"] == 15
    assert report["plays"] > 100
    assert "wait in the spool for S3" in report["problem"]
    assert "hush" not in errors + json.dumps(report)
    assert marked(tmp_path / "state") == []
