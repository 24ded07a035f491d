"""Simulators for the tests, each a fork of one process that has imported all they need.

A process of its own for each is started in 0.6 s of processor, hundreds of times in a suite; a fork
takes a few milliseconds. What it runs is the command, with its options.
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
        folder: holds the log; created when missing.
        port: the TCP port; 0 takes a free one.
        options: more options of the command.
    """

    def __init__(self, folder: Path, port: int, options: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "simulator.log"
        self._words = ["simulator", "--port", str(port), *options]
        self._fork: BaseProcess | None = None

    def start(self, timeout_s: float = 30) -> None:
        """Start the simulator and wait until it listens.

        Raises:
            StackError: it did not start; the text ends with its log.
        """
        self._log.write_bytes(b"")
        self._fork = _FORKS.Process(target=_run, args=(self._words, self._log), daemon=True)
        self._fork.start()
        living = self._fork.is_alive
        wait_until(lambda: "\n" in self._log.read_text() or not living(), timeout_s, 0.01)
        said = self._log.read_text()
        if not said.startswith("http://"):
            raise StackError(f"The simulator did not start: {said}")
        self.url = said.split()[0].rstrip("/")

    def stop(self, timeout_s: float = 5) -> None:
        """Stop the simulator; kill it if it does not obey."""
        if self._fork is None:
            return
        self._fork.terminate()
        self._fork.join(timeout_s)
        self._fork.kill()
        self._fork.join()
        self._fork = None


def _run(words: list[str], log: Path) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = words
    typer.run(simulator)


def _end_with(parent: BaseProcess) -> None:
    """Whatever ends the tests, even a kill, ends their simulators."""
    parent.join()
    os._exit(1)
