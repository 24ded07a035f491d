"""Signals: programs stop when they are told to, however they were started."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from factories import MakePlatform

from songswap.supervision.process import marked, wait_until

WAITING = """
import signal, sys
from songswap.supervision.interrupt import own_signals, stoppable
own_signals()
if "terminal" in sys.argv:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
try:
    with stoppable() as came:
        print("up", flush=True)
        while True:
            signal.pause()
except KeyboardInterrupt:
    print(*came, flush=True)
"""
# The exit code of a child is lost where its end is ignored.
CHILD = """
import signal, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from songswap.supervision.interrupt import own_signals
own_signals()
sys.exit(subprocess.run([sys.executable, "-c", "raise SystemExit(7)"]).returncode)
"""
# A child that shows which signals it ignores.
GRANDCHILD = """
import subprocess, sys
from songswap.supervision.interrupt import own_signals
own_signals()
code = "import signal; print([n.name for n in signal.Signals if signal.getsignal(n) == 1])"
subprocess.run([sys.executable, "-c", code])
"""


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - our own programs
        command, stdout=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stops_in_the_foreground(number: signal.Signals) -> None:
    """Each of the three stops a program that a terminal has started."""
    with running([sys.executable, "-c", WAITING, "terminal"]) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.communicate(timeout=60)[0] == f"{int(number)}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_in_the_background(number: signal.Signals, in_background: list[str]) -> None:
    """The end of its terminal does not stop a program there, what is sent on purpose does."""
    with running([*in_background, sys.executable, "-c", WAITING]) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(number)
        assert process.communicate(timeout=60)[0] == f"{int(number)}\n"


def test_child_can_be_interrupted_and_outlives_the_terminal(in_background: list[str]) -> None:
    """Its exit code is known."""
    with running([*in_background, sys.executable, "-c", GRANDCHILD]) as process:
        assert process.communicate(timeout=60)[0] == "['SIGHUP', 'SIGPIPE', 'SIGXFSZ']\n"
    with running([sys.executable, "-c", CHILD]) as process:
        assert process.wait(60) == 7


def test_command_that_waits(
    make_platform: MakePlatform,
    tmp_path: Path,
    free_port: Callable[[], int],
    in_background: list[str],
) -> None:
    """A command of the pipeline is interrupted: exit code 130, and no traceback."""
    platform = make_platform(users=1)
    command = [sys.executable, "-m", "songswap.cli.main", "connect", "--no-browser"]
    environment = {"PATH": os.environ.get("PATH", os.defpath)} | platform.environment()
    options = {"cwd": tmp_path, "env": environment, "stderr": subprocess.STDOUT}
    port = ("--port", str(free_port()))
    with running([*in_background, *command, *port], **options) as process:
        assert process.stdout
        said = next(line for line in process.stdout if line.startswith("http"))
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=60)[0]
        assert (process.returncode, "Traceback" in said) == (130, False), said


def test_sigterm_stops_everything_a_soak_started(tmp_path: Path, in_background: list[str]) -> None:
    folder = tmp_path / "soak"
    command = [sys.executable, "-m", "songswap.dev.soak", "--users", "2", "--keep", str(folder)]
    with running([*in_background, *command], stderr=subprocess.STDOUT) as process:
        assert wait_until(lambda: marked(folder / "s3") != [] or process.poll() is not None, 60)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
        assert process.returncode not in (0, -signal.SIGTERM), said
    assert [marked(folder / part) for part in ("postgres", "s3", "simulator")] == [[], [], []]
