"""Memory of processes, as the kernel reports it."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

_INTERVAL_S = 0.2
_TOTAL_INTERVAL_S = 1.0
"""Longer, because reading the memory of all processes takes a while."""


class Peak(NamedTuple):
    """The peak memory of a process, in MB.

    ``resident`` is the kernel's highest value, shared pages included; ``own`` is sampled, with
    shared pages divided among their processes. On macOS, which records no highest value and divides
    nothing, ``resident`` is sampled too and ``own`` has no shared pages.
    """

    resident: float
    own: float


class Total:
    """The peak memory of several processes at one moment, in MB; shared pages count once."""

    def __init__(self) -> None:
        self.peak = 0.0


@contextmanager
def sampled(sample: Callable[[], None], every_s: float = _INTERVAL_S) -> Iterator[None]:
    """Take samples in a thread until the block ends."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every_s):
            sample()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def total_memory(pids: Callable[[], Iterable[int]]) -> Iterator[Total]:
    """Sample the memory of processes, which may come and go, until the block ends."""
    total = Total()

    def sample() -> None:
        total.peak = max(total.peak, sum(memory_of(pid).own for pid in set(pids())))

    with sampled(sample, _TOTAL_INTERVAL_S):
        yield total


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return _children(pid, recursive=False)


def descendants(pid: int) -> list[int]:
    """Return a process and everything below it."""
    return [pid, *_children(pid, recursive=True)]


def memory_of(pid: int) -> Peak:
    """Return the memory of a process, 0 if it has ended."""
    try:
        memory = psutil.Process(pid).memory_full_info()
        highest = _highest(pid)
    except (psutil.Error, OSError):
        return Peak(0.0, 0.0)  # it has ended
    # Only Linux divides shared pages.
    own = memory.pss if psutil.LINUX else memory.uss
    return Peak(max(highest, memory.rss) / 1e6, own / 1e6)


def _children(pid: int, recursive: bool) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive)]
    except psutil.Error:
        return []  # it has ended


def _highest(pid: int) -> int:
    """Return the highest memory in bytes that the kernel recorded; 0 on macOS, which does not."""
    if not psutil.LINUX:
        return 0
    status = Path(f"/proc/{pid}/status").read_text()
    noted = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(noted[1]) * 1024 if noted else 0
