"""Which processes work on a spool: each holds the lock of a file of its own beside it.

    working/<number> ── locked ──▶ its batch is in progress: a drain leaves what is of it
                     └─ free ────▶ its process ended, or was killed: a drain takes what it left

The kernel releases a lock at the end of a process, however it ends.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from songswap.errors import SpoolError


class Work(NamedTuple):
    """A batch in progress: ``holder`` is the number of the process that works on it."""

    holder: int
    run_id: str
    batch: int


@contextmanager
def working(folder: Path, run_id: str, batch: int) -> Iterator[int]:
    """Be at work on a batch for as long as the block lasts; gives the number of this process.

    Raises:
        SpoolError: the disk failed.
    """
    holder = secrets.randbits(63) or 1
    path = folder / f"{holder:016x}"
    try:
        with _alone(folder):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps([run_id, batch]).encode())
    except OSError as error:
        raise SpoolError(
            f"The spool's folder {folder} cannot be written: {error}. Free or repair the disk; the"
            " next run polls this batch's users."
        ) from error
    try:
        yield holder
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def at_work(folder: Path) -> list[Work]:
    """Return the batches in progress; removes the files of processes that ended without.

    Raises:
        SpoolError: the disk failed.
    """
    if not folder.exists():
        return []
    try:
        with _alone(folder):
            found = [work for path in folder.iterdir() if (work := _work(path))]
    except OSError as error:
        raise SpoolError(f"The spool's folder {folder} cannot be read: {error}.") from error
    return found


def _work(path: Path) -> Work | None:
    """The work of a file; None where its process has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Work(int(path.name, 16), *_batch(path))
    else:
        path.unlink(missing_ok=True)
        return None
    finally:
        os.close(descriptor)


def _batch(path: Path) -> tuple[str, int]:
    """The run and the batch in a file; none where it is about to be written, or removed."""
    try:
        run_id, batch = json.loads(path.read_bytes())
    except (ValueError, TypeError, FileNotFoundError):
        return "", -1
    return str(run_id), int(batch)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let nobody else make or look through the files: one is made before it is locked."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
