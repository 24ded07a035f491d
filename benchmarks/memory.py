"""What processes have of memory, as the kernel tells it."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

_SAMPLED_S = 0.2
_SAMPLED_TOGETHER_S = 1.0
"""Looking at all processes is no small work."""


class Peak(NamedTuple):
    """The most memory that a process has had, in MB.

    ``resident`` is what the kernel noted as its highest, with all it shares with others; ``own`` is
    of one moment, and has what is shared divided among its holders. Where the kernel notes and
    divides nothing (macOS), ``resident`` is of one moment too, and ``own`` has nothing shared.
    """

    resident: float
    own: float


class Together:
    """The most that processes have had at one moment, in MB: what is shared is counted once."""

    def __init__(self) -> None:
        self.most = 0.0


@contextmanager
def sampled(look: Callable[[], None], every_s: float = _SAMPLED_S) -> Iterator[None]:
    """Look again and again meanwhile."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every_s):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def together(pids: Callable[[], Iterable[int]]) -> Iterator[Together]:
    """The memory of processes, which may come and go meanwhile."""
    seen = Together()

    def look() -> None:
        seen.most = max(seen.most, sum(memory_of(pid).own for pid in set(pids())))

    with sampled(look, _SAMPLED_TOGETHER_S):
        yield seen


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return _children(pid, recursive=False)


def descendants(pid: int) -> list[int]:
    """A process, what it has started, what these have started, and so on."""
    return [pid, *_children(pid, recursive=True)]


def memory_of(pid: int) -> Peak:
    """What a process has; nothing where it has ended."""
    try:
        memory = psutil.Process(pid).memory_full_info()
        highest = _highest(pid)
    except (psutil.Error, OSError):
        return Peak(0.0, 0.0)  # it has ended meanwhile
    # Nobody but Linux divides what is shared.
    own = memory.pss if psutil.LINUX else memory.uss
    return Peak(max(highest, memory.rss) / 1e6, own / 1e6)


def _children(pid: int, recursive: bool) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive)]
    except psutil.Error:
        return []  # it has ended meanwhile


def _highest(pid: int) -> int:
    """The bytes that the kernel noted as a process's highest; 0 where, as on macOS, none does."""
    if not psutil.LINUX:
        return 0
    status = Path(f"/proc/{pid}/status").read_text()
    noted = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(noted[1]) * 1024 if noted else 0
