"""Does the warehouse answer, with the tables and the rights that the pipeline needs?"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from songswap.checks.sanity import postgres_log
from songswap.checks.sanity.given import Given, Step, connection_named, installed
from songswap.errors import CheckFailed, WarehouseUnavailable
from songswap.settings.warehouse_dsn import dsn_of, places
from songswap.warehouse import deviations, namesake, rights, schema, tokens
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import VERSION, require_schema

CONNECTION = "SongSwap_RDS"


def provider(_given: Given) -> str:
    """The provider of the connection's type is installed, and the driver of the pipeline."""
    return f"Installed: {installed('apache-airflow-providers-postgres', 'psycopg')}."


def connection(given: Given) -> str:
    """The connection is set."""
    return f"{CONNECTION} leads to {places(dsn_of(given.connection(CONNECTION)))}."


def query(given: Given) -> str:
    """A query is answered, by a server that can be written to."""
    with _warehouse(given) as warehouse:
        server = rights.server(warehouse)
    if server.read_only:
        raise CheckFailed(
            "PostgreSQL takes no changes: the session is read-only, as with a replica. Set the"
            f" primary's host in {connection_named(CONNECTION)}."
        )
    return f"PostgreSQL {server.version} answers."


def tables(given: Given) -> str:
    """Every table is there, and the pipeline's role may do with it what it has to."""
    with _warehouse(given) as warehouse:
        missing = rights.missing_tables(warehouse)
        if missing:
            raise CheckFailed(
                f"Tables are missing: {', '.join(missing)}. Run 'songswap migrate', or correct the"
                f" schema (the database) of {connection_named(CONNECTION)}."
            )
        grants = rights.missing_grants(warehouse)
        found = deviations.find(warehouse)
        fatal = [one.sentence for one in found if one.is_fatal]
        narrow = [] if grants or fatal else tokens.narrow_columns(warehouse)
        where, others = schema.find(warehouse), schema.others(warehouse)
        shadow = namesake.find(warehouse, where)
    if fatal:
        raise CheckFailed(
            "The platform's tables are not as loads need them. Have their owner do this."
            f" {' '.join(fatal)}"
        )
    if grants:
        raise CheckFailed(
            f"The login of {CONNECTION} lacks rights. Have the tables' owner run:"
            f" {'; '.join(grants)}"
        )
    told = [
        f"All {len(rights.NEEDED)} tables are there, with the rights that are needed; those of the"
        f" platform in schema {where}."
    ]
    if others:
        told.append(f"Such tables in schema {', '.join(others)} are not used.")
    told += [f"Loads go on, but {one.sentence}" for one in found]
    if shadow:
        told.append(f"Loads go on, but {shadow.sentence}")
    return " ".join(told + [column.sentence for column in narrow])


def version(given: Given) -> str:
    """The schema is at the version that this code needs."""
    with _warehouse(given) as warehouse:
        require_schema(warehouse)
    return f"The schema is at version {VERSION}."


def log(given: Given) -> str:
    """The server's log has no tokens in it, or how to keep them out."""
    with _warehouse(given) as warehouse:
        return postgres_log.sentence(warehouse)


STEPS = (
    Step("provider", provider),
    Step("connection", connection),
    Step("query", query),
    Step("tables", tables),
    Step("version", version),
    Step("log", log),
)


@contextmanager
def _warehouse(given: Given) -> Iterator[psycopg.Connection]:
    try:
        with connect(dsn_of(given.connection(CONNECTION))) as warehouse:
            yield warehouse
    except WarehouseUnavailable as error:
        why = str(error).rstrip(".")
        raise CheckFailed(
            f"{why}. Start PostgreSQL, open the way to it, or correct host, port,"
            f" login, password and schema of {connection_named(CONNECTION)}."
        ) from error
