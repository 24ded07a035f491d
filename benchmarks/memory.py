"""What processes have of memory, as the kernel tells it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_SAMPLED_S = 0.2
_SAMPLED_TOGETHER_S = 1.0
"""Looking at all processes is no small work."""


class Peak(NamedTuple):
    """The most memory that a process has had, in MB.

    ``resident`` is what the kernel noted as its highest, with all it shares with others; ``own`` is
    of one moment, and has what is shared divided among its holders.
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
    try:
        return [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return []  # it has ended meanwhile


def descendants(pid: int) -> list[int]:
    """A process, what it has started, what these have started, and so on."""
    return [pid, *(one for child in children(pid) for one in descendants(child))]


def memory_of(pid: int) -> Peak:
    """What a process has; nothing where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        shares = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return Peak(0.0, 0.0)  # it has ended meanwhile
    return Peak(_line(status, "VmHWM:"), _line(shares, "Pss:"))


def _line(text: str, name: str) -> float:
    """A line's kB in MB; 0 where a process that has ended has no such line."""
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
