"""Airflow's log files on this machine: the old ones are deleted.

Only files ``….log`` in folders below the folder of logs; a log that is written to is not old.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Deleted:
    """What was deleted; ``problem`` is why a file was not, of the last of ``failed`` ones."""

    files: int = 0
    bytes: int = 0
    folders: int = 0
    failed: int = 0
    problem: str = ""

    def add(self, size: int) -> None:
        """Count a file."""
        self.files += 1
        self.bytes += size

    def fail(self, error: OSError) -> None:
        """Count a file or folder that stays."""
        self.failed += 1
        self.problem = f"{error.filename}: {error.strerror}"


def delete_old(folder: Path, before: float, *, dry_run: bool = False) -> Deleted:
    """Delete the logs that were last written before a time, and the folders that held them.

    Links are not followed. A folder into which something was put since is left, empty or not:
    Airflow may be about to write into it.

    Args:
        folder: of all logs; the files right in it stay, and so does itself.
        before: seconds since 1970.
        dry_run: only count the files.
    """
    deleted = Deleted()
    for entry in _entries(folder, deleted):
        if entry.is_dir(follow_symlinks=False):
            _delete_below(Path(entry.path), before, deleted, dry_run)
    return deleted


def _delete_below(folder: Path, before: float, deleted: Deleted, dry_run: bool) -> None:
    try:
        is_old = folder.stat().st_mtime < before  # to be read first: deleting in it changes it
    except FileNotFoundError:
        return
    for entry in _entries(folder, deleted):
        if entry.is_dir(follow_symlinks=False):
            _delete_below(Path(entry.path), before, deleted, dry_run)
        elif entry.name.endswith(".log") and entry.is_file(follow_symlinks=False):
            _delete_file(entry, before, deleted, dry_run)
    if is_old and not dry_run:
        with suppress(OSError):  # not empty
            folder.rmdir()
            deleted.folders += 1


def _delete_file(entry: os.DirEntry[str], before: float, deleted: Deleted, dry_run: bool) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
        if status.st_mtime < before:
            if not dry_run:
                os.unlink(entry.path)  # noqa: PTH108 - the entry has the path as a text
            deleted.add(status.st_size)
    except FileNotFoundError:  # another machine of the same volume was faster
        pass
    except OSError as error:
        deleted.fail(error)


def _entries(folder: Path, deleted: Deleted) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from list(entries)
    except FileNotFoundError:
        pass
    except OSError as error:
        deleted.fail(error)
