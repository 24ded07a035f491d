"""Work that the tests run in parallel; other processes import it by its name."""

import os
import threading
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from songswap.errors import RateLimited

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
_PATIENCE_S = 60


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    wait_for_one(path.parent, path.name)


def wait_for_one(folder: Path, pattern: str) -> None:
    """Wait until a file of such a name is there."""
    deadline = time.monotonic() + _PATIENCE_S
    while not any(folder.glob(pattern)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{folder / pattern} never came")
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


def refuse_beside(folder: Path, unit: int) -> int:
    """Raise an error of ours for unit 1 once unit 0 is in progress, which never ends by itself."""
    (folder / f"{unit}.{os.getpid()}").touch()
    if unit == 1:
        wait_for_one(folder, "0.*")
        raise RateLimited("not now", UNTIL)
    return hold(folder, unit)


def count(folder: Path, unit: int) -> int:
    """Count the units in progress, this one too."""
    own = folder / str(unit)
    own.touch()
    time.sleep(0.2)  # others have time to begin
    found = len(list(folder.iterdir()))
    own.unlink()
    return found


def stumble(unit: int) -> int:
    """Raise an error of Python's."""
    return unit // 0


def lock_up(unit: int) -> int:
    """Raise an error that cannot be pickled."""
    raise ValueError(unit, threading.Lock())


def die(unit: int) -> int:
    """End the process with no word, as one that is killed does."""
    os._exit(unit)


def file_of(module: str) -> str:
    """Return from where a module is imported."""
    return str(import_module(module).__file__)
