"""A supervised child process with its own session and log file, stopped with all it started.

Three mechanisms leave nothing of a stack behind:

1. `stop_all` signals each child, then kills what is left of its process group.
2. The kernel signals a child whose parent died, where `setpriv --pdeathsig` exists (Linux).
   Elsewhere the children of a killed stack run until the next start in its folder stops them.
3. Every child inherits `SONGSWAP_STACK=<folder>` and passes it on, so `stop_leftovers` finds
   grandchildren too, and those of a stack that was killed.

Start children from the main thread: the kernel takes the end of the *thread* that started them for
the death of the parent.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from songswap.supervision.errors import StackError

MARK = "SONGSWAP_STACK"
_POLL_S = 0.05


def wait_until(condition: Callable[[], bool], timeout_s: float, poll_s: float = _POLL_S) -> bool:
    """Poll `condition` until it holds; False when it does not within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True


class Process:
    """One child process.

    Args:
        name: its name in messages.
        command: the program and its arguments.
        log: the file to which its output is appended.
        mark: the folder of the stack it belongs to.
        environment: its whole environment, by default just PATH; the mark is added.
        stop_signal: the signal at which it stops by itself.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        mark: Path,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        inherited = {"PATH": os.environ.get("PATH", os.defpath)}
        self._environment = {**(environment or inherited), MARK: str(mark)}
        self._stop_signal = stop_signal
        self._child: psutil.Popen | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group and session."""
        if self._child is None:
            raise StackError(f"{self.name} has not been started.")
        return int(self._child.pid)

    @property
    def running(self) -> bool:
        """True from `start` until the process has ended."""
        if self._child is None:
            return False
        try:
            # Unlike a wait, this leaves the pid reserved until `kill` has signalled the group.
            return self._child.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def start(self) -> None:
        """Start the process; `output` begins with what it writes from here on."""
        self.kill()  # the rest of an earlier start
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._child = psutil.Popen(
                [*_die_with_parent(self._stop_signal), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def output(self) -> str:
        """The output since the process was started."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of `output`, for an error message."""
        return "\n".join(self.output().splitlines()[-lines:])

    def failure(self, sentence: str) -> StackError:
        """An error with the end of the process's log, a sentence, and the exit code."""
        code = self._child.wait() if self._child and not self.running else None
        tail = self.log_tail() or "(nothing was written)"
        return StackError(f"The end of {self.log}:\n{tail}\n{sentence}{_how_it_ended(code)}")

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `ready` returns True.

        Raises:
            StackError: the process ended, or `timeout_s` seconds passed.
        """
        wait_until(lambda: not self.running or ready(), timeout_s)
        if not self.running:
            raise self.failure(f"{self.name} ended while it was starting.")
        if not ready():
            raise self.failure(f"{self.name} was not ready after {timeout_s:g} s.")

    def wait_success(self, timeout_s: float) -> None:
        """Wait until the process has ended with code 0.

        Raises:
            StackError: it ended with another code, or `timeout_s` seconds passed.
        """
        if not wait_until(lambda: not self.running, timeout_s):
            raise self.failure(f"{self.name} had not ended after {timeout_s:g} s.")
        if self._child is None or self._child.wait() != 0:
            raise self.failure(f"{self.name} failed.")

    def stop(self, timeout_s: float = 5) -> None:
        """Stop the process; kill what is left of its group after `timeout_s` seconds."""
        stop_all([self], timeout_s)

    def request_stop(self) -> None:
        """Send the stop signal to the process, which stops its own children."""
        if self._child is not None and self.running:
            self._child.send_signal(self._stop_signal)

    def kill(self) -> None:
        """Kill all that is left of the process's group."""
        if self._child is None:
            return
        # A group of nothing but a zombie cannot be signalled on macOS.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        self._child = None


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return ""
    if code >= 0:
        return f" Its exit code is {code}."
    with contextlib.suppress(ValueError):
        return f" It was ended by {signal.Signals(-code).name}."
    return f" It was ended by signal {-code}."


def stop_all(processes: Sequence[Process], timeout_s: float) -> None:
    """Stop processes concurrently; after about `timeout_s` seconds those that remain are killed."""
    for process in processes:
        process.request_stop()
    wait_until(lambda: not any(process.running for process in processes), timeout_s)
    for process in processes:
        process.kill()


def marked(mark: Path) -> list[int]:
    """The pids of the living processes that belong to the stack of this folder.

    On macOS without those of Apple's own programs, such as shells: it hides their environment.
    """
    return [process.pid for process in _marked(mark)]


def _marked(mark: Path) -> list[psutil.Process]:
    # The environment of other users' processes, and of those that are ending, is None.
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(MARK) == str(mark) and process.pid != os.getpid()
    ]


def stop_leftovers(mark: Path, timeout_s: float = 5) -> int:
    """Stop whatever still runs for the stack of this folder; return how many processes it was.

    SIGINT is PostgreSQL's fast shutdown, and ends every other part.
    """
    found = _marked(mark)
    _signal(found, signal.SIGINT)
    # Each scan finds what they start meanwhile, and ignores zombies, which may stay unreaped.
    if not wait_until(lambda: not marked(mark), timeout_s):
        _signal(_marked(mark), signal.SIGKILL)
        wait_until(lambda: not marked(mark), timeout_s)
    return len(found)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _die_with_parent(number: signal.Signals) -> list[str]:
    """The prefix of a command with which the kernel signals it when its parent dies."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--"] if setpriv else []
