"""Check that the warehouse can be reached, with the tables and rights that the pipeline needs."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from songswap.checks.sanity import postgres_log
from songswap.checks.sanity.context import CheckContext, Step, connection_named, installed
from songswap.errors import CheckFailed, WarehouseUnavailable
from songswap.settings.warehouse_dsn import dsn_of, places
from songswap.warehouse import deviations, namesake, rights, schema, tokens
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import VERSION, require_schema

CONNECTION = "SongSwap_RDS"
READ_ONLY = "SongSwap_RDS_ReadOnly"


def provider(_context: CheckContext) -> str:
    """Check that the provider of the connection's type and the pipeline's driver are installed."""
    return f"Installed: {installed('apache-airflow-providers-postgres', 'psycopg')}."


def connection(context: CheckContext) -> str:
    """Check that the connection is set."""
    return f"{CONNECTION} leads to {places(dsn_of(context.connection(CONNECTION)))}."


def query(context: CheckContext) -> str:
    """Run a query, on a server that can be written to."""
    with _warehouse(context) as warehouse:
        server = rights.server(warehouse)
    if server.read_only:
        raise CheckFailed(
            "PostgreSQL takes no changes: the session is read-only, as with a replica. Set the"
            f" primary's host in {connection_named(CONNECTION)}."
        )
    return f"PostgreSQL {server.version} responds."


def tables(context: CheckContext) -> str:
    """Check that every table exists, with the rights that the pipeline's role needs on it."""
    with _warehouse(context) as warehouse:
        missing = rights.missing_tables(warehouse)
        if missing:
            raise CheckFailed(
                f"Tables are missing: {', '.join(missing)}. Run 'songswap migrate', or correct the"
                f" schema (the database) of {connection_named(CONNECTION)}."
            )
        grants = rights.missing_grants(warehouse)
        to_erase = rights.missing_grants(warehouse, rights.NEEDED_TO_ERASE)
        differences = deviations.find(warehouse)
        fatal = [difference.sentence for difference in differences if difference.is_fatal]
        narrow = [] if grants or fatal else tokens.narrow_columns(warehouse)
        where, others = schema.find(warehouse), schema.others(warehouse)
        shadow = namesake.find(warehouse, where)
    if fatal:
        raise CheckFailed(
            "Loads cannot work with the platform's tables as they are. Have their owner do this."
            f" {' '.join(fatal)}"
        )
    if grants:
        raise CheckFailed(
            f"The login of {CONNECTION} lacks rights. Have the tables' owner run:"
            f" {'; '.join(grants)}"
        )
    sentences = [
        f"All {len(rights.NEEDED)} tables exist, with the rights that are needed; those of the"
        f" platform in schema {where}."
    ]
    if others:
        sentences.append(f"Such tables in schema {', '.join(others)} are not used.")
    sentences += [f"Loads work, but {difference.sentence}" for difference in differences]
    if to_erase:
        sentences.append(
            "Loads work, but to erase users the login lacks rights. Have the tables' owner run:"
            f" {'; '.join(to_erase)}."
        )
    if shadow:
        sentences.append(f"Loads work, but {shadow.sentence}")
    return " ".join(sentences + [column.sentence for column in narrow])


def version(context: CheckContext) -> str:
    """Check that the schema is at the version that this code needs."""
    with _warehouse(context) as warehouse:
        require_schema(warehouse)
    return f"The schema is at version {VERSION}."


def read_only(context: CheckContext) -> str:
    """Check, where it is set, that the connection of the page can read, and can write nothing."""
    if context.find_connection(READ_ONLY) is None:
        return f"{READ_ONLY} is not set here: Airflow's api-server needs it, for the page."
    with _warehouse(context, READ_ONLY) as warehouse:
        grants = rights.missing_grants_of_page(warehouse)
        surplus = rights.surplus_of_page(warehouse)
    if grants:
        raise CheckFailed(
            f"The login of {READ_ONLY} cannot read what the page in Airflow shows. Have the tables'"
            f" owner run: {'; '.join(grants)}"
        )
    if surplus:
        raise CheckFailed(
            f"The login of {READ_ONLY} may do more than read what the page shows:"
            f" {'; '.join(surplus)}. Whoever breaks into Airflow's api-server could do it. Give the"
            " connection a login of its own, as docs/deployment.md says."
        )
    return f"The login of {READ_ONLY} can read what the page in Airflow shows, and write nothing."


def log(context: CheckContext) -> str:
    """Report whether the server logs tokens, and how to stop it; never fails."""
    with _warehouse(context) as warehouse:
        return postgres_log.sentence(warehouse)


STEPS = (
    Step("provider", provider),
    Step("connection", connection),
    Step("query", query),
    Step("tables", tables),
    Step("version", version),
    Step("read_only", read_only),
    Step("log", log),
)


@contextmanager
def _warehouse(context: CheckContext, name: str = CONNECTION) -> Iterator[psycopg.Connection]:
    try:
        with connect(dsn_of(context.connection(name), f"The connection {name}")) as warehouse:
            yield warehouse
    except WarehouseUnavailable as error:
        why = str(error).rstrip(".").replace(f"(connection {CONNECTION})", f"(connection {name})")
        raise CheckFailed(
            f"{why}. Start PostgreSQL, open the route to it, or correct host, port,"
            f" login, password and schema of {connection_named(name)}."
        ) from error
