"""Who works on a spool is known from the kernel's locks, which end with their process."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from songswap.errors import SpoolError
from songswap.storage.spool import Spool
from songswap.storage.spool_workers import Work, at_work, working

WORKING = (
    "import sys; from pathlib import Path; from songswap.storage.spool import Spool\n"
    "with Spool(Path(sys.argv[1])) as spool, spool.working('a run', 7) as holder:\n"
    "    print(holder, flush=True); sys.stdin.read()"
)


def worker(folder: Path) -> subprocess.Popen[str]:
    """A process at work on batch 7, until its input ends."""
    return subprocess.Popen(  # noqa: S603  (our own code)
        [sys.executable, "-c", WORKING, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("end", ["by itself", "killed"])
def test_work_lasts_as_long_as_its_process(end: str, tmp_path: Path) -> None:
    """However it ends; a frozen process is still at work."""
    with worker(tmp_path) as process, Spool(tmp_path) as spool:
        assert process.stdout is not None
        holder = int(process.stdout.readline())
        assert spool.at_work() == [Work(holder, "a run", 7)]
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert spool.at_work() == [Work(holder, "a run", 7)]
        process.send_signal(signal.SIGCONT)
        if end == "killed":
            process.kill()
        process.communicate()
        assert spool.at_work() == []
    assert list((tmp_path / "working").iterdir()) == []


def test_two_may_work_on_one_batch(tmp_path: Path) -> None:
    """Each has a number of its own, and both are seen by many who look at once."""
    with Spool(tmp_path) as spool, spool.working("r", 0) as one, spool.working("r", 0) as other:
        assert one != other
        with ThreadPoolExecutor(8) as threads:
            looks = list(threads.map(lambda _: set(spool.at_work()), range(32)))
        assert looks == [{Work(one, "r", 0), Work(other, "r", 0)}] * 32
    assert at_work(tmp_path / "working") == []


def test_folder_that_cannot_be_made_is_a_spool_error(tmp_path: Path) -> None:
    (tmp_path / "working").write_text("in the way")
    with (
        pytest.raises(SpoolError, match="cannot be written"),
        working(tmp_path / "working", "r", 0),
    ):
        pass
    with pytest.raises(SpoolError, match="cannot be read"):
        at_work(tmp_path / "working")
