"""Supervised processes: whatever they do, nothing of them is left."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pytest

from songswap.supervision.errors import StackError
from songswap.supervision.process import Process, marked, stop_all, stop_leftovers, wait_until

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
# A grandchild that leaves the group and the session of its parent, as Airflow's tasks do.
RUNAWAY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""


def python(folder: Path, code: str, name: str = "child") -> Process:
    """A process of ours that runs some code."""
    return Process(
        name,
        [sys.executable, "-c", code],
        log=folder / f"{name}.log",
        mark=folder,
        environment=dict(os.environ),
    )


def start(process: Process) -> None:
    """Starts a process and waits until it says that it is up."""
    process.start()
    process.wait_ready(lambda: "up" in process.output(), 60)


def test_stubborn_processes_are_killed_side_by_side(tmp_path: Path) -> None:
    """Those that ignore SIGTERM share one deadline, after which they are killed."""
    processes = [python(tmp_path, STUBBORN, f"child{number}") for number in range(3)]
    for process in processes:
        start(process)
    stop_all(processes, timeout_s=0.2)
    assert not any(process.running for process in processes)


def test_an_early_end_shows_the_log(tmp_path: Path) -> None:
    """Who ends while it should become ready is reported: its last words, then what they caused."""
    process = python(tmp_path, "print('no such table'); raise SystemExit(3)")
    process.start()
    with pytest.raises(StackError, match=r"no such table\n.*was starting\. Its exit code is 3\.$"):
        process.wait_ready(lambda: False, 20)
    process.stop()


def test_a_kill_is_named(tmp_path: Path) -> None:
    """By its signal, also where nothing was written."""
    process = python(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    process.start()
    with pytest.raises(StackError, match=r"nothing was written(.|\n)*ended by SIGKILL\.$"):
        process.wait_ready(lambda: False, 20)
    process.stop()


def test_success_is_waited_for(tmp_path: Path) -> None:
    """A process that has to end well may, and one that ends badly is an error."""
    good, bad = python(tmp_path, "pass", "good"), python(tmp_path, "raise SystemExit(1)", "bad")
    good.start()
    bad.start()
    good.wait_success(60)
    with pytest.raises(StackError, match="bad failed"):
        bad.wait_success(60)
    stop_all([good, bad], 1)


def test_only_what_this_start_wrote_is_shown(tmp_path: Path) -> None:
    """The log is appended; an error of an earlier start is not taken for one of this."""
    for word in ("earlier", "later"):
        process = python(tmp_path, f"print('{word}')")
        process.start()
        process.wait_success(60)
        process.stop()
    assert process.output() == "later\n"


def test_a_runaway_grandchild_is_found(tmp_path: Path) -> None:
    """A grandchild in a session of its own outlives its parent, and is stopped as a leftover."""
    process = python(tmp_path, RUNAWAY)
    start(process)
    # While a program takes the place of another, its environment cannot be read.
    assert wait_until(lambda: len(marked(tmp_path)) == 2, 60)
    process.stop()
    assert len(marked(tmp_path)) == 1
    assert stop_leftovers(tmp_path) == 1
    assert marked(tmp_path) == []


def test_another_stack_is_left_alone(tmp_path: Path) -> None:
    """Leftovers are those of this folder alone, even if its name begins another's."""
    other = python(tmp_path / "state-2", RUNAWAY)
    start(other)
    try:
        assert stop_leftovers(tmp_path / "state") == 0
        assert other.running
    finally:
        other.stop()
        stop_leftovers(tmp_path / "state-2")


@pytest.mark.skipif(not shutil.which("setpriv"), reason="only Linux' setpriv has a kernel do this")
def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to stop anybody: the kernel does."""
    code = f"""
import os, sys, time
from pathlib import Path
from songswap.supervision.process import Process
folder = Path({str(tmp_path)!r})
code = "import time; time.sleep(600)"
child = Process("child", [sys.executable, "-c", code], log=folder / "child.log", mark=folder,
                environment=dict(os.environ))
child.start()
print("up", flush=True)
time.sleep(600)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:  # noqa: S603  (our code)
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"up\n"
            assert wait_until(lambda: len(marked(tmp_path)) == 1, 60)
        finally:
            parent.kill()
    assert wait_until(lambda: not marked(tmp_path), 60)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files left open
def test_signal_during_a_check_leaves_the_child_stoppable(tmp_path: Path) -> None:
    """At whatever line of the check a signal interrupts it, the child can be stopped."""
    child = python(tmp_path, "import time; time.sleep(600)")
    child.start()
    line = at = 0

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def trace(_: FrameType, event: str, __: Any) -> Any:
        nonlocal line
        line += event == "line"
        if line == at:
            signal.raise_signal(signal.SIGTERM)
        return trace

    before, traced = signal.signal(signal.SIGTERM, stop), sys.gettrace()
    try:
        while line == at:  # the last check was interrupted
            line, at = 0, at + 1
            sys.settrace(trace)
            try:
                assert child.running
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(traced)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert at > 3
    killing = threading.Thread(target=child.kill, daemon=True)
    killing.start()
    killing.join(20)
    assert not killing.is_alive()


def test_an_unreaped_process_is_no_leftover(tmp_path: Path) -> None:
    """A zombie, whose parent does not wait for it, holds up no stop."""
    code = "import subprocess, time; child = subprocess.Popen(['true']); print('up', flush=True)"
    parent = python(tmp_path, code + "; time.sleep(600)")
    start(parent)
    assert wait_until(lambda: len(marked(tmp_path)) == 1, 60)
    assert psutil.Process(parent.pid).children()[0].status() == psutil.STATUS_ZOMBIE
    parent.stop()
