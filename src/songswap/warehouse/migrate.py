"""Bring the warehouse's tables to the version that this code needs."""

from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config

from songswap.errors import SchemaOutdated
from songswap.warehouse.connection import naming_trouble, session

VERSION = "0006"
"""The version of the schema that this code reads and writes."""

# Any number; it only has to be the same for all who migrate.
_LOCK = 7_317_529


def migrate(dsn: str) -> None:
    """Create what is missing and upgrade the pipeline's own schema; safe to run at any time.

    Tables of the platform that exist already are left alone.

    Args:
        dsn: a libpq connection string of the warehouse.

    Raises:
        WarehouseUnavailable: PostgreSQL cannot be reached.
    """
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(session(dsn)),
        poolclass=sqlalchemy.NullPool,
    )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with naming_trouble(), psycopg.connect(session(dsn), autocommit=True) as guard:
        # Two that migrate at once wait for each other instead of failing halfway.
        guard.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        guard.execute("CREATE SCHEMA IF NOT EXISTS songswap")
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, VERSION)
            connection.commit()


def require_schema(connection: psycopg.Connection) -> None:
    """Raise `SchemaOutdated` unless the tables are at the version that this code needs."""
    found: str | None = None
    try:
        row = connection.execute("SELECT version_num FROM songswap.alembic_version").fetchone()
        found = row[0] if row else None
    except psycopg.errors.UndefinedTable:
        pass
    if found != VERSION:
        raise SchemaOutdated(
            f"The warehouse's schema is at version {found or 'none'} and {VERSION} is needed."
            " Run 'songswap migrate', then clear the run."
        )
