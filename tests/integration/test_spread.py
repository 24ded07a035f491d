"""Work spread over processes: all of it is done, and nobody is left over."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from songswap.local.process import wait_until
from songswap.spread import spread

ENDLESS = """
import os, sys, time
from pathlib import Path
from songswap.spread import spread

def work(unit):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    for _ in spread(work, range(4), 2):
        pass
"""


def divide(number: int, by: int) -> tuple[int, float]:
    """Who did it, and what it is."""
    return os.getpid(), number / by


@pytest.mark.parametrize("processes", [1, 2])
def test_all_is_done(processes: int) -> None:
    """Each unit has its result; with one process it is this one, with more it is others."""
    results = list(spread(partial(divide, by=2), iter(range(50)), processes))
    assert sorted(result for _, result in results) == [number / 2 for number in range(50)]
    assert (os.getpid() in {pid for pid, _ in results}) is (processes == 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_first_error_ends_it(processes: int) -> None:
    """An error of the work is raised as it is."""
    with pytest.raises(ZeroDivisionError):
        list(spread(partial(divide, by=0), range(50), processes))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program whose workers never end by themselves."""
    path = tmp_path / "endless.py"
    path.write_text(ENDLESS)
    return path


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(script: Path, tmp_path: Path, number: int) -> None:
    """When the caller is killed or interrupted, its processes end at once."""
    folder = tmp_path / "pids"
    folder.mkdir()
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL
    ) as parent:
        try:
            assert wait_until(lambda: len(list(folder.iterdir())) == 2, 60, 0.05)
            parent.send_signal(number)
            parent.wait(30)
            workers = [int(path.name) for path in folder.iterdir()]
            assert wait_until(lambda: not any(map(alive, workers)), 30, 0.05)
        finally:
            parent.kill()


def alive(pid: int) -> bool:
    """Whether a process runs still."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
