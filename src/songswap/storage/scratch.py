"""Folders for unpacked exports, which nobody else can read and which are removed after a crash.

The system locks each for as long as its process lives: a folder without a lock was left by a
process that was killed, and is removed when the next one is made.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from songswap.errors import SettingsError

PREFIX = "songswap-import-"


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder in TMPDIR, and remove it with its content in the end.

    Raises:
        SettingsError: none can be made there.
    """
    try:
        remove_abandoned()
        folder, lock = _locked_folder()
    except OSError as error:
        raise SettingsError(
            f"No folder can be made to unpack an export ({error.strerror or error})."
            " Set TMPDIR to a folder that may be written, on a disk with room for the largest"
            " export. Nothing was imported."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_abandoned() -> None:
    """Remove the folders in TMPDIR whose processes are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # Another user's cannot be opened, and one that is gone was removed by another process.
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # Before it is locked, another process may take it for abandoned: then make another.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            with suppress(FileNotFoundError, BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(folder.stat(), os.fstat(lock)):
                    return folder, lock
            os.close(lock)
