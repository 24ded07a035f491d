"""Count and delete the rows of a user, so that no load waits long for it.

    plays, streams: parts, a transaction each ──▶ steps, snapshots: the user is taken out
        ──▶ all that is left, in one short transaction under the user's lock

How many rows were removed is recorded in the transaction that removes them: so the numbers of a
receipt add up wherever it is cut off, and however many processes are at it.

What stays: the bounds of batches in ``songswap.steps``, the parts of ``songswap.news``, and lists
of users in sentences on a broken spool, which may have the user's id. It is a number that refers to
nobody, and goes with age, see `maintenance`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

import psycopg

from songswap.errors import WarehouseRefused
from songswap.warehouse import erasures
from songswap.warehouse.catalogue import plan_by_key
from songswap.warehouse.erasures import WAREHOUSE, Erasure
from songswap.warehouse.locks import lock_to_erase
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

HISTORY, STREAMS = "History", "songswap.streams"
ACCOUNT = TOKENS, USERS = "SpotifyTokens", "Users"
"""The tables that `Erasure.keeps_account` leaves alone."""

_PARTS = {HISTORY: "delete_some_plays", STREAMS: "delete_some_streams"}
# In the order in which `tokens.store` locks them.
_REST = {
    HISTORY: "delete_plays",
    STREAMS: "delete_streams",
    "songswap.gaps": "delete_gaps",
    "songswap.rejected_items": "delete_rejected_items",
    "songswap.imports": "delete_imports",
    "songswap.polls": "delete_polls",
    "songswap.tokens": "delete_tokens",
    "songswap.token_exchanges": "delete_token_exchanges",
    "songswap.cut_off_exchanges": "delete_cut_off_exchanges",
    "songswap.grants": "delete_grants",
    "songswap.disconnects": "delete_disconnects",
}
_NAMING = {
    "leave_problems_of_steps": "songswap.steps",
    "leave_problems_of_runs": "songswap.runs",
    "leave_problems_of_snapshots": "songswap.snapshots",
    "leave_snapshots": "songswap.snapshots",
}

_ROWS_AT_ONCE = 5_000
"""A transaction of a few dozen milliseconds."""

_STEPS_AT_ONCE = 500

_REFUSALS = (psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)

_SQL = statements("user_rows.sql")

Progress = Callable[[int], None]
"""Receives how many rows were deleted by now."""


def count(connection: psycopg.Connection, user_id: int) -> dict[str, int]:
    """Return how many rows a user has, by table; those of the platform are without a schema."""
    return dict(connection.execute(_SQL["count"], {"user_id": user_id}).fetchall())


def to_delete(rows: Mapping[str, int], *, keeps_account: bool) -> dict[str, int]:
    """Return of these rows those that an erasure deletes."""
    return {
        table: number
        for table, number in rows.items()
        if number and not (keeps_account and table in ACCOUNT)
    }


def delete(connection: psycopg.Connection, erasure: Erasure, on_progress: Progress) -> None:
    """Delete a user's rows, and add their numbers to the erasure's place.

    It may be cut off anywhere, and begins again where it was. Call it when the erasure is in force:
    then nobody loads more of the user.

    Raises:
        WarehouseRefused: rows are left, as another table refers to them; all others are deleted.
        psycopg.Error: the server's own. What is recorded is deleted.
    """
    deleted = 0
    for table in _PARTS:
        after: str | None = "-infinity"
        while after is not None:
            after, number = _delete_some(connection, erasure, table, after)
            deleted += number
            on_progress(deleted)
    _leave_steps(connection, erasure)
    for statement, table in _NAMING.items():
        _leave(connection, erasure, statement, table, {})
    refusal = _delete_rest(connection, erasure)
    _require_none(connection, erasure, refusal)


@retried
def _delete_some(
    connection: psycopg.Connection, erasure: Erasure, table: str, after: str
) -> tuple[str | None, int]:
    """Delete the next rows after a time; return the last one's, or None, and how many."""
    params = {"user_id": erasure.user_id, "after": after, "at_most": _ROWS_AT_ONCE}
    with connection.transaction():
        plan_by_key(connection)
        row = connection.execute(_SQL[_PARTS[table]], params).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has a row
        _record(connection, erasure, {table: row[1]})
    return row[0], row[1]


def _leave_steps(connection: psycopg.Connection, erasure: Erasure) -> None:
    """Take the user out of steps of runs, a few at a time: a run may be at work on one of them."""
    params = {"user_id": erasure.user_id}
    keys = connection.execute(_SQL["steps_naming"], params).fetchall()
    for start in range(0, len(keys), _STEPS_AT_ONCE):
        runs, steps, numbers = zip(*keys[start : start + _STEPS_AT_ONCE], strict=True)
        some = {"run_ids": list(runs), "steps": list(steps), "numbers": list(numbers)}
        _leave(connection, erasure, "leave_steps", "songswap.steps", some)


@retried
def _leave(
    connection: psycopg.Connection,
    erasure: Erasure,
    statement: str,
    table: str,
    params: Mapping[str, object],
) -> None:
    with connection.transaction():
        done = connection.execute(_SQL[statement], {"user_id": erasure.user_id, **params})
        _record(connection, erasure, {table: done.rowcount})


@retried
def _delete_rest(connection: psycopg.Connection, erasure: Erasure) -> str | None:
    """Delete all that is left, under the user's lock; return why the account is not, if so."""
    params = {"user_id": erasure.user_id}
    with connection.transaction():
        lock_to_erase(connection, erasure.user_id)
        erasures.keep_digest(connection, erasure.erasure_id)
        connection.execute(_SQL["check_at_once"])
        if erasure.keeps_account:
            _hand_back_tokens(connection, erasure)
        removed = {
            table: connection.execute(_SQL[statement], params).rowcount
            for table, statement in _REST.items()
        }
        refusal = None
        if not erasure.keeps_account:
            try:
                # Both or none: who keeps the account after all can sign in.
                with connection.transaction():
                    account = {
                        TOKENS: connection.execute(_SQL["delete_platform_tokens"], params).rowcount,
                        USERS: connection.execute(_SQL["delete_user"], params).rowcount,
                    }
                removed |= account
            except _REFUSALS as error:
                refusal = _refusal(error, erasure.user_id)
        _record(connection, erasure, removed)
    return refusal


def _hand_back_tokens(connection: psycopg.Connection, erasure: Erasure) -> None:
    """Give the platform the newest tokens of a user who keeps the account, if they fit."""
    params = {"user_id": erasure.user_id, "erasure_id": erasure.erasure_id}
    # Tokens that are too long never came there, and the web app has lived without them.
    with suppress(psycopg.errors.StringDataRightTruncation), connection.transaction():
        connection.execute(_SQL["hand_back_tokens"], params)


def _refusal(error: psycopg.Error, user_id: int) -> str:
    table, key = error.diag.table_name, error.diag.constraint_name
    return (
        f"Table {error.diag.schema_name}.{table} refers to user {user_id} by its foreign key {key},"
        ' which keeps the row of "Users" from being deleted. All else of the user is deleted in the'
        " warehouse. Delete the user's rows of that table in the web app, or erase with"
        " --keep-account; then run 'songswap erase' again."
    )


def _require_none(connection: psycopg.Connection, erasure: Erasure, refusal: str | None) -> None:
    """Raise where rows are left."""
    left = to_delete(count(connection, erasure.user_id), keeps_account=erasure.keeps_account)
    if refusal:
        raise WarehouseRefused(refusal)
    if left:
        tables = ", ".join(f"{number:,} of {table}" for table, number in left.items())
        raise WarehouseRefused(
            f"Rows of user {erasure.user_id} are there after they were deleted: {tables}. A trigger"
            " or rule of these tables keeps them, or something adds them. Look for it, then run"
            " 'songswap erase' again."
        )


def _record(connection: psycopg.Connection, erasure: Erasure, removed: Mapping[str, int]) -> None:
    erasures.add_removed(connection, erasure.erasure_id, WAREHOUSE, removed)
