"""Airflow's connections and variables → the pipeline's settings."""

import os

from airflow.sdk import Connection, Variable
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from songswap import settings
from songswap.alerts.webhook import Webhook
from songswap.checks.sanity.context import connection_named
from songswap.settings import airflow_connection, spotify_connection
from songswap.settings.addresses import plain_hosts
from songswap.settings.warehouse_dsn import dsn_of


def read_settings() -> settings.Settings:
    """The settings of a task, from wherever Airflow keeps its connections and variables.

    ``SONGSWAP_…`` come from the environment, and ``SPOTIFY_…`` where ``SongSwap_Spotify`` is not
    defined.

    Raises:
        SettingsError: one is missing or cannot be read.
        AirflowNotFoundException: a connection is not defined; Airflow's text names it.
    """
    return settings.build(
        os.environ,
        warehouse=_connection("SongSwap_RDS"),
        s3=_connection("SongSwap_S3_PutOnly"),
        s3_read=find_connection("SongSwap_S3_ReadOnly"),
        spotify=find_connection(spotify_connection.NAME),
        bucket=Variable.get("bucket_name"),
    )


def read_warehouse() -> str:
    """Where the warehouse is, as libpq is told.

    Raises:
        SettingsError: it cannot be read.
        AirflowNotFoundException: the connection is not defined; Airflow's text names it.
    """
    return dsn_of(_connection("SongSwap_RDS"))


def read_webhook() -> Webhook:
    """Where the engineers are told, from ``Discord_Notifier`` or ``discord_webhook_endpoint``.

    Raises:
        SettingsError: neither is set, or what is set is not a webhook.
    """
    connection = find_connection("Discord_Notifier")
    variable = find_variable("discord_webhook_endpoint")
    return Webhook.parse(connection, variable, plain_hosts(os.environ))


def read_test_archive() -> settings.Archive:
    """The bucket as the tests' connection opens it, which may read and delete its own objects too.

    Raises:
        AirflowNotFoundException: the connection is not defined; Airflow's text names it.
    """
    name = "SongSwap_S3_TestPutGetDelete"
    return settings.archive_of(_connection(name), Variable.get("bucket_name"), os.environ, name)


def find_connection(name: str) -> airflow_connection.Connection | None:
    """A connection; None where it is not defined.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return _connection(name)
    except AirflowNotFoundException:
        return None


def find_variable(name: str) -> str | None:
    """A variable; None where it is not defined."""
    found: str | None = Variable.get(name, default=None)
    return found


def _connection(name: str) -> airflow_connection.Connection:
    try:
        found = Connection.get(name)
    except AirflowNotFoundException:
        # What Airflow cannot read it takes for not defined, such as several hosts with their ports.
        variable = f"AIRFLOW_CONN_{name.upper()}"
        text = os.environ.get(variable, "").strip()
        if not text:
            raise
        read = airflow_connection.parse_connection(variable, text)
        mask_secret(read.password)
        return read
    fields = ("conn_type", "host", "port", "login", "password", "schema", "extra")
    parts = {part: getattr(found, part) for part in fields}
    return airflow_connection.Connection.of(connection_named(name), parts)
