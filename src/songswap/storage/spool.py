"""The spool: raw responses on the local disk, until they are archived and loaded.

Each response is written here first, and leaves when it is both archived in S3 and loaded into the
warehouse. So the next drain finds here what a run could not archive or load, or was working on when
it was killed. It is one SQLite file: every method is a transaction that is on the disk (fsync) when
it returns, and several processes of one machine, and their threads, may use it at once. Workers on
several machines each need a folder of their own on a local disk: SQLite's locks do not hold over a
network.

Damage by the disk is found: a row whose checksum does not match is reported as damaged, and goes
nowhere; a broken file is renamed, and a new one goes on with the rows that can be recovered.
"""

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Self

from songswap.errors import SpoolError
from songswap.storage import (
    spool_rotations,
    spool_rows,
    spool_salvage,
    spool_tables,
    spool_workers,
)
from songswap.storage.records import Entry, RawResponse, Recovery
from songswap.storage.spool_erasure import SpoolEraser
from songswap.storage.spool_file import SpoolFile
from songswap.storage.spool_identity import SpoolIdentity
from songswap.storage.spool_rows import DONE
from songswap.storage.spool_tables import Broken
from songswap.storage.spool_tokens import SpoolTokens
from songswap.storage.spool_transactions import reads, writes
from songswap.storage.spool_workers import Work

# So much of the disk stays free: without room for its journal the spool could not delete responses.
_FREE_BYTES = 64 * 2**20

_INSERT = f"INSERT INTO answers ({spool_rows.RESPONSE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_SELECT = f"SELECT {spool_rows.RESPONSE}, archived, loaded, problem FROM answers"  # noqa: S608


class Spool(SpoolIdentity, SpoolTokens, SpoolEraser):
    """The spool in ``folder``; use it as a context manager.

    Args:
        folder: is made if it does not exist.
        most_bytes: from this size on it takes no more responses; None for as many as the disk has
            room for.
        remembers: how long rotated tokens are remembered after the warehouse has them, see
            `successors`.

    Raises:
        SpoolError: from every method, when the disk fails (full, read-only, gone).
    """

    def __init__(
        self, folder: Path, most_bytes: int | None = None, remembers: timedelta = timedelta()
    ) -> None:
        self.path = folder / "spool.sqlite3"
        super().__init__(SpoolFile(self.path), remembers)
        self._most_bytes = most_bytes
        self._workers = folder / "working"

    def __enter__(self) -> Self:
        self.file.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @contextmanager
    def working(self, run_id: str = "", batch: int = -1) -> Iterator[int]:
        """Be at work on a batch: drains of other processes leave its responses for the block.

        Gives a number that no other process has. A process that is at work on no batch, as a drain
        is, has rows of the spool in its memory all the same.
        """
        with spool_workers.working(self._workers, run_id, batch) as holder:
            yield holder

    def at_work(self) -> list[Work]:
        """Return the batches that processes of this machine are working on."""
        return spool_workers.at_work(self._workers)

    def check(self) -> None:
        """Read all of the file; where it is broken, it is replaced, as by every method."""
        self.file.check()

    def add(self, run_id: str, batch: int, responses: Sequence[RawResponse]) -> list[RawResponse]:
        """Write responses to the disk, all or none; returns them with their ids.

        Raises:
            SpoolError: also when there is no room, see `full`.
        """
        if full := self.full():
            raise full
        return self._add(run_id, batch, responses)

    @writes
    def _add(self, run_id: str, batch: int, responses: Sequence[RawResponse]) -> list[RawResponse]:
        first = spool_tables.last_id(self.file.db) + 1
        added = [response._replace(id=id_) for id_, response in enumerate(responses, first)]
        rows = [spool_rows.response_row(run_id, batch, response) for response in added]
        self.file.db.executemany(_INSERT, rows)
        return added

    def full(self) -> SpoolError | None:
        """Return why the spool takes no more responses; None while there is room."""
        size, free = self.size_of_responses(), shutil.disk_usage(self.path.parent).free
        if self._most_bytes is not None and size >= self._most_bytes:
            why = f"its {size / 2**20:,.0f} MB are as many as SONGSWAP_SPOOL_MAX_MB allows"
        elif free < _FREE_BYTES:
            why = f"its disk has only {free / 2**20:,.0f} MB left"
        else:
            return None
        to_archive, to_load = self.waiting()
        return SpoolError(
            f"The spool {self.path} takes no more responses: {why}. {to_archive} responses wait for"
            f" S3 and {to_load} for the warehouse. They stay; bring back the service that they wait"
            " for, or check 'songswap spool list'. The next run polls the other users again."
        )

    @reads
    def size(self) -> int:
        """Return the bytes in use; deleting makes room, although the file stays as large."""
        return self._size()

    def _size(self) -> int:
        page, pages, free = (
            self.file.db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return int(page * (pages - free))

    @reads
    def size_of_responses(self) -> int:
        """Return the bytes in use without rotated tokens: however many these are, loads go on."""
        return max(0, self._size() - spool_rotations.size(self.file.db))

    @reads
    def entries(self) -> list[Entry]:
        """Return all responses, oldest first; of damaged ones, what their rows say."""
        return [spool_rows.entry(row) for row in self.file.db.execute(f"{_SELECT} ORDER BY id")]

    def find(self, id_: int) -> RawResponse:
        """Return one response, by its id.

        Raises:
            SpoolError: the spool does not have it.
        """
        if found := self._responses("id = ?", (id_,)):
            return found[0]
        raise SpoolError(f"The spool {self.path} has no response {id_}: it left, or never existed.")

    def drop(self, ids: Iterable[int]) -> None:
        """Delete responses for good, whether or not they are archived or loaded."""
        self._drop([(id_,) for id_ in ids])

    @writes
    def _drop(self, rows: Sequence[tuple[int]]) -> None:
        self.file.db.executemany("DELETE FROM answers WHERE id = ?", rows)

    @reads
    def users_of(self, run_id: str, batch: int) -> set[int]:
        """Return the users whose response of this batch is in the spool, intact."""
        of = (run_id, batch)
        rows = self.file.db.execute(f"{_SELECT} WHERE run_id = ? AND batch = ?", of)
        return {row[3] for row in rows if row[1:3] == of and spool_rows.is_intact(row[:9])}

    def not_archived(
        self, after: int, limit: int, without: Collection[Work] = (), *, untried: bool = False
    ) -> list[RawResponse]:
        """Return up to ``limit`` responses that wait for S3, oldest first, with ids > ``after``.

        Args:
            without: batches whose responses are left out.
            untried: leave out those that could not be archived or loaded before.
        """
        others, of = spool_rows.left_out(without, untried)
        return self._responses(f"archived IS NOT ? AND id > ?{others}", (DONE, after, *of), limit)

    def not_loaded(
        self, after: int, limit: int, without: Collection[Work] = (), *, untried: bool = False
    ) -> list[RawResponse]:
        """Return the same of responses that wait for the warehouse."""
        others, of = spool_rows.left_out(without, untried)
        return self._responses(f"loaded IS NOT ? AND id > ?{others}", (DONE, after, *of), limit)

    def batch(self, run_id: str, batch: int, after: int = 0, limit: int = -1) -> list[RawResponse]:
        """Return the same of a batch's responses."""
        of_batch = "loaded IS NOT ? AND run_id = ? AND batch = ? AND id > ?"
        return self._responses(of_batch, (DONE, run_id, batch, after), limit)

    @reads
    def left_of(self, run_id: str, batch: int) -> int:
        """Return how many responses of a batch wait for the warehouse."""
        of_batch = "SELECT count(*) FROM answers WHERE loaded IS NOT ? AND run_id = ? AND batch = ?"
        (number,) = self.file.db.execute(of_batch, (DONE, run_id, batch)).fetchone()
        return int(number)

    @writes
    def mark_archived(self, keys: Mapping[int, str]) -> None:
        """Record the keys under which responses, by their ids, are in S3; loaded ones leave."""
        db = self.file.db
        for id_, key in keys.items():
            self._set_key(id_, key)
            db.execute("UPDATE answers SET archived = ?, problem = NULL WHERE id = ?", (DONE, id_))
        self._drop_done(keys)

    @writes
    def mark_loaded(self, ids: Sequence[int]) -> None:
        """Record that these responses are in the warehouse; archived ones leave."""
        self.file.db.executemany(
            "UPDATE answers SET loaded = ? WHERE id = ?", [(DONE, id_) for id_ in ids]
        )
        self._drop_done(ids)

    @writes
    def mark_failed(self, problems: Mapping[int, str]) -> None:
        """Record why responses, by their ids, could not be archived or loaded."""
        self.file.db.executemany(
            "UPDATE answers SET problem = ? WHERE id = ?",
            [(problem.encode(errors="replace").decode(), id_) for id_, problem in problems.items()],
        )

    @reads
    def waiting(self, without: Collection[Work] = ()) -> tuple[int, int]:
        """Return how many responses wait for S3, and how many for the warehouse.

        Args:
            without: batches whose responses are left out.
        """
        others, of = spool_rows.left_out(without)
        counts = (
            "count(*) FILTER (WHERE archived IS NOT ?), count(*) FILTER (WHERE loaded IS NOT ?)"
        )
        query = f"SELECT {counts} FROM answers WHERE true{others}"  # noqa: S608 - ours
        row = self.file.db.execute(query, (DONE, DONE, *of)).fetchone()
        return row[0], row[1]

    @reads
    def waiting_since(self, without: Collection[Work] = ()) -> datetime | None:
        """Return when the first of the responses of `waiting` came that are intact."""
        others, of = spool_rows.left_out(without)
        waits = f"(archived IS NOT ? OR loaded IS NOT ?){others}"
        rows = self.file.db.execute(f"{_SELECT} WHERE {waits} ORDER BY id", (DONE, DONE, *of))
        intact = (row for row in rows if spool_rows.is_intact(row[:9]))
        return next((spool_rows.from_ms(row[5]) for row in intact), None)

    @reads
    def last_problem(self) -> str | None:
        """Return the problem of the response that was tried last."""
        row = self.file.db.execute(
            "SELECT problem FROM answers WHERE problem IS NOT NULL ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return str(row[0]) if row else None

    @reads
    def recoveries(self, only_unreported: bool = False) -> list[Recovery]:
        """Return the broken files that were replaced, and what was recovered from them."""
        return spool_salvage.recoveries(self.file.db, only_unreported)

    @writes
    def acknowledge(self, reported: Sequence[Recovery]) -> None:
        """Record that these were reported to an operator."""
        self.file.db.executemany(
            "UPDATE broken SET told = 1 WHERE file = ?",
            [(recovery.file,) for recovery in reported],
        )

    @reads
    def _responses(
        self, where: str, parameters: tuple[object, ...], limit: int = -1
    ) -> list[RawResponse]:
        query = f"{_SELECT} WHERE {where} ORDER BY id LIMIT ?"
        rows = self.file.db.execute(query, (*parameters, limit)).fetchall()
        if any(row[0] >= following[0] for row, following in pairwise(rows)):
            raise Broken("its ids are not in order")
        return [spool_rows.response(row[:9]) for row in rows]

    def _set_key(self, id_: int, key: str) -> None:
        """Record under which key a response is archived, where it is not its own."""
        query = f"{_SELECT} WHERE id = ? AND key IS NOT ?"
        row = self.file.db.execute(query, (id_, key)).fetchone()
        if row and spool_rows.is_intact(row[:9]):
            moved = spool_rows.with_checksum(*row[:4], key, *row[5:8])
            self.file.db.execute(
                "UPDATE answers SET key = ?, checksum = ? WHERE id = ?", (key, moved[-1], id_)
            )

    def _drop_done(self, ids: Iterable[int]) -> None:
        self.file.db.executemany(
            "DELETE FROM answers WHERE id = :id AND archived = :done AND loaded = :done",
            [{"id": id_, "done": DONE} for id_ in ids],
        )
