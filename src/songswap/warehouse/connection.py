"""Connections to the warehouse: UTC inside, and errors that an operator can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo

from songswap.errors import SchemaOutdated, WarehouseUnavailable


def session(dsn: str) -> str:
    """``dsn`` with the settings that every session of the pipeline needs."""
    return make_conninfo(
        dsn,
        # "History" holds UTC without a zone: a session in another would shift times by hours. And a
        # role named like the pipeline's schema would find and make the platform's tables in there.
        options="-c TimeZone=UTC -c search_path=public",
        application_name="songswap",
        connect_timeout="10",
    )


@contextmanager
def connect(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection that is closed at the end; transactions are up to the caller.

    Raises:
        WarehouseUnavailable: PostgreSQL refused the connection, or it was lost on the way.
        SchemaOutdated: a table that is needed is not there.
    """
    with naming_trouble(), psycopg.connect(session(dsn), autocommit=True) as connection:
        yield connection


@contextmanager
def naming_trouble() -> Iterator[None]:
    """Turn what psycopg says of a lost server or missing tables into the pipeline's own errors."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise SchemaOutdated(
            "A table is missing in the warehouse. Run 'songswap migrate' and start again."
        ) from error
    except psycopg.OperationalError as error:
        detail = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WarehouseUnavailable(
            f"The warehouse (connection SongSwap_RDS) refused or was lost: {detail}"
        ) from error
