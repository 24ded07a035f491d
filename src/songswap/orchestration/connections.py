"""Airflow's connections and variables → the pipeline's settings."""

import json
import os

from airflow.sdk import Connection, Variable

from songswap import settings


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
        bucket=Variable.get("bucket_name"),
    )


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
