"""The spool's SQLite file: opened, kept in order, and replaced where it is broken.

    spool.sqlite3 ── broken ──▶ spool.sqlite3.broken-<time>, and a new spool.sqlite3 with what could
                                be read of it

Several processes, and threads, have it open at once. Each holds a shared lock on the folder while
it does something; who makes the file, changes its tables or puts it aside holds it alone. Whoever
comes after that finds another file under its name, and goes on with that one.
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
"""How long a transaction waits for another process's."""

_WAIT_S = 120.0

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NOT_OURS = ("no such ", "unsupported file format")

_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""SQLite's errors; the second where its text quotes what damage has made no text."""

T = TypeVar("T")


class SpoolFile:
    """The file ``path``, once it is open.

    Raises:
        SpoolError: from every method, when the disk does not do it (full, read-only, gone, held).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    @property
    def db(self) -> sqlite3.Connection:
        """The connection; for what `run` is given."""
        if self._db is None:
            raise sqlite3.ProgrammingError("the spool is not open")
        return self._db

    def open(self) -> None:
        """Open the file; it is made where it is missing, and replaced where it is broken."""
        with self._sentences():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                damage = None
                try:
                    with self._held(fcntl.LOCK_SH):
                        if self._attach():
                            return
                except _ERRORS as error:
                    damage = self._damage(error)
                with self._held(fcntl.LOCK_EX):
                    self._renew(damage)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close it."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def run(self, deed: Callable[[], T], begin: str) -> T:
        """Do something in a transaction, which is on the disk when this returns.

        It is done by one thread at a time: transactions of two on one connection would be one. When
        it meets damage, or when somebody else did, it is done again with the new file.

        Args:
            begin: how the transaction begins.
        """
        with self._sentences(), self._lock:
            damage = None
            try:
                with self._held(fcntl.LOCK_SH):
                    if self._is_here():
                        return self._transact(deed, begin)
            except _ERRORS as error:
                damage = self._damage(error)
            with self._held(fcntl.LOCK_EX):
                self._renew(damage)
                return self._transact(deed, begin)

    def check(self) -> None:
        """Read all pages, and replace the file where they do not belong together."""

        def look() -> None:
            found = [str(line) for (line,) in self.db.execute("PRAGMA quick_check")]
            # Values are the rows' own affair: their checksums tell.
            if wrong := [line for line in found if line != "ok" and " value in " not in line]:
                raise Broken(wrong[0])

        self.run(look, "BEGIN")

    def _transact(self, deed: Callable[[], T], begin: str) -> T:
        self.db.execute(begin)
        try:
            done = deed()
            self.db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise
        return done

    def _is_here(self) -> bool:
        """Whether the file that is open is still the one of that name."""
        return self._db is not None and self._inode == _inode(self.path)

    def _attach(self) -> bool:
        """Open the file as it is; False where something has to be done to it first."""
        if self._is_no_file() or not self.path.exists():
            return False
        self._connect()
        self._require_log()
        return spool_tables.is_complete(self.db) and not spool_salvage.unsaved(self.db, self.path)

    def _renew(self, damage: Exception | None) -> None:
        """Have a file in order; the lock is held alone."""
        if damage is not None and self._is_here():
            self._put_aside()
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._is_no_file():
            self._put_aside()
        try:
            self._make()
        except _ERRORS as error:
            self._damage(error)
            self._put_aside()
            self.close()
            self._make()

    def _is_no_file(self) -> bool:
        """Whether there is something that SQLite would not open, or whose log it would drop."""
        sides = [self.path.with_name(self.path.name + end) for end in spool_salvage.SIDES]
        if any(side.is_dir() for side in sides):
            return True
        is_empty = not self.path.exists() or (self.path.is_file() and not self.path.stat().st_size)
        return is_empty and any(side.exists() for side in sides)

    def _make(self) -> None:
        """Make the file and what it lacks, and save what broken ones hold."""
        is_new = not self.path.exists()
        try:
            # Answers and tokens are for the pipeline's own user alone.
            self.path.touch(mode=0o600)
            self._connect()
            self._require_log()
            self.db.execute("PRAGMA journal_mode=WAL")
            self._transact(lambda: spool_tables.make(self.db), "BEGIN IMMEDIATE")
        except BaseException:
            if is_new:
                # A disk that took none of it: an empty file would look like a lost one.
                self.close()
                self.path.unlink(missing_ok=True)
            raise
        for broken in spool_salvage.unsaved(self.db, self.path):
            spool_salvage.save(self.db, broken, datetime.now(UTC))

    def _connect(self) -> None:
        self.close()
        self._db = sqlite3.connect(
            self.path, timeout=BUSY_S, check_same_thread=False, isolation_level=None
        )
        # Text that damage has made none is told by its checksum, not by an error.
        self._db.text_factory = lambda text: text.decode(errors="replace")
        self._db.execute("PRAGMA synchronous=FULL")
        # What has left is not saved again from a broken file.
        self._db.execute("PRAGMA secure_delete=ON")
        self._inode = _inode(self.path)

    def _require_log(self) -> None:
        """Raise where the log holds commits that SQLite does not see: it stops at damage."""
        if self._log_goes_on() and self._log_goes_on(settled=True):
            raise Broken("its log is broken")

    def _log_goes_on(self, settled: bool = False) -> bool:
        path = self.path.with_name(f"{self.path.name}-wal")
        if settled:
            # Who was just beginning the log anew has done it by now.
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
        """The error, when it is the file that is broken; raises it when it is full, locked, …"""
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_READONLY:
            # A header that says so is not a disk that does.
            broken = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        elif code == sqlite3.SQLITE_ERROR:
            broken = str(error).startswith(_NOT_OURS)
        else:
            broken = isinstance(error, UnicodeDecodeError) or (code or 0) & 0xFF in _DAMAGE
        if not broken:
            raise error
        return error

    def _put_aside(self) -> None:
        """Rename the file and what belongs to it; its log first, which nothing else may take up.

        Before it is closed: SQLite would move what it sees of the log, and throw away the log.
        """
        aside = spool_salvage.aside(self.path, datetime.now(UTC))
        for end in reversed(spool_salvage.SIDES):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + end).rename(aside.with_name(aside.name + end))

    @contextmanager
    def _held(self, mode: int) -> Iterator[None]:
        """The folder's lock, for a while: who holds it for minutes is frozen."""
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
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (*_ERRORS, OSError) as error:
            raise SpoolError(
                f"The spool {self.path} did not take or give an answer: {error}. Free or mend the"
                " disk; answers that were not kept are asked for again by the next run."
            ) from error


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
