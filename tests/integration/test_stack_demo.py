"""The demo's refusals, and its end at any moment of its start."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from songswap.dev.stack.demo import DemoOptions, demo
from songswap.dev.stack.ports import Ports
from songswap.dev.stack.state import load_world, locked
from songswap.supervision.process import marked

PARTS = ("airflow", "postgres", "s3", "simulator")


@pytest.fixture
def ports(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, int]:
    """Free ports, set as a user would, in a folder without an .env file."""
    monkeypatch.chdir(tmp_path)
    chosen = {part: free_port() for part in PARTS}
    for part, port in chosen.items():
        monkeypatch.setenv(Ports.variable(part), str(port))
    return chosen


@pytest.mark.usefixtures("ports")
def test_a_second_demo_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, a sentence with the pid of the first on standard error, nothing on the other."""
    with locked(tmp_path / "state"):
        assert demo(DemoOptions(state=tmp_path / "state", json=True)) == 2
    shown = capfd.readouterr()
    assert f"pid {os.getpid()}" in shown.err
    assert shown.out == ""


def test_a_used_port_is_refused(
    ports: dict[str, int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and nothing has been started."""
    with socket.create_server(("127.0.0.1", ports["s3"])):
        assert demo(DemoOptions(state=tmp_path / "state")) == 2
    assert "SONGSWAP_S3_PORT" in capfd.readouterr().err
    assert not (tmp_path / "state" / "postgres").exists()


@pytest.mark.usefixtures("ports")
def test_another_seed_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the sentence says which seed the folder has."""
    (tmp_path / "state").mkdir()
    load_world(tmp_path / "state", seed=1, listeners=5)
    assert demo(DemoOptions(state=tmp_path / "state", seed=2)) == 2
    assert "--seed 1" in capfd.readouterr().err


@pytest.mark.usefixtures("ports")
def test_a_bad_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 for a connection that cannot be read, with its name."""
    monkeypatch.setenv("AIRFLOW_CONN_SONGSWAP_RDS", "{")
    assert demo(DemoOptions(state=tmp_path / "state")) == 2
    assert "AIRFLOW_CONN_SONGSWAP_RDS" in capfd.readouterr().err
    assert not (tmp_path / "state" / "postgres").exists()


@pytest.mark.usefixtures("ports")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_can_be_stopped_while_it_starts(
    tmp_path: Path, number: signal.Signals, in_background: list[str]
) -> None:
    """Everything that runs already is stopped."""
    state = tmp_path / "state"
    code = (
        "import sys; from pathlib import Path; from songswap.dev.stack.demo import *;"
        f"sys.exit(demo(DemoOptions(users=3, state=Path({str(state)!r}))))"
    )
    with subprocess.Popen(  # noqa: S603  (our code)
        [*in_background, sys.executable, "-c", code], stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        shown = ""
        is_sent = False
        while read := os.read(process.stderr.fileno(), 4096):  # a step is there before its end
            shown += read.decode()
            if not is_sent and "metadata tables …" in shown:
                process.send_signal(signal.SIGHUP)  # as under nohup, it outlives its terminal
                process.send_signal(number)
                is_sent = True
        assert process.wait() == 130, shown
    lines = shown.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S", line) for line in lines), shown
    assert "Stopping everything …" in lines[-1]
    assert " done (" in lines[-1]
    assert marked(state) == []
