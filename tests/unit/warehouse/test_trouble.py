"""Errors of PostgreSQL become sentences that quote no row."""

import psycopg
import pytest
from psycopg import errors

from songswap.errors import (
    SchemaOutdated,
    SongSwapError,
    WarehouseBusy,
    WarehouseRefused,
    WarehouseUnavailable,
)
from songswap.warehouse.trouble import naming_trouble, translated

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
        with pytest.raises(SongSwapError) as raised, naming_trouble():
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
        (errors.UndefinedColumn, WarehouseRefused),
        (errors.RaiseException, WarehouseRefused),
        (errors.UniqueViolation, WarehouseRefused),
    ],
)
def test_outages_are_told_from_refusals(
    kind: type[psycopg.Error], branch: type[SongSwapError]
) -> None:
    """What trying again can mend is another error than what it cannot."""
    assert type(translated(kind())) is branch


def test_who_is_in_the_way() -> None:
    """The note of a session's watch is part of the sentence."""
    error = errors.LockNotAvailable()
    error.add_note("Held by psql (pid 7).")
    assert "Held by psql (pid 7)." in str(translated(error))
