"""Remove what the warehouse and the archive have of a user, and record how much that was."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from songswap.errors import (
    ArchiveError,
    ArchiveNotErased,
    ArchiveUnreadable,
    WarehouseBusy,
    WarehouseRefused,
)
from songswap.pipelines.receipts import Receipt
from songswap.settings import Settings
from songswap.warehouse import erasures, user_rows
from songswap.warehouse.erasures import S3, WAREHOUSE
from songswap.warehouse.error_translation import translate
from songswap.warehouse.retry import retried

if TYPE_CHECKING:
    from songswap.storage.archive_eraser import ArchiveEraser

NO_KEY = (
    "No key may list and delete in the archive, so nothing of the user is removed there. Define the"
    " connection SongSwap_S3_Erase (AIRFLOW_CONN_SONGSWAP_S3_ERASE) with one that may, below"
    " history/."
)

OF_S3 = (ArchiveError, ArchiveNotErased, ArchiveUnreadable)

Progress = Callable[[str, int, int], None]
"""Receives a place, how much was removed there, and how much was found; 0 where that is unknown."""


class Sweep(NamedTuple):
    """A sweep of the warehouse and S3; it is the last one if all hosts had confirmed before.

    ``turn`` is the session that keeps other processes from it.
    """

    settings: Settings
    connection: psycopg.Connection
    turn: psycopg.Connection
    receipt: Receipt
    on_progress: Progress

    def sweep(self, clock: Callable[[], datetime]) -> None:
        """Remove what is there, and end the erasure after the last sweep."""
        hosts = [place for place in self.receipt.places if place.is_spool]
        if all([self.sweep_warehouse(), self.sweep_s3()]):
            erasures.end(self.connection, self.receipt.erasure.erasure_id, hosts, clock())

    def sweep_warehouse(self) -> bool:
        """Delete the user's rows; return whether none is left."""
        erasure = self.receipt.erasure
        found = user_rows.count(self.connection, erasure.user_id)
        total = sum(user_rows.to_delete(found, keeps_account=erasure.keeps_account).values())

        def on_progress(deleted: int) -> None:
            self.on_progress(WAREHOUSE, deleted, total)

        try:
            user_rows.delete(self.connection, erasure, on_progress)
        except psycopg.Error as error:
            problem = translate(error)
            if not isinstance(problem, (WarehouseRefused, WarehouseBusy)):
                raise
            return self.fail(WAREHOUSE, problem)
        except WarehouseRefused as error:
            return self.fail(WAREHOUSE, error)
        self.on_progress(WAREHOUSE, total, total)
        return True

    def sweep_s3(self) -> bool:
        """Remove the user's objects; return whether none is left."""
        eraser = open_eraser(self.settings)
        if eraser is None:
            return self.fail(S3, NO_KEY)
        erasure_id, user_id = self.receipt.erasure[:2]
        try:
            found = eraser.count(user_id)._asdict()
            _begin(self.connection, erasure_id, found)

            def on_progress(removed: int) -> None:
                erasures.keep_turn(self.turn)
                self.on_progress(S3, removed, found["objects"] + found["versions"])

            removed = eraser.erase(user_id, on_progress)
        except OF_S3 as error:
            return self.fail(S3, error)
        _record(self.connection, erasure_id, removed._asdict(), None)
        return True

    def fail(self, place: str, problem: object) -> bool:
        """Record why a place was not erased; false."""
        erasures.fail(self.connection, self.receipt.erasure.erasure_id, place, str(problem))
        return False


def _begin(connection: psycopg.Connection, erasure_id: int, found: Mapping[str, int]) -> None:
    """Record what is found in S3, and what a removal that was cut off had removed by then.

    What was archived in between makes that less: S3 has no transactions.
    """
    before = erasures.found(connection, erasure_id, S3) or {}
    removed = {kind: max(0, number - found.get(kind, 0)) for kind, number in before.items()}
    _record(connection, erasure_id, removed, found)


@retried
def _record(
    connection: psycopg.Connection,
    erasure_id: int,
    removed: Mapping[str, int],
    found: Mapping[str, int] | None,
) -> None:
    with connection.transaction():
        erasures.add_removed(connection, erasure_id, S3, removed)
        erasures.note_found(connection, erasure_id, S3, found)


def open_eraser(settings: Settings) -> "ArchiveEraser | None":
    """Return what removes objects, if there is a key for it; its client takes long to import."""
    if settings.eraser is None:
        return None
    from songswap.storage.archive_eraser import ArchiveEraser

    return ArchiveEraser(settings.eraser)
