"""Airflow's connections and variables → the pipeline's settings."""

import json
import os

from airflow.sdk import Connection, Variable
from airflow.sdk.exceptions import AirflowNotFoundException

from songswap import settings
from songswap.addresses import plain_hosts
from songswap.alerts.webhook import Webhook
from songswap.errors import SettingsError


def read_settings() -> settings.Settings:
    """The settings of a task, from wherever Airflow keeps its connections and variables.

    ``SPOTIFY_…`` and ``SONGSWAP_…`` come from the environment.

    Raises:
        SettingsError: one is missing or cannot be read.
        AirflowNotFoundException: a connection is not defined; Airflow's text names it.
    """
    return settings.build(
        os.environ,
        warehouse=_connection("SongSwap_RDS"),
        s3=_connection("SongSwap_S3_PutOnly"),
        s3_read=find_connection("SongSwap_S3_ReadOnly"),
        bucket=Variable.get("bucket_name"),
    )


def read_warehouse() -> str:
    """Where the warehouse is, as libpq is told.

    Raises:
        SettingsError: it cannot be read.
        AirflowNotFoundException: the connection is not defined; Airflow's text names it.
    """
    return settings.dsn_of(_connection("SongSwap_RDS"))


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
    return settings.archive_of(
        _connection("SongSwap_S3_TestPutGetDelete"), Variable.get("bucket_name"), os.environ
    )


def find_connection(name: str) -> settings.Connection | None:
    """A connection; None where it is not defined.

    Raises:
        SettingsError: its extra cannot be read.
    """
    try:
        return _connection(name)
    except AirflowNotFoundException:
        return None
    except (ValueError, AttributeError):
        raise SettingsError(
            f"The extra of the connection {name} is not a JSON object. Correct it in Airflow's UI"
            f" (Admin, Connections) or in AIRFLOW_CONN_{name.upper()} in the environment."
        ) from None


def find_variable(name: str) -> str | None:
    """A variable; None where it is not defined."""
    found: str | None = Variable.get(name, default=None)
    return found


def _connection(name: str) -> settings.Connection:
    found = Connection.get(name)
    extra = json.loads(found.extra) if found.extra else {}
    return settings.Connection(
        type=found.conn_type or "",
        host=found.host or "",
        port=found.port,
        login=found.login or "",
        password=found.password or "",
        schema=found.schema or "",
        extra={key: str(value) for key, value in extra.items()},
    )
