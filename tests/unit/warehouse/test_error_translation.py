"""Errors of PostgreSQL become sentences that quote no row."""

import psycopg
import pytest
from psycopg import errors

from songswap.errors import (
    PlatformUnfit,
    SchemaOutdated,
    SongSwapError,
    WarehouseBusy,
    WarehouseRefused,
    WarehouseUnavailable,
)
from songswap.warehouse.error_translation import MOST, NEEDED, translate, translate_errors

CLASSES = {
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, psycopg.Error)
}
QUOTING = (psycopg.DataError, psycopg.IntegrityError, errors.RaiseException, errors.InternalError)


def test_every_error_is_a_sentence() -> None:
    """Whatever psycopg raises is one of the pipeline's own, and has no cause that prints more."""
    assert len(CLASSES) > 200
    for kind in CLASSES:
        with pytest.raises(SongSwapError) as raised, translate_errors():
            raise kind("heard-it\nDETAIL: heard-it")
        assert "DETAIL" not in str(raised.value)
        assert raised.value.__suppress_context__
        if issubclass(kind, QUOTING):
            assert "heard-it" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "branch"),
    [
        (errors.LockNotAvailable, WarehouseBusy),
        (errors.QueryCanceled, WarehouseBusy),
        (errors.DeadlockDetected, WarehouseBusy),
        (errors.ConnectionTimeout, WarehouseUnavailable),
        (errors.AdminShutdown, WarehouseUnavailable),
        (errors.TooManyConnections, WarehouseUnavailable),
        (errors.IdleInTransactionSessionTimeout, WarehouseUnavailable),
        (psycopg.InterfaceError, WarehouseUnavailable),
        (errors.UndefinedTable, SchemaOutdated),
        (errors.ReadOnlySqlTransaction, WarehouseRefused),
        (errors.InsufficientPrivilege, WarehouseRefused),
        (errors.DiskFull, WarehouseRefused),
        (errors.UndefinedColumn, PlatformUnfit),
        (errors.RaiseException, WarehouseRefused),
        (errors.UniqueViolation, WarehouseRefused),
    ],
)
def test_outage_and_refusal_are_different_errors(
    kind: type[psycopg.Error], branch: type[SongSwapError]
) -> None:
    """Trying again helps against the former only."""
    assert type(translate(kind())) is branch


def test_error_names_the_session_in_the_way() -> None:
    """By the note of its watch."""
    error = errors.LockNotAvailable()
    error.add_note("Held by psql (pid 7).")
    assert "Held by psql (pid 7)." in str(translate(error))


@pytest.mark.parametrize(
    "said",
    [
        'connection to server at "h", port 5432 failed: FATAL:  sorry, too many clients already',
        'connection failed: FATAL:  too many connections for role "songswap"',
        'FATAL:  too many connections for database "songswap"',
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "FATAL:  no more connections allowed (max_client_conn)",
    ],
)
def test_too_many_connections(said: str) -> None:
    """How many are needed is said, whichever limit was reached."""
    text = str(translate(psycopg.OperationalError(said)))
    assert f"needs {NEEDED} and takes up to {MOST}" in text
    assert "CONNECTION LIMIT" in text


def test_each_of_several_hosts_says_why_it_failed() -> None:
    """Once, by psycopg's words and by libpq's."""
    of_psycopg = (
        'connection failed: connection to server at "b" failed: Connection refused\n'
        "Multiple connection attempts failed. All failures were:\n"
        "- host: 'a', port: '1', hostaddr: '10.0.0.1': connection failed: connection to server at"
        ' "a" failed: session is read-only\n'
        "- host: 'b', port: '1', hostaddr: '10.0.0.2': connection timeout expired\n"
        "- host: 'b', port: '1', hostaddr: '10.0.0.3': connection timeout expired"
    )
    of_libpq = (
        'connection failed: connection to server at "a" failed: session is read-only\n'
        "\tIs the server running?\n"
        'connection to server on socket "/b" failed: No such file or directory'
    )
    first = str(translate(psycopg.OperationalError(of_psycopg)))
    assert "connection to server at \"a\" failed: session is read-only; host: 'b'" in first
    assert "timeout expired" in first
    second = str(translate(psycopg.OperationalError(of_libpq)))
    assert 'session is read-only; connection to server on socket "/b" failed: No such' in second
