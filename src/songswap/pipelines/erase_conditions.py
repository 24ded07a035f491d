"""What has to hold when an erasure is requested: rights, and what it was decided on."""

from datetime import datetime, timedelta

import psycopg

from songswap.errors import ErasureOutdated, WarehouseRefused
from songswap.warehouse import disconnects, erasures, rights, user_rows


def require_due(
    connection: psycopg.Connection, user_id: int, days: timedelta, now: datetime
) -> None:
    """Raise where a user who was due is not any more: the task may run long after it was planned.

    Raises:
        ErasureOutdated: the user is not.
    """
    if not disconnects.is_due(connection, user_id, days, now):
        raise ErasureOutdated(
            f"User {user_id} does not have to be erased any more: the user has authorized again, is"
            ' back in "Users", or the day has not come. Nothing was done.'
        )


def require_approved(connection: psycopg.Connection, user_id: int, approved_at: datetime) -> None:
    """Raise where what was approved are not the user's data of now.

    Raises:
        ErasureOutdated: it is not.
    """
    if erasures.has_authorized_since(connection, user_id, approved_at):
        raise ErasureOutdated(
            f"User {user_id} has authorized the app again since {approved_at:%Y-%m-%d %H:%M} UTC,"
            " as of when the erasure was approved. Nothing was done: if the user has to be erased"
            " all the same, that needs a new approval."
        )


def require_rights(connection: psycopg.Connection, *, keeps_account: bool) -> None:
    """Raise where the login may not delete what an erasure removes.

    Raises:
        WarehouseRefused: it lacks rights, which the text grants.
    """
    needed = {
        table: needed
        for table, needed in rights.NEEDED_TO_ERASE.items()
        if not (keeps_account and table in user_rows.ACCOUNT)
    }
    if grants := rights.missing_grants(connection, needed):
        raise WarehouseRefused(
            "The login of SongSwap_RDS lacks rights that erasing a user needs. Nothing was done."
            f" Have the tables' owner run: {'; '.join(grants)}"
        )
