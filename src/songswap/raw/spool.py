"""The spool: raw answers on the local disk, from when they came until they are safe elsewhere.

Each answer is written here first, and leaves when it is both archived in S3 and loaded into the
warehouse. So what a run could not archive or load, or had in hand when it was killed, is what the
next run finds here. It is one SQLite file: every method is a transaction that is on the disk
(fsync) when it returns, and several processes of one machine, and their threads, may use it at
once. Workers on several machines each need a folder of their own on a local disk: SQLite's locks
do not hold over a network.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Self

from songswap.errors import SpoolError
from songswap.raw.kept import Answer, Entry, Kept, RotatedToken, pack

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL,
  batch INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  key TEXT NOT NULL,
  observed_ms INTEGER NOT NULL,
  fingerprint BLOB,
  body BLOB NOT NULL,
  archived INTEGER NOT NULL DEFAULT 0,
  loaded INTEGER NOT NULL DEFAULT 0,
  problem TEXT
);
CREATE INDEX IF NOT EXISTS answers_of_batch ON answers (run_id, batch);
CREATE TABLE IF NOT EXISTS tokens (
  user_id INTEGER PRIMARY KEY,
  spent TEXT NOT NULL,
  access_token TEXT NOT NULL,
  refresh_token TEXT NOT NULL,
  expires_ms INTEGER NOT NULL
);
"""

# The disk keeps this much free: without room for its journal the spool could not let answers go.
_KEEP_FREE_BYTES = 64 * 2**20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@contextmanager
def _opening(folder: Path) -> Iterator[None]:
    """One at a time: of two that make a new file a WAL, SQLite refuses one without waiting."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _from_ms(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


class Spool:
    """The spool in ``folder``; use it as a context manager.

    Args:
        folder: is made if it is not there.
        most_bytes: from this size on no more answers are kept; None for as many as the disk takes.

    Raises:
        SpoolError: from every method, when the disk does not do it (full, read-only, gone).
    """

    def __init__(self, folder: Path, most_bytes: int | None = None) -> None:
        self.path = folder / "spool.sqlite3"
        self._most_bytes = most_bytes
        self._lock = Lock()

    def __enter__(self) -> Self:
        with self._alone():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Answers and tokens are for the pipeline's own user alone.
            self.path.touch(mode=0o600)
            self._db = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            with _opening(self.path.parent):
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(_SCHEMA)
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def keep(self, run_id: str, batch: int, answers: Sequence[Answer]) -> list[Kept]:
        """Write ``answers`` to the disk, all or none.

        Raises:
            SpoolError: also when there is no room, see `full`.
        """
        if full := self.full():
            raise full
        packed = [pack(answer.body) for answer in answers]
        kept = []
        with self._alone(), self._db:
            for answer, body in zip(answers, packed, strict=True):
                id_, user_id, key, observed_ms, fingerprint = self._db.execute(
                    "INSERT INTO answers (run_id, batch, user_id, key, observed_ms, fingerprint,"
                    " body) VALUES (?, ?, ?, ?, ?, ?, ?)"
                    " RETURNING id, user_id, key, observed_ms, fingerprint",
                    (
                        run_id,
                        batch,
                        answer.user_id,
                        answer.key,
                        _to_ms(answer.observed_at),
                        answer.fingerprint,
                        body,
                    ),
                ).fetchone()
                kept.append(Kept(id_, user_id, key, _from_ms(observed_ms), fingerprint, body))
        return kept

    def full(self) -> SpoolError | None:
        """Why no more answers are kept; None while there is room."""
        size, free = self.size(), shutil.disk_usage(self.path.parent).free
        if self._most_bytes is not None and size >= self._most_bytes:
            why = f"its {size / 2**20:,.0f} MB are as many as SONGSWAP_SPOOL_MAX_MB allows"
        elif free < _KEEP_FREE_BYTES:
            why = f"its disk has only {free / 2**20:,.0f} MB left"
        else:
            return None
        to_archive, to_load = self.waiting()
        return SpoolError(
            f"The spool {self.path} takes no more answers: {why}. {to_archive} answers wait for S3"
            f" and {to_load} for the warehouse. They stay; bring back what they wait for, or look"
            " at 'songswap spool list'. The next run asks again for the rest."
        )

    def size(self) -> int:
        """The bytes that are in use; what left makes room, although the file stays as large."""
        with self._alone():
            page, pages, free = (
                self._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "page_count", "freelist_count")
            )
        return int(page * (pages - free))

    def entries(self) -> list[Entry]:
        """Everything that waits here, oldest first."""
        with self._alone():
            rows = self._db.execute(
                "SELECT id, run_id, user_id, key, observed_ms, length(body), archived, loaded,"
                " problem FROM answers ORDER BY id"
            ).fetchall()
        return [
            Entry(id_, run_id, user, key, _from_ms(ms), size, bool(archived), bool(loaded), problem)
            for id_, run_id, user, key, ms, size, archived, loaded, problem in rows
        ]

    def find(self, id_: int) -> Kept:
        """One answer, by its id.

        Raises:
            SpoolError: it is not here.
        """
        if found := self._answers("id = ?", (id_,)):
            return found[0]
        raise SpoolError(f"The spool {self.path} has no answer {id_}: it left, or never was there.")

    def drop(self, ids: Iterable[int]) -> None:
        """Delete answers for good, wherever they are or are not by then."""
        with self._alone(), self._db:
            self._db.executemany("DELETE FROM answers WHERE id = ?", [(id_,) for id_ in ids])

    def users_of(self, run_id: str, batch: int) -> set[int]:
        """The users whose answer of this batch is here already."""
        with self._alone():
            rows = self._db.execute(
                "SELECT user_id FROM answers WHERE run_id = ? AND batch = ?", (run_id, batch)
            )
            return {row[0] for row in rows}

    def not_archived(self, after: int, limit: int) -> list[Kept]:
        """Up to ``limit`` answers that wait for S3, oldest first, with an id > ``after``."""
        return self._answers("NOT archived AND id > ? ORDER BY id LIMIT ?", (after, limit))

    def not_loaded(self, after: int, limit: int) -> list[Kept]:
        """The same of answers that wait for the warehouse."""
        return self._answers("NOT loaded AND id > ? ORDER BY id LIMIT ?", (after, limit))

    def batch(self, run_id: str, batch: int) -> list[Kept]:
        """The answers of a batch that wait for the warehouse."""
        return self._answers("NOT loaded AND run_id = ? AND batch = ? ORDER BY id", (run_id, batch))

    def archived(self, keys: Mapping[int, str]) -> None:
        """Note under which keys answers, by their ids, are in S3; the loaded ones leave."""
        with self._alone(), self._db:
            self._db.executemany(
                "UPDATE answers SET archived = 1, key = ?, problem = NULL WHERE id = ?",
                [(key, id_) for id_, key in keys.items()],
            )
            self._drop_done(keys)

    def loaded(self, ids: Sequence[int]) -> None:
        """Note that these answers are in the warehouse; the archived ones leave."""
        with self._alone(), self._db:
            self._db.executemany(
                "UPDATE answers SET loaded = 1 WHERE id = ?", [(id_,) for id_ in ids]
            )
            self._drop_done(ids)

    def failed(self, problems: Mapping[int, str]) -> None:
        """Note why answers, by their ids, could not leave."""
        with self._alone(), self._db:
            self._db.executemany(
                "UPDATE answers SET problem = ? WHERE id = ?",
                [(problem, id_) for id_, problem in problems.items()],
            )

    def waiting(self) -> tuple[int, int]:
        """How many answers wait for S3, and how many for the warehouse."""
        with self._alone():
            row = self._db.execute(
                "SELECT count(*) FILTER (WHERE NOT archived), count(*) FILTER (WHERE NOT loaded)"
                " FROM answers"
            ).fetchone()
        return row[0], row[1]

    def last_problem(self) -> str | None:
        """Why the answer that was tried last could not leave."""
        with self._alone():
            row = self._db.execute(
                "SELECT problem FROM answers WHERE problem IS NOT NULL ORDER BY id DESC LIMIT 1"
            ).fetchone()
        return row[0] if row else None

    def keep_tokens(self, tokens: Iterable[RotatedToken]) -> None:
        """Keep tokens that must not be lost: the ones that they replace may be worthless now."""
        rows = [(*one[:-1], _to_ms(one.expires_at)) for one in tokens]
        if rows:
            with self._alone(), self._db:
                self._db.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?)", rows)

    def tokens(self) -> list[RotatedToken]:
        """The tokens that are kept here."""
        with self._alone():
            rows = self._db.execute("SELECT * FROM tokens ORDER BY user_id").fetchall()
        return [
            RotatedToken(user_id, spent, access, refresh, _from_ms(expires_ms))
            for user_id, spent, access, refresh, expires_ms in rows
        ]

    def drop_tokens(self, tokens: Iterable[RotatedToken]) -> None:
        """Forget tokens that the warehouse has now."""
        rows = [(one.user_id, one.access_token) for one in tokens]
        if rows:
            with self._alone(), self._db:
                self._db.executemany(
                    "DELETE FROM tokens WHERE user_id = ? AND access_token = ?", rows
                )

    def _answers(self, where: str, parameters: tuple[object, ...]) -> list[Kept]:
        columns = "id, user_id, key, observed_ms, fingerprint, body"
        query = f"SELECT {columns} FROM answers WHERE {where}"  # noqa: S608 - a condition from above
        with self._alone():
            rows = self._db.execute(query, parameters).fetchall()
        return [
            Kept(id_, user_id, key, _from_ms(observed_ms), fingerprint, body)
            for id_, user_id, key, observed_ms, fingerprint, body in rows
        ]

    def _drop_done(self, ids: Iterable[int]) -> None:
        self._db.executemany(
            "DELETE FROM answers WHERE id = ? AND archived AND loaded", [(id_,) for id_ in ids]
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread at a time: transactions of two threads on one connection would be one."""
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(
                f"The spool {self.path} did not take or give an answer: {error}. Free or mend the"
                " disk; answers that were not kept are asked for again by the next run."
            ) from error
