"""Airflow's connections and variables → the pipeline's settings."""

import os
from typing import TYPE_CHECKING

from airflow.sdk import Connection, Variable
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from songswap import settings
from songswap.alerts.webhook import SERVICES, Webhook
from songswap.checks.sanity.context import connection_named, variable_named
from songswap.errors import SettingsError
from songswap.settings import airflow_connection, spotify_connection
from songswap.settings.addresses import plain_hosts
from songswap.settings.warehouse_dsn import dsn_of

if TYPE_CHECKING:
    from songswap.alerts.services import Services


def read_settings() -> settings.Settings:
    """Read a task's settings from Airflow's connections and variables.

    ``SONGSWAP_…`` come from the environment; so do ``SPOTIFY_…`` if there is no connection
    ``SongSwap_Spotify``.

    Raises:
        SettingsError: a setting is missing or cannot be read; no retry sets it.
    """
    return settings.build(
        os.environ,
        warehouse=_connection("SongSwap_RDS"),
        s3=_connection("SongSwap_S3_PutOnly"),
        s3_read=find_connection("SongSwap_S3_ReadOnly"),
        s3_erase=find_connection("SongSwap_S3_Erase"),
        spotify=find_connection(spotify_connection.NAME),
        bucket=_variable("bucket_name"),
    )


def read_warehouse() -> str:
    """Return libpq's connection string of the warehouse.

    Raises:
        SettingsError: it is not set, or cannot be read.
    """
    return dsn_of(_connection("SongSwap_RDS"))


def read_read_only_warehouse() -> str:
    """Return libpq's connection string for what only reads, such as the page.

    The pipeline's own login never takes its place.

    Raises:
        SettingsError: it is not set, or cannot be read.
    """
    name = "SongSwap_RDS_ReadOnly"
    found = find_connection(name)
    if found is None:
        raise SettingsError(
            "Airflow's api-server has no connection to the warehouse: nothing can be shown. Set"
            f" {connection_named(name)}, with a login that can only read; docs/deployment.md has"
            " its rights, and `songswap check postgres` checks them."
        )
    return dsn_of(found, f"The connection {name}")


def find_webhook() -> Webhook | None:
    """Read the engineers' webhook, from ``Discord_Notifier`` or ``discord_webhook_endpoint``.

    Returns: None where neither is set.

    Raises:
        SettingsError: what is set is not a webhook.
    """
    connection = find_connection("Discord_Notifier")
    variable = find_variable("discord_webhook_endpoint")
    if connection is None and not variable:
        return None
    return Webhook.parse(connection, variable, plain_hosts(os.environ))


def find_services() -> "Services | None":
    """Read which other services get messages, from ``SongSwap_Alerts``; None where it is not set.

    Raises:
        SettingsError: the connection cannot be read.
    """
    from songswap.alerts import services

    connection = find_connection(SERVICES)
    if connection is None:
        return None
    # Errors of other code about a lost connection quote the whole address.
    for secret in services.secrets(connection):
        mask_secret(secret)
    return services.Services.parse(connection, plain_hosts(os.environ))


def read_test_archive() -> settings.Archive:
    """Return the bucket with the tests' key, which may also read and delete the tests' objects.

    Raises:
        SettingsError: it, or the bucket, is not set or cannot be read.
    """
    name = "SongSwap_S3_TestPutGetDelete"
    return settings.archive_of(_connection(name), _variable("bucket_name"), os.environ, name)


def find_connection(name: str) -> airflow_connection.Connection | None:
    """Return a connection; None where it is not defined.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        found = Connection.get(name)
    except AirflowNotFoundException:
        # Airflow also raises it for a text that it cannot parse, such as several hosts with ports.
        variable = f"AIRFLOW_CONN_{name.upper()}"
        text = os.environ.get(variable, "").strip()
        if not text:
            return None
        read = airflow_connection.parse_connection(variable, text)
        mask_secret(read.password)
        return read
    fields = ("conn_type", "host", "port", "login", "password", "schema", "extra")
    parts = {part: getattr(found, part) for part in fields}
    return airflow_connection.Connection.of(connection_named(name), parts)


def find_variable(name: str) -> str | None:
    """Return a variable; None where it is not defined."""
    found: str | None = Variable.get(name, default=None)
    return found


def _connection(name: str) -> airflow_connection.Connection:
    found = find_connection(name)
    if found is None:
        raise SettingsError(f"Not set: {connection_named(name)}.")
    return found


def _variable(name: str) -> str:
    found = find_variable(name)
    if not found:
        raise SettingsError(f"Not set: {variable_named(name)}.")
    return found
