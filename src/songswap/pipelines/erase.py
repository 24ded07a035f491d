"""Erase a user: from the warehouse, the archive and every host's spool.

    request ──▶ warehouse, S3 ──▶ each host's spool, at its next drain ──▶ last sweep ──▶ receipt

From the request on nothing of the user is polled or loaded. An erasure can be cut off anywhere and
goes on when it is started again. It has ended when every place has confirmed: a host that is at
work on a batch may archive a response of the user still, so the warehouse and S3 are swept once
more after the last host.
"""

from collections.abc import Callable
from datetime import datetime

import psycopg

from songswap.clock import utc_now
from songswap.errors import (
    FIND_ID,
    EraseRefused,
)
from songswap.pipelines.erase_conditions import require_approved, require_due, require_rights
from songswap.pipelines.erase_sweep import NO_KEY as NO_KEY
from songswap.pipelines.erase_sweep import OF_S3, Progress, Sweep, open_eraser
from songswap.pipelines.receipts import Preview as Preview
from songswap.pipelines.receipts import Receipt as Receipt
from songswap.settings import Settings
from songswap.warehouse import erasures, spools, user_rows
from songswap.warehouse.connection import connect
from songswap.warehouse.locks import lock_to_erase
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.retry import retried

DUE = "due"


def look(settings: Settings, user_id: int, *, keeps_account: bool = False) -> Preview:
    """Count what an erasure would remove, and change nothing.

    Raises:
        EraseRefused: there is no such user.
        WarehouseUnavailable, SchemaOutdated: nothing is known of the tables.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        rows = _require_user(settings, connection, user_id)
        hosts = tuple(spool.host for spool in spools.find(connection))
        since = erasures.in_force_since(connection, user_id)
    found = user_rows.to_delete(rows, keeps_account=keeps_account)
    return Preview(user_id, keeps_account, found, *_look_into_s3(settings, user_id), hosts, since)


def _look_into_s3(settings: Settings, user_id: int) -> tuple[dict[str, int] | None, str | None]:
    """Count a user's objects, or say why that is not possible."""
    eraser = open_eraser(settings)
    if eraser is None:
        return None, NO_KEY
    try:
        return eraser.count(user_id)._asdict(), None
    except OF_S3 as error:
        return None, str(error)


def request(
    settings: Settings,
    user_id: int,
    *,
    keeps_account: bool = False,
    reason: str = "request",
    approved_at: datetime | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> int:
    """Record that a user is to be erased, in force at once; return the erasure's id.

    Waits for a load that is at work on the user. An erasure that is in force goes on: see
    `songswap.warehouse.erasures.request`.

    Args:
        keeps_account: leave the user's row of ``"Users"``, and the sign-in.
        reason: ``request``, or ``due``: then an erasure that is in force is left as it is.
        approved_at: as of when somebody has decided on it, where that may be long ago.

    Raises:
        EraseRefused: there is no such user.
        ErasureOutdated: the user is not due any more, or has authorized again since then.
        WarehouseRefused: the login lacks rights, which the text names.
        WarehouseUnavailable, SchemaOutdated: nothing was recorded.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        if reason == DUE and (going_on := _in_force(connection, user_id)):
            return going_on
        require_rights(connection, keeps_account=keeps_account)
        rows = _require_user(settings, connection, user_id)
        has_rows = bool(user_rows.to_delete(rows, keeps_account=keeps_account))
        now = clock()

        def require() -> None:
            if reason == DUE:
                require_due(connection, user_id, settings.erase_after, now)
            if approved_at:
                require_approved(connection, user_id, approved_at)

        return _request(
            connection,
            user_id,
            now,
            require,
            keeps_account=keeps_account,
            reason=reason,
            has_rows=has_rows,
        )


@retried
def _request(
    connection: psycopg.Connection,
    user_id: int,
    now: datetime,
    require: Callable[[], None],
    *,
    keeps_account: bool,
    reason: str,
    has_rows: bool,
) -> int:
    with connection.transaction():
        lock_to_erase(connection, user_id)
        require()
        return erasures.request(
            connection,
            user_id,
            now,
            keeps_account=keeps_account,
            reason=reason,
            has_rows=has_rows,
        )


def proceed(
    settings: Settings,
    erasure_id: int,
    on_progress: Progress = lambda *_: None,
    clock: Callable[[], datetime] = utc_now,
) -> Receipt:
    """Do all of an erasure that can be done now.

    A place that fails keeps its problem, and the others go on. Where another process is at work on
    it, nothing is done.

    Raises:
        EraseRefused: there is no such erasure.
        WarehouseUnavailable, SchemaOutdated: what was removed until then is recorded.
    """
    with connect(settings.warehouse_dsn) as connection, connect(settings.warehouse_dsn) as turn:
        require_schema(connection)
        user_id = _receipt(connection, erasure_id).erasure.user_id
        with erasures.taking_turn(turn, user_id) as is_mine:
            if is_mine:
                erasures.reopen(connection, erasure_id)
            # Under the lock: who had it before may have ended the erasure.
            receipt = _receipt(connection, erasure_id)
            if is_mine and receipt.erasure.ended_at is None:
                Sweep(settings, connection, turn, receipt, on_progress).sweep(clock)
                receipt = _receipt(connection, erasure_id)
        return receipt._replace(is_elsewhere=not is_mine and not receipt.is_complete)


def open_ids(settings: Settings) -> list[int]:
    """Return the ids of the erasures in which a place has not confirmed, the oldest first."""
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        return [erasure.erasure_id for erasure in erasures.open_erasures(connection)]


def receipts(settings: Settings, user_id: int) -> list[Receipt]:
    """Return the receipts of all erasures of a user, the oldest first."""
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        return [
            Receipt(erasure, tuple(erasures.places(connection, erasure.erasure_id)))
            for erasure in erasures.of_user(connection, user_id)
        ]


def _receipt(connection: psycopg.Connection, erasure_id: int) -> Receipt:
    erasure = erasures.find(connection, erasure_id)
    if erasure is None:
        raise EraseRefused(f"There is no erasure {erasure_id}. Nothing was done.")
    return Receipt(erasure, tuple(erasures.places(connection, erasure_id)))


def _in_force(connection: psycopg.Connection, user_id: int) -> int | None:
    """Return the id of the erasure of a user that is in force; None where none is."""
    found = erasures.of_user(connection, user_id)
    return next((each.erasure_id for each in found if each.renewed_at is None), None)


def _require_user(
    settings: Settings, connection: psycopg.Connection, user_id: int
) -> dict[str, int]:
    """Return the rows of a user, of whom there is something anywhere.

    Raises:
        EraseRefused: there is nothing, or it is the user of the test DAGs.
    """
    if user_id == 0:
        raise EraseRefused("User 0 belongs to the test DAGs, which delete it. Nothing was done.")
    rows = user_rows.count(connection, user_id)
    if any(rows.values()) or erasures.of_user(connection, user_id):
        return rows
    eraser = open_eraser(settings)
    if eraser and any(eraser.count(user_id)):
        return rows
    unseen = "" if eraser else f" Whether S3 has anything is not known. {NO_KEY}"
    raise EraseRefused(
        f"There is no user {user_id}: neither rows nor objects, and no erasure. Nothing was done."
        f" {FIND_ID}{unseen}"
    )
