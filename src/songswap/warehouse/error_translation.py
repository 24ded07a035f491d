"""Translate psycopg's errors into the pipeline's own, which say what to do.

Their messages never quote values of rows: of data, constraints and triggers they have only names.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from songswap.errors import (
    PlatformUnfit,
    SchemaOutdated,
    WarehouseBusy,
    WarehouseError,
    WarehouseRefused,
    WarehouseUnavailable,
)

_WAREHOUSE = "The warehouse (connection SongSwap_RDS)"

_ROLLED_BACK = "What was under way was rolled back; it can be done again."

# Classes of SQLSTATE whose messages name objects and circumstances, and no values.
_NAMING_CLASSES = {"08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"}
_DATA_CLASSES = {"21", "22", "23", "44"}
_DOES_NOT_FIT = "a row does not fit"
_FUNCTION = re.compile(r'PL/\w+ function ([\w."]+)')

NEEDED, MOST = 7, 9
"""Connections that a process of the hourly load needs, and has at most; `docs/deployment.md` has
them, and a test counts them."""

_TOO_MANY = re.compile(
    # PostgreSQL: max_connections, CONNECTION LIMIT, connections reserved for superusers.
    "too many (clients|connections)|connection slots are reserved"
    # pgbouncer: max_client_conn, or no server connection in time.
    "|no more connections allowed|query_wait_timeout"
)

_FAILED = "connection failed: "

_MISSING = (errors.UndefinedTable, errors.InvalidSchemaName)
_UNFIT = (errors.UndefinedColumn, errors.InvalidColumnReference)
_HIDING = "check_enable_rls"
"""The server's function that refuses results which policies would change; not translated."""

_TIMED_OUT = (errors.IdleInTransactionSessionTimeout, errors.TransactionTimeout)
_OWN = (psycopg.OperationalError, psycopg.InterfaceError)
_REFUSED = (errors.DiskFull, errors.ConfigurationLimitExceeded)
"""Operational errors of a healthy server."""


@contextmanager
def translate_errors() -> Iterator[None]:
    """Translate the psycopg errors of a block, see `translate`."""
    try:
        yield
    except psycopg.Error as error:
        # Without its cause: its traceback would print values that the server quotes.
        raise translate(error) from None


def translate(error: psycopg.Error) -> WarehouseError:
    """Return our error for an error of psycopg: what it means, and what to do."""
    match error:
        case _ if isinstance(error, _MISSING):
            return SchemaOutdated(
                "A table is missing in the warehouse. Run 'songswap migrate' and start again."
            )
        case errors.LockNotAvailable():
            return WarehouseBusy(
                f"{_WAREHOUSE} kept this waiting for a lock for too long ({_code(error)})."
                f"{_holders(error)} {_ROLLED_BACK}"
            )
        case errors.QueryCanceled():
            return WarehouseBusy(
                f"{_WAREHOUSE} did not end a statement: {_text(error)} ({_code(error)})."
                f"{_holders(error)} {_ROLLED_BACK}"
            )
        case errors.DeadlockDetected() | errors.SerializationFailure():
            return WarehouseBusy(
                f"{_WAREHOUSE} broke a transaction off, because another one was at the same rows"
                f" ({_code(error)}).{_holders(error)} {_ROLLED_BACK}"
            )
        case _ if isinstance(error, _TIMED_OUT):
            return WarehouseUnavailable(
                f"{_WAREHOUSE} ended a transaction, because this process sent nothing for too long"
                f" ({_code(error)}): it was frozen, or the machine is too busy. {_ROLLED_BACK}"
            )
        case errors.ReadOnlySqlTransaction():
            return WarehouseRefused(
                f"{_WAREHOUSE} takes no changes, its sessions are read-only ({_code(error)}), as"
                " after a failover or on a replica. Set the primary's host, or take"
                " default_transaction_read_only back; then start again."
            )
        case errors.InsufficientPrivilege() if error.diag.source_function == _HIDING:
            return PlatformUnfit(
                f"Row level security applies to the login of SongSwap_RDS ({_code(error)}):"
                f" {_text(error)}. Its policies could hide users or plays, so nothing was read or"
                " written. 'songswap check postgres' says of which tables, and what to do."
            )
        case _ if isinstance(error, _UNFIT):
            return PlatformUnfit(
                f"{_WAREHOUSE} lacks columns or keys that a statement needs: {_text(error)}"
                f" ({_code(error)}). {_ROLLED_BACK} 'songswap check postgres' says what to do."
            )
        case errors.InsufficientPrivilege():
            return WarehouseRefused(
                f"The login of SongSwap_RDS lacks a right: {_text(error)} ({_code(error)})."
                " 'songswap check postgres' names the GRANTs that are needed; for 'songswap"
                " migrate' and 'songswap connect' take the login of the tables' owner."
            )
        case psycopg.OperationalError() if _is_too_many(error):
            return WarehouseUnavailable(
                f"{_WAREHOUSE} lets no more sessions in: {_text(error)}. A process of songswap"
                f" needs {NEEDED} and takes up to {MOST}, for as many processes as work at once"
                ' (docs/deployment.md, "Connections"). Raise max_connections, or the CONNECTION'
                " LIMIT of the login or the database, or let fewer work at once."
            )
        case psycopg.OperationalError() | psycopg.InterfaceError() if not isinstance(
            error, _REFUSED
        ):
            return WarehouseUnavailable(f"{_WAREHOUSE} refused or was lost: {_text(error)}")
    return WarehouseRefused(
        f"{_WAREHOUSE} refused a statement: {_text(error)} ({_code(error)}){_place(error)}."
        f" {_ROLLED_BACK}"
    )


def _is_too_many(error: psycopg.Error) -> bool:
    """Return whether there are too many sessions; an error of a connection has no SQLSTATE."""
    return isinstance(error, errors.TooManyConnections) or (
        error.sqlstate is None and bool(_TOO_MANY.search(str(error)))
    )


def _code(error: psycopg.Error) -> str:
    name = type(error).__name__
    return f"{name}, SQLSTATE {error.sqlstate}" if error.sqlstate else name


def _text(error: psycopg.Error) -> str:
    """Return the message of the server or psycopg; only its kind where it could quote a row.

    A trigger can raise any error with any text: then the context names its function.
    """
    state = error.sqlstate
    if state is None:
        return _attempts(str(error)) if isinstance(error, _OWN) else _DOES_NOT_FIT
    if _FUNCTION.search(error.diag.context or "") or isinstance(error, errors.RaiseException):
        return "a trigger or function of the database raised an error"
    if state[:2] in _NAMING_CLASSES:
        return (error.diag.message_primary or type(error).__name__).splitlines()[0]
    return _DOES_NOT_FIT if state[:2] in _DATA_CLASSES else "an error of its own"


def _attempts(text: str) -> str:
    """Return psycopg's message on a connection, or those of several hosts and addresses."""
    first, *others = text.strip().splitlines() or [_DOES_NOT_FIT]
    attempts = [line[2:] for line in others if line.startswith("- host: ")]
    # Libpq itself tries the hosts of a service, and writes a line each.
    attempts = attempts or [first, *(line for line in others if line.startswith("connection to "))]
    return "; ".join(dict.fromkeys(line.rpartition(_FAILED)[2] for line in attempts))


def _place(error: psycopg.Error) -> str:
    """Return the table, column, constraint and function that an error names."""
    diag = error.diag
    function = _FUNCTION.search(diag.context or "")
    names = {
        "table": diag.table_name,
        "column": diag.column_name,
        "constraint": diag.constraint_name,
        "function": function[1] if function else None,
    }
    place = ", ".join(f"{kind} {name}" for kind, name in names.items() if name)
    return f": {place}" if place else ""


def _holders(error: psycopg.Error) -> str:
    """Return who held the lock: `Watch` adds it as a note."""
    notes = getattr(error, "__notes__", [])
    return f" {notes[-1]}" if notes else ""
