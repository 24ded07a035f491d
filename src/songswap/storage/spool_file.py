"""Open the spool's SQLite file, check it, and replace it where it is broken.

    spool.sqlite3 ── broken ──▶ spool.sqlite3.broken-<time>, and a new spool.sqlite3 with the rows
                                that could be read

Several processes, and threads, have it open at once. Each holds a shared lock on the folder during
a transaction, and an exclusive one while it makes the file, changes its tables or renames it.
Others then find another file under the name, and go on with that one.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TypeVar

from songswap.errors import SpoolError
from songswap.storage import spool_salvage, spool_tables
from songswap.storage.spool_pages import read_log
from songswap.storage.spool_tables import Broken

BUSY_S = 60.0
"""How long a transaction waits for that of another process."""

_WAIT_S = 120.0

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NOT_OURS = ("no such ", "unsupported file format")

_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""SQLite's errors; the second where a message quotes damaged text."""

T = TypeVar("T")


class SpoolFile:
    """The file ``path``, once it is open.

    Raises:
        SpoolError: from every method, when the disk fails (full, read-only, gone, locked).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    @property
    def db(self) -> sqlite3.Connection:
        """The connection, for functions that `run` calls."""
        if self._db is None:
            raise sqlite3.ProgrammingError("the spool is not open")
        return self._db

    def open(self) -> None:
        """Open the file; make it where it is missing, and replace it where it is broken."""
        with self._translate_errors():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                damage = None
                try:
                    with self._folder_lock(fcntl.LOCK_SH):
                        if self._attach():
                            return
                except _ERRORS as error:
                    damage = self._damage(error)
                with self._folder_lock(fcntl.LOCK_EX):
                    self._renew(damage)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def run(self, work: Callable[[], T], begin: str) -> T:
        """Call ``work`` in a transaction, which is on the disk when this returns.

        One thread at a time: two transactions on one connection would be one. Where the file is
        damaged, or was replaced by another process, ``work`` is called again on the new file.

        Args:
            begin: the statement that begins the transaction.
        """
        with self._translate_errors(), self._lock:
            damage = None
            try:
                with self._folder_lock(fcntl.LOCK_SH):
                    if self._is_current():
                        return self._transact(work, begin)
            except _ERRORS as error:
                damage = self._damage(error)
            with self._folder_lock(fcntl.LOCK_EX):
                self._renew(damage)
                return self._transact(work, begin)

    def check(self) -> None:
        """Read all pages, and replace the file where they are inconsistent."""

        def quick_check() -> None:
            found = [str(line) for (line,) in self.db.execute("PRAGMA quick_check")]
            # Damaged values are left to the rows' checksums.
            if wrong := [line for line in found if line != "ok" and " value in " not in line]:
                raise Broken(wrong[0])

        self.run(quick_check, "BEGIN")

    def rewrite(self) -> bool:
        """Write the file anew without traces of deleted rows, and empty its log.

        ``secure_delete`` overwrites rows where they are deleted, but not the copies of them that
        are left where SQLite has moved rows between pages; VACUUM leaves none.

        Returns:
            Whether it was done: not while other processes are reading, or replace the file.
        """
        with self._translate_errors(), self._lock, self._folder_lock(fcntl.LOCK_SH):
            if not self._is_current():
                return False
            self.db.execute("VACUUM")
            busy, *_ = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

    def _transact(self, work: Callable[[], T], begin: str) -> T:
        self.db.execute(begin)
        try:
            result = work()
            self.db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise
        return result

    def _is_current(self) -> bool:
        """Return whether the open file is still the one of that name."""
        return self._db is not None and self._inode == _inode(self.path)

    def _attach(self) -> bool:
        """Open the file as it is; return False where it has to be made or changed first."""
        if self._is_no_file() or not self.path.exists():
            return False
        self._connect()
        self._require_log()
        if not spool_tables.is_complete(self.db):
            return False
        return not spool_salvage.unrecovered(self.db, self.path)

    def _renew(self, damage: Exception | None) -> None:
        """Make or replace the file; the caller holds the exclusive lock."""
        if damage is not None and self._is_current():
            self._rename_broken()
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._is_no_file():
            self._rename_broken()
        try:
            self._make()
        except _ERRORS as error:
            self._damage(error)
            self._rename_broken()
            self.close()
            self._make()

    def _is_no_file(self) -> bool:
        """Return whether SQLite could not open the file, or would delete its log."""
        sides = [self.path.with_name(self.path.name + end) for end in spool_salvage.SIDES]
        if any(side.is_dir() for side in sides):
            return True
        is_empty = not self.path.exists() or (self.path.is_file() and not self.path.stat().st_size)
        return is_empty and any(side.exists() for side in sides)

    def _make(self) -> None:
        """Make the file and its missing tables, and recover the rows of broken files."""
        is_new = not self.path.exists()
        try:
            # Responses and tokens are for the pipeline's own user only.
            self.path.touch(mode=0o600)
            self._connect()
            self._require_log()
            self.db.execute("PRAGMA journal_mode=WAL")
            self._transact(lambda: spool_tables.make(self.db), "BEGIN IMMEDIATE")
        except BaseException:
            if is_new:
                # The disk is full or read-only: an empty file would look like a lost spool.
                self.close()
                self.path.unlink(missing_ok=True)
            raise
        for broken in spool_salvage.unrecovered(self.db, self.path):
            spool_salvage.recover(self.db, broken, datetime.now(UTC))

    def _connect(self) -> None:
        self.close()
        self._db = sqlite3.connect(
            self.path, timeout=BUSY_S, check_same_thread=False, isolation_level=None
        )
        # Damaged text is found by its checksum, and must not raise.
        self._db.text_factory = lambda text: text.decode(errors="replace")
        self._db.execute("PRAGMA synchronous=FULL")
        # Deleted rows must not be recovered from a broken file.
        self._db.execute("PRAGMA secure_delete=ON")
        self._inode = _inode(self.path)

    def _require_log(self) -> None:
        """Raise where the log holds commits behind damage, at which SQLite stops reading."""
        if self._has_hidden_commits() and self._has_hidden_commits(after_writers=True):
            raise Broken("its log is broken")

    def _has_hidden_commits(self, after_writers: bool = False) -> bool:
        path = self.path.with_name(f"{self.path.name}-wal")
        if after_writers:
            # A writer that was restarting the log has finished once this gets its lock.
            self.db.execute("BEGIN IMMEDIATE").execute("ROLLBACK")
        log = read_log(path)
        if not log.is_whole:
            return True
        commits = [place for place, frame in enumerate(log.frames, 1) if frame.commits]
        if not commits:
            return False
        busy, seen, _ = self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return not busy and seen < commits[-1] and read_log(path).generation == log.generation

    def _damage(self, error: Exception) -> Exception:
        """Return the error if the file is broken; raise it if the disk is full, locked, …"""
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_READONLY:
            # A damaged header says read-only too, on a disk that is not.
            broken = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        elif code == sqlite3.SQLITE_ERROR:
            broken = str(error).startswith(_NOT_OURS)
        else:
            broken = isinstance(error, UnicodeDecodeError) or (code or 0) & 0xFF in _DAMAGE
        if not broken:
            raise error
        return error

    def _rename_broken(self) -> None:
        """Rename the file and its companions; the log first, so that no new file takes it up.

        Before it is closed: SQLite would move what it can read of the log, and delete the log.
        """
        aside = spool_salvage.broken_path(self.path, datetime.now(UTC))
        for end in reversed(spool_salvage.SIDES):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + end).rename(aside.with_name(aside.name + end))

    @contextmanager
    def _folder_lock(self, mode: int) -> Iterator[None]:
        """Hold the folder's lock; a process that holds it for two minutes is frozen."""
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            ends = time.monotonic() + _WAIT_S
            while True:
                try:
                    fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > ends:
                        raise TimeoutError(
                            "another process has held it for two minutes; end it"
                        ) from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (*_ERRORS, OSError) as error:
            raise SpoolError(
                f"The spool {self.path} cannot be read or written: {error}. Free or repair the"
                " disk; the next run polls the users again whose responses were not stored."
            ) from error


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
