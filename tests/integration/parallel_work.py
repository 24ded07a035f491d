"""Work that the tests run in parallel; other processes import it by its name."""

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from songswap.errors import RateLimited

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
_PATIENCE_S = 60


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + _PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} never came")
        time.sleep(0.02)


def meet(folder: Path, unit: int) -> tuple[int, str]:
    """Units 0 and 1 wait for each other; gives the unit and the folder that it was done in."""
    (folder / f"{unit}").touch()
    if unit < 2:
        wait_for(folder / f"{1 - unit}")
    return unit, str(Path.cwd())


def hold(folder: Path, unit: int) -> int:
    """Note that the unit was begun, and where; end it when the file `go` is there."""
    (folder / f"{unit}.{os.getpid()}").write_text(str(Path.cwd()))
    wait_for(folder / "go")
    return unit


def refuse(unit: int) -> int:
    """Raise an error of ours for unit 2, with something that its text does not tell."""
    if unit == 2:
        raise RateLimited("not now", UNTIL)
    return unit


def stumble(unit: int) -> int:
    """Raise an error of Python's."""
    return unit // 0


def lock_up(unit: int) -> int:
    """Raise an error that cannot be pickled."""
    raise ValueError(unit, threading.Lock())


def die(unit: int) -> int:
    """End the process with no word, as one that is killed does."""
    os._exit(unit)
