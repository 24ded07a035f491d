"""Bring the warehouse's tables to the version that this code needs, or back to an earlier one.

Alembic is imported by a migration alone: everything that loads requires the version, and the import
takes longer than that of all the rest.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from songswap.errors import CodeOutdated, SchemaOutdated, SettingsError
from songswap.warehouse import migration_rights, namesake, schema, version
from songswap.warehouse.error_translation import translate, translate_errors
from songswap.warehouse.locks import lock_migrations
from songswap.warehouse.session import Session
from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import limits_of_migrations

if TYPE_CHECKING:
    import sqlalchemy

VERSION = "0014"
"""The version of the schema that this code reads and writes."""

OLDEST = "0005"
"""The oldest version to go back to: an earlier one has no table of imports."""

_SQL = statements("migrate.sql")


class Migrated(NamedTuple):
    """The schema of the platform's tables, and advice for the operator."""

    platform: str
    advice: str


def migrate(dsn: str, to: str = VERSION) -> Migrated:
    """Create missing tables and upgrade the pipeline's own schema; safe to run at any time.

    Existing tables of the platform are not changed. All of it is one transaction.

    Args:
        dsn: a libpq connection string of the warehouse.
        to: the version to go to; an earlier one is for code of that version.

    Raises:
        SettingsError: this code cannot go to that version; nothing was changed.
        CodeOutdated: the schema is newer than this code; nothing was changed.
        WarehouseUnavailable, WarehouseRefused: PostgreSQL cannot be reached, or refused; nothing
            was changed.
    """
    import sqlalchemy
    from alembic import command
    from alembic.config import Config

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
                platform, found = _prepare(connection, to)
                config.attributes["connection"] = connection
                is_downgrade = found is not None and found > to
                (command.downgrade if is_downgrade else command.upgrade)(config, to)
                if found != to:
                    version.rename(_driver(connection), version.table_of(to))
                advice = _advice(_driver(connection), platform, to)
        except sqlalchemy.exc.DBAPIError as error:
            # Its text holds the whole migration.
            if isinstance(error.orig, psycopg.Error):
                raise translate(error.orig) from None
            raise
    return Migrated(platform, advice)


def require_schema(connection: psycopg.Connection) -> None:
    """Raise unless the tables have the version that this code needs.

    Raises:
        SchemaOutdated: they are missing, or older.
        CodeOutdated: they are newer.
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
    sentences = [namesake.fix_search_path(connection, platform)]
    if to == VERSION:
        sentences.append(migration_rights.for_loads(connection))
    return " ".join(filter(None, sentences))


def _driver(connection: "sqlalchemy.Connection") -> Session:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, Session)  # noqa: S101 - the engine's creator makes no other
    return driver


def _prepare(connection: "sqlalchemy.Connection", to: str) -> tuple[str, str | None]:
    """Take the lock, check versions and rights, and create our schema.

    Returns:
        The schema of the platform's tables, and the version of ours, None before the first.

    Raises:
        CodeOutdated: the schema is newer than this code.
        WarehouseRefused: the login lacks a right.
    """
    driver = _driver(connection)
    # Concurrent migrations wait for each other instead of failing halfway.
    lock_migrations(driver)
    platform = schema.find(driver)
    found = version.read(driver).number
    _require_known(found)
    namesake.require_own_schema(driver, platform)
    if found != to:
        migration_rights.require(driver, platform, found, to)
        version.rename(driver, version.TABLE)
    # CREATE SCHEMA IF NOT EXISTS needs the right to create one even where it exists.
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
