"""Work in processes that SIGKILL ends before a step of a number: the script's side, and the test's.

A script reads numbers, a line each, forks a process for each, and writes how it ended: 0 where the
work had fewer steps, else minus the signal.
"""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def dying_before(number: int) -> Callable[[str], None]:
    """Return what is to be called before each step: it kills this process before one of them."""
    numbers = itertools.count(1)

    def step(_: str = "") -> None:
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def serve(work: Callable[[int], object]) -> None:
    """Do a script's work, for each number that standard input has, in a process of its own."""
    for line in sys.stdin:
        if (process := os.fork()) == 0:
            work(int(line))
            os._exit(0)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


@contextmanager
def killing(script: str, *arguments: str) -> Iterator[Callable[[int], int]]:
    """Start a script that serves; gives how its work ends that is killed before a step."""
    process = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert process.stdin
    assert process.stdout
    numbers, results = process.stdin, process.stdout

    def kill_before(step: int) -> int:
        print(step, file=numbers, flush=True)
        return int(results.readline())

    try:
        yield kill_before
    finally:
        process.communicate()
