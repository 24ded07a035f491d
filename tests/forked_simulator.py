"""Simulators for the tests, each forked from one process that has imported what they need.

A fork takes a few milliseconds, a new interpreter 0.6 s of CPU, hundreds of times in a suite. It
runs the command with its options.
"""

import multiprocessing
import os
import sys
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

import typer

from songswap.dev.simulator.command import simulator
from songswap.dev.stack.simulator import Simulator
from songswap.supervision.errors import StackError
from songswap.supervision.process import wait_until

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "songswap.dev.stack.simulator",
        "songswap.dev.simulator.command",
        "songswap.dev.simulator.server",
    ]
)


class ForkedSimulator(Simulator):
    """A `Simulator` whose process is a fork.

    Args:
        folder: The folder of the log; created if missing.
        port: The TCP port; 0 takes a free one.
        options: Further options of the command.
    """

    def __init__(self, folder: Path, port: int, options: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "simulator.log"
        self._arguments = ["simulator", "--port", str(port), *options]
        self._fork: BaseProcess | None = None

    def start(self, timeout_s: float = 30) -> None:
        """Start the simulator and wait until it listens.

        Raises:
            StackError: It did not start; the message ends with its log.
        """
        self._log.write_bytes(b"")
        self._fork = _FORKS.Process(target=_run, args=(self._arguments, self._log), daemon=True)
        self._fork.start()
        is_alive = self._fork.is_alive
        wait_until(lambda: "\n" in self._log.read_text() or not is_alive(), timeout_s, 0.01)
        output = self._log.read_text()
        if not output.startswith("http://"):
            raise StackError(f"The simulator did not start: {output}")
        self.url = output.split()[0].rstrip("/")

    def stop(self, timeout_s: float = 5) -> None:
        """Stop the simulator, and kill it if it has not ended by the timeout."""
        if self._fork is None:
            return
        self._fork.terminate()
        self._fork.join(timeout_s)
        self._fork.kill()
        self._fork.join()
        self._fork = None


def _run(arguments: list[str], log: Path) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = arguments
    typer.run(simulator)


def _end_with(parent: BaseProcess) -> None:
    """End this process with its parent, however the parent ended."""
    parent.join()
    os._exit(1)
