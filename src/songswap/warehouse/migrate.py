"""Bring the warehouse's tables to the version that this code needs, or back by one."""

from pathlib import Path
from typing import NamedTuple

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config

from songswap.errors import CodeOutdated, SchemaOutdated, SettingsError
from songswap.warehouse import migration_rights, namesake, schema, version
from songswap.warehouse.error_translation import translate_errors, translated
from songswap.warehouse.locks import lock_migrations
from songswap.warehouse.session import Session
from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import limits_of_migrations

VERSION = "0011"
"""The version of the schema that this code reads and writes."""

OLDEST = "0005"
"""The version to which it can be taken back: before it, imports would be forgotten."""

_SQL = statements("migrate.sql")


class Migrated(NamedTuple):
    """The schema that has the platform's tables, and what the operator has to know besides."""

    platform: str
    advice: str


def migrate(dsn: str, to: str = VERSION) -> Migrated:
    """Create what is missing and upgrade the pipeline's own schema; safe to run at any time.

    Tables of the platform that exist already are left alone. All of it is one transaction.

    Args:
        dsn: a libpq connection string of the warehouse.
        to: the version to go to; an earlier one takes the schema back, for code of that version.

    Raises:
        SettingsError: it cannot be taken back so far; nothing was changed.
        CodeOutdated: the schema is of a later version than this code; nothing was changed.
        WarehouseUnavailable, WarehouseRefused: PostgreSQL cannot be reached, or refused; nothing
            was changed.
    """
    if not OLDEST <= to <= VERSION:
        raise SettingsError(
            f"This code can take the schema to the versions {OLDEST} to {VERSION}, not to {to!r}."
            " Nothing was changed."
        )
    within = limits_of_migrations()
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: Session.connect(dsn, limits=within),
        poolclass=sqlalchemy.NullPool,
    )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with translate_errors():
        try:
            with engine.begin() as connection:
                platform, found = _open(connection, to)
                config.attributes["connection"] = connection
                goes_back = found is not None and found > to
                (command.downgrade if goes_back else command.upgrade)(config, to)
                if found != to:
                    version.rename(_driver(connection), version.table_of(to))
                advice = _advice(_driver(connection), platform, to)
        except sqlalchemy.exc.DBAPIError as error:
            # Its text has the whole migration in it.
            if isinstance(error.orig, psycopg.Error):
                raise translated(error.orig) from None
            raise
    return Migrated(platform, advice)


def require_schema(connection: psycopg.Connection) -> None:
    """Raise unless the tables are at the version that this code needs.

    Raises:
        SchemaOutdated: they are missing, or of an earlier version.
        CodeOutdated: they are of a later version.
        psycopg.errors.InsufficientPrivilege: the login may not read the version.
    """
    stored = version.read(connection)
    version.require_readable(connection, stored)
    found = stored.number
    _require_known(found)
    if found != VERSION:
        raise SchemaOutdated(
            f"The warehouse's schema is at version {found or 'none'} and {VERSION} is needed."
            " Run 'songswap migrate', then clear the run."
        )


def _advice(connection: Session, platform: str, to: str) -> str:
    told = [namesake.keep_search_path(connection, platform)]
    if to == VERSION:
        told.append(migration_rights.for_loads(connection))
    return " ".join(filter(None, told))


def _driver(connection: sqlalchemy.Connection) -> Session:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, Session)  # noqa: S101 - the engine's creator makes no other
    return driver


def _open(connection: sqlalchemy.Connection, to: str) -> tuple[str, str | None]:
    """Begin: alone, with a schema to work in.

    Returns:
        The schema of the platform's tables, and the version of ours, None before the first.

    Raises:
        CodeOutdated: the schema is of a later version than this code.
        WarehouseRefused: the login lacks a right that it takes.
    """
    driver = _driver(connection)
    # Two that migrate at once wait for each other instead of failing halfway.
    lock_migrations(driver)
    platform = schema.find(driver)
    found = version.read(driver).number
    _require_known(found)
    namesake.require_own_schema(driver, platform)
    if found != to:
        migration_rights.require(driver, platform, found, to)
        version.rename(driver, version.TABLE)
    # The right to create a schema is asked for even where it is there.
    if not connection.exec_driver_sql(_SQL["has_schema"].decode()).scalar():
        connection.exec_driver_sql("CREATE SCHEMA songswap")
    return platform, found


def _require_known(found: str | None) -> None:
    if found is not None and found > VERSION:
        raise CodeOutdated(
            f"The warehouse's schema is at version {found}, which is newer than this code, and"
            f" {VERSION} is needed: install the newer version of songswap. To go on with this one,"
            f" take the schema back with the newer one first: 'songswap migrate --to {VERSION}'."
        )
