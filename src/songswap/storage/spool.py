"""The spool: raw answers on the local disk, from when they came until they are safe elsewhere.

Each answer is written here first, and leaves when it is both archived in S3 and loaded into the
warehouse. So what a run could not archive or load, or had in hand when it was killed, is what the
next run finds here. It is one SQLite file: every method is a transaction that is on the disk
(fsync) when it returns, and several processes of one machine, and their threads, may use it at
once. Workers on several machines each need a folder of their own on a local disk: SQLite's locks
do not hold over a network.

What the disk damages is not believed: a row whose checksum is another is told as damaged, and goes
nowhere; a file that is broken is put aside, and a new one goes on with what could be read of it.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from songswap.errors import SpoolError
from songswap.models import RotatedToken, Successor
from songswap.storage import spool_rotations, spool_rows, spool_salvage, spool_tables
from songswap.storage.records import Entry, RawResponse, Recovery, SpooledResponse, pack
from songswap.storage.spool_file import SpoolFile
from songswap.storage.spool_rows import DONE
from songswap.storage.spool_tables import Broken

# The disk keeps this much free: without room for its journal the spool could not let answers go.
_KEEP_FREE_BYTES = 64 * 2**20

_INSERT = f"INSERT INTO answers ({spool_rows.ANSWER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_ANSWERS = f"SELECT {spool_rows.ANSWER}, archived, loaded, problem FROM answers"  # noqa: S608
_TOKENS = f"SELECT {spool_rows.ROTATED} FROM rotated_tokens ORDER BY user_id"  # noqa: S608

P = ParamSpec("P")
T = TypeVar("T")


def _transaction(
    begin: str,
) -> Callable[[Callable[Concatenate["Spool", P], T]], Callable[Concatenate["Spool", P], T]]:
    def of(method: Callable[Concatenate["Spool", P], T]) -> Callable[Concatenate["Spool", P], T]:
        @wraps(method)
        def run(self: "Spool", /, *args: P.args, **kwargs: P.kwargs) -> T:
            return self.file.run(lambda: method(self, *args, **kwargs), begin)

        return run

    return of


_reads = _transaction("BEGIN")
"""Have a method read in a transaction of its own, from a file that is in order."""

_writes = _transaction("BEGIN IMMEDIATE")
"""Have a method write all or nothing; it is done again where the file was replaced meanwhile."""


class Spool:
    """The spool in ``folder``; use it as a context manager.

    Args:
        folder: is made if it is not there.
        most_bytes: from this size on no more answers are kept; None for as many as the disk takes.
        remembers: how long rotated tokens are kept after the warehouse has them, see `successors`.

    Raises:
        SpoolError: from every method, when the disk does not do it (full, read-only, gone).
    """

    def __init__(
        self, folder: Path, most_bytes: int | None = None, remembers: timedelta = timedelta()
    ) -> None:
        self.path = folder / "spool.sqlite3"
        self.file = SpoolFile(self.path)
        self._most_bytes = most_bytes
        self._remembers = remembers

    def __enter__(self) -> Self:
        self.file.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def check(self) -> None:
        """Read all of the file: where it is broken, it is replaced as everywhere."""
        self.file.check()

    def keep(
        self, run_id: str, batch: int, answers: Sequence[RawResponse]
    ) -> list[SpooledResponse]:
        """Write ``answers`` to the disk, all or none.

        Raises:
            SpoolError: also when there is no room, see `full`.
        """
        if full := self.full():
            raise full
        return self._keep(run_id, batch, [(one, pack(one.body)) for one in answers])

    @_writes
    def _keep(
        self, run_id: str, batch: int, packed: Sequence[tuple[RawResponse, bytes]]
    ) -> list[SpooledResponse]:
        begin = spool_tables.last_id(self.file.db) + 1
        rows = [
            spool_rows.answer_row(id_, run_id, batch, answer, body)
            for id_, (answer, body) in enumerate(packed, begin)
        ]
        self.file.db.executemany(_INSERT, rows)
        return [spool_rows.kept(row) for row in rows]

    def full(self) -> SpoolError | None:
        """Why no more answers are kept; None while there is room."""
        size, free = self._size_of_answers(), shutil.disk_usage(self.path.parent).free
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

    @_reads
    def size(self) -> int:
        """The bytes that are in use; what left makes room, although the file stays as large."""
        return self._size()

    def _size(self) -> int:
        page, pages, free = (
            self.file.db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return int(page * (pages - free))

    @_reads
    def _size_of_answers(self) -> int:
        """The bytes in use but for rotated tokens: however many these are, they stop no load."""
        return max(0, self._size() - spool_rotations.size(self.file.db))

    @_reads
    def entries(self) -> list[Entry]:
        """Everything that waits here, oldest first; of what is damaged, what it claims."""
        return [_entry(row) for row in self.file.db.execute(f"{_ANSWERS} ORDER BY id")]

    def find(self, id_: int) -> SpooledResponse:
        """One answer, by its id.

        Raises:
            SpoolError: it is not here.
        """
        if found := self._answers("id = ?", (id_,)):
            return found[0]
        raise SpoolError(f"The spool {self.path} has no answer {id_}: it left, or never was there.")

    def drop(self, ids: Iterable[int]) -> None:
        """Delete answers for good, wherever they are or are not by then."""
        self._drop([(id_,) for id_ in ids])

    @_writes
    def _drop(self, rows: Sequence[tuple[int]]) -> None:
        self.file.db.executemany("DELETE FROM answers WHERE id = ?", rows)

    @_reads
    def users_of(self, run_id: str, batch: int) -> set[int]:
        """The users whose answer of this batch is here already, whole."""
        of = (run_id, batch)
        rows = self.file.db.execute(f"{_ANSWERS} WHERE run_id = ? AND batch = ?", of)
        return {row[3] for row in rows if row[1:3] == of and spool_rows.is_whole(row[:9])}

    def not_archived(self, after: int, limit: int) -> list[SpooledResponse]:
        """Up to ``limit`` answers that wait for S3, oldest first, with an id > ``after``."""
        return self._answers("archived IS NOT ? AND id > ?", (DONE, after), limit)

    def not_loaded(self, after: int, limit: int) -> list[SpooledResponse]:
        """The same of answers that wait for the warehouse."""
        return self._answers("loaded IS NOT ? AND id > ?", (DONE, after), limit)

    def batch(self, run_id: str, batch: int) -> list[SpooledResponse]:
        """The answers of a batch that wait for the warehouse."""
        return self._answers("loaded IS NOT ? AND run_id = ? AND batch = ?", (DONE, run_id, batch))

    @_writes
    def archived(self, keys: Mapping[int, str]) -> None:
        """Note under which keys answers, by their ids, are in S3; the loaded ones leave."""
        db = self.file.db
        for id_, key in keys.items():
            self._move(id_, key)
            db.execute("UPDATE answers SET archived = ?, problem = NULL WHERE id = ?", (DONE, id_))
        self._drop_done(keys)

    @_writes
    def loaded(self, ids: Sequence[int]) -> None:
        """Note that these answers are in the warehouse; the archived ones leave."""
        self.file.db.executemany(
            "UPDATE answers SET loaded = ? WHERE id = ?", [(DONE, id_) for id_ in ids]
        )
        self._drop_done(ids)

    @_writes
    def failed(self, problems: Mapping[int, str]) -> None:
        """Note why answers, by their ids, could not leave."""
        self.file.db.executemany(
            "UPDATE answers SET problem = ? WHERE id = ?",
            [(problem.encode(errors="replace").decode(), id_) for id_, problem in problems.items()],
        )

    @_reads
    def waiting(self) -> tuple[int, int]:
        """How many answers wait for S3, and how many for the warehouse."""
        row = self.file.db.execute(
            "SELECT count(*) FILTER (WHERE archived IS NOT :done),"
            " count(*) FILTER (WHERE loaded IS NOT :done) FROM answers",
            {"done": DONE},
        ).fetchone()
        return row[0], row[1]

    @_reads
    def last_problem(self) -> str | None:
        """Why the answer that was tried last could not leave."""
        row = self.file.db.execute(
            "SELECT problem FROM answers WHERE problem IS NOT NULL ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return str(row[0]) if row else None

    def keep_tokens(self, tokens: Iterable[RotatedToken]) -> None:
        """Keep tokens that must not be lost: the ones that they replace may be worthless now.

        Of two of a user, those that were given later stay.
        """
        if given := list(tokens):
            self._keep_tokens(given)

    @_writes
    def _keep_tokens(self, tokens: Sequence[RotatedToken]) -> None:
        spool_tables.keep_tokens(self.file.db, tokens)

    @_reads
    def tokens(self) -> list[RotatedToken]:
        """The tokens that are kept here, whole."""
        rows = self.file.db.execute(_TOKENS)
        return [token for row in rows if (token := spool_rows.token_of(row))]

    @_reads
    def damaged_tokens(self) -> list[int]:
        """The users of tokens that the disk did not keep whole, as far as their rows say."""
        return self._damaged_tokens()

    @_writes
    def drop_damaged_tokens(self) -> None:
        """Forget the tokens that nobody can use any more."""
        self.file.db.executemany(
            "DELETE FROM rotated_tokens WHERE user_id = ?",
            [(user_id,) for user_id in self._damaged_tokens()],
        )

    def drop_tokens(self, tokens: Iterable[RotatedToken], now: datetime) -> None:
        """Have tokens wait no more: the warehouse has them, or newer ones, ``now``."""
        if given := list(tokens):
            self._drop_tokens(given, now)

    @_writes
    def _drop_tokens(self, tokens: Sequence[RotatedToken], now: datetime) -> None:
        self.file.db.executemany(
            "DELETE FROM rotated_tokens WHERE user_id = ? AND access_token = ?",
            [(one.user_id, spool_rows.blob(one.access_token)) for one in tokens],
        )
        if self._remembers:
            spool_rotations.keep(self.file.db, tokens, now)

    @_reads
    def latest_tokens(self, first: int, last: int) -> list[tuple[int, bytes]]:
        """What the warehouse should hold of the users with ids of ``first`` to ``last``.

        The digests of the refresh tokens that rotations ended with, by user id: of each chain one.
        """
        return spool_rotations.latest(self.file.db, first, last)

    @_reads
    def successors(self, held: Iterable[tuple[int, bytes]]) -> list[Successor]:
        """The tokens that came of those which the warehouse holds, by user id and digest.

        Nothing of who holds a token that was never spent, or not lately: it may be a newer one.
        """
        found = (
            spool_rotations.successor(self.file.db, user_id, digest) for user_id, digest in held
        )
        return [one for one in found if one]

    @_writes
    def forget_rotations(self, now: datetime) -> None:
        """Delete rotated tokens that have been kept for long enough after they were stored."""
        spool_rotations.forget(self.file.db, self._remembers, now)

    def _damaged_tokens(self) -> list[int]:
        return [row[0] for row in self.file.db.execute(_TOKENS) if not spool_rows.token_of(row)]

    @_reads
    def recoveries(self, only_untold: bool = False) -> list[Recovery]:
        """The broken files that were put aside, and what was saved of them."""
        return spool_salvage.recoveries(self.file.db, only_untold)

    @_writes
    def acknowledge(self, told: Sequence[Recovery]) -> None:
        """Note that an operator was told of these."""
        self.file.db.executemany(
            "UPDATE broken SET told = 1 WHERE file = ?", [(one.file,) for one in told]
        )

    @_reads
    def _answers(
        self, where: str, parameters: tuple[object, ...], limit: int = -1
    ) -> list[SpooledResponse]:
        query = f"{_ANSWERS} WHERE {where} ORDER BY id LIMIT ?"
        rows = self.file.db.execute(query, (*parameters, limit)).fetchall()
        if any(one[0] >= other[0] for one, other in pairwise(rows)):
            raise Broken("its ids are not in order")
        return [spool_rows.kept(row[:9]) for row in rows]

    def _move(self, id_: int, key: str) -> None:
        """Note where an answer lies, if it is elsewhere than where it belongs."""
        query = f"{_ANSWERS} WHERE id = ? AND key IS NOT ?"
        row = self.file.db.execute(query, (id_, key)).fetchone()
        if row and spool_rows.is_whole(row[:9]):
            moved = spool_rows.sealed(*row[:4], key, *row[5:8])
            self.file.db.execute(
                "UPDATE answers SET key = ?, checksum = ? WHERE id = ?", (key, moved[-1], id_)
            )

    def _drop_done(self, ids: Iterable[int]) -> None:
        self.file.db.executemany(
            "DELETE FROM answers WHERE id = :id AND archived = :done AND loaded = :done",
            [{"id": id_, "done": DONE} for id_ in ids],
        )


def _entry(row: Sequence[Any]) -> Entry:
    *answer, archived, loaded, problem = row
    kept = spool_rows.kept(answer)
    return Entry(
        kept.id,
        str(answer[1]),
        kept.user_id,
        kept.key,
        kept.observed_at,
        len(kept.packed),
        archived == DONE,
        loaded == DONE,
        (None if kept.whole else kept.damage()) or (problem and str(problem)),
    )
