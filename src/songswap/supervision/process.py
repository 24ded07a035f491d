"""A supervised child process: a session and a log file of its own, stopped with all it started.

Three nets hold, so that nothing of a stack is ever left behind:

1. `stop_all` signals each child's whole process group, and kills what does not obey.
2. The kernel signals a direct child whose parent died, where there is `setpriv --pdeathsig`
   (Linux). Elsewhere what a killed stack left runs on until its folder's next start stops it.
3. Every child carries `SONGSWAP_STACK=<folder>` in its environment and hands it on, so
   `stop_leftovers` finds the grandchildren too, also those of a stack that was killed, and can
   never mistake a recycled pid for one of them.

Children have to be started from the main thread: the kernel takes the end of the *thread* that
started them for the death of the parent.
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
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def wait_until(condition: Callable[[], bool], timeout_s: float, poll_s: float = _POLL_S) -> bool:
    """Polls `condition` until it holds; False when it does not within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True


class Process:
    """One child process.

    Args:
        name: what the operator calls it, for messages.
        command: the program and its arguments.
        log: the file that takes its output, appended.
        mark: the folder whose stack it belongs to.
        environment: its whole environment; the mark is added.
        stop_signal: what asks it to stop.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        mark: Path,
        environment: Mapping[str, str],
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = {**environment, MARK: str(mark)}
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group and session."""
        if self._child is None:
            raise StackError(f"{self.name} has not been started.")
        return self._child.pid

    @property
    def running(self) -> bool:
        """True from `start` until the process has ended."""
        return self._child is not None and _code(self._child) is None

    def start(self) -> None:
        """Starts the process; what it writes from now on is what `output` tells."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._child = subprocess.Popen(  # noqa: S603  (our own programs, no shell)
                [*_die_with_parent(self._stop_signal), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def output(self) -> str:
        """What the process has written since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of `output`, for an error message."""
        return "\n".join(self.output().splitlines()[-lines:])

    def failure(self, what: str) -> StackError:
        """An error with the end of this process's log, and below it what it failed to do."""
        code = _code(self._child) if self._child else None
        tail = self.log_tail() or "(nothing was written)"
        return StackError(f"The end of {self.log}:\n{tail}\n{what}{_how_it_ended(code)}")

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Waits until `ready` answers True.

        Raises:
            StackError: the process ended, or `timeout_s` seconds passed.
        """
        wait_until(lambda: not self.running or ready(), timeout_s)
        if not self.running:
            raise self.failure(f"{self.name} ended while it was starting.")
        if not ready():
            raise self.failure(f"{self.name} was not ready after {timeout_s:g} s.")

    def wait_success(self, timeout_s: float) -> None:
        """Waits until the process has ended with code 0.

        Raises:
            StackError: it ended with another code, or `timeout_s` seconds passed.
        """
        if not wait_until(lambda: not self.running, timeout_s):
            raise self.failure(f"{self.name} had not ended after {timeout_s:g} s.")
        if self._child is None or self._child.returncode != 0:
            raise self.failure(f"{self.name} failed.")

    def stop(self, timeout_s: float = 5) -> None:
        """Stops the process and its group; kills what is still there after `timeout_s` seconds."""
        stop_all([self], timeout_s)

    def ask_to_stop(self) -> None:
        """Sends the stop signal to the process; its children are its own to stop."""
        if self._child is not None and self.running:
            self._child.send_signal(self._stop_signal)

    def kill(self) -> None:
        """Kills all that is left of the process's group."""
        if self._child is None:
            return
        # Nothing is left of it, usually (macOS calls it forbidden to signal what has ended).
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._child = None


def _code(child: subprocess.Popen[bytes]) -> int | None:
    """A child's exit code; None while it runs.

    No signal is handled meanwhile: where its handler raises in the middle of a poll, `Popen` keeps
    its lock, and the stop that the signal asks for waits for the child for ever.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        return child.poll()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return ""
    if code >= 0:
        return f" Its exit code is {code}."
    with contextlib.suppress(ValueError):
        return f" It was ended by {signal.Signals(-code).name}."
    return f" It was ended by signal {-code}."


def stop_all(processes: Sequence[Process], timeout_s: float) -> None:
    """Stops processes side by side; all are gone after about `timeout_s` seconds at most."""
    for process in processes:
        process.ask_to_stop()
    wait_until(lambda: not any(process.running for process in processes), timeout_s)
    for process in processes:
        process.kill()


def marked(mark: Path) -> list[int]:
    """The pids of all living processes that belong to the stack of this folder.

    On macOS without those of Apple's own programs, such as shells: it hides their environment.
    """
    # Another user's processes, and those that are ending, have None for an environment.
    return [
        process.pid
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(MARK) == str(mark) and process.pid != os.getpid()
    ]


def stop_leftovers(mark: Path, timeout_s: float = 5) -> int:
    """Stops whatever still runs for the stack of this folder; says how many processes it was.

    SIGINT asks PostgreSQL for its fast shutdown, and every other part simply to end.
    """
    first = marked(mark)
    _signal(first, signal.SIGINT)
    if not wait_until(lambda: not marked(mark), timeout_s):
        _signal(marked(mark), signal.SIGKILL)
        wait_until(lambda: not marked(mark), timeout_s)
    return len(first)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _die_with_parent(number: signal.Signals) -> list[str]:
    """The words before a command that make the kernel signal it when its parent dies."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--"] if setpriv else []
