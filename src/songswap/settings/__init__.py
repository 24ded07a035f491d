"""The pipeline's settings, parsed once and passed on.

In production they are Airflow connections and variables, from any of Airflow's backends
(`songswap.orchestration.connections`). The command line reads the same names from the environment,
as Airflow does: ``AIRFLOW_CONN_<ID>`` as a URI or JSON, ``AIRFLOW_VAR_<NAME>``.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from songswap.errors import SettingsError
from songswap.settings import addresses, spotify_connection
from songswap.settings.addresses import plain_hosts
from songswap.settings.airflow_connection import Connection, parse_connection
from songswap.settings.numbers import whole as _whole
from songswap.settings.s3_connection import Archive as Archive
from songswap.settings.s3_connection import parse_archive
from songswap.settings.warehouse_dsn import dsn_of

API_URL = "https://api.spotify.com/v1"
ACCOUNTS_URL = "https://accounts.spotify.com"
RECCOBEATS_URL = "https://api.reccobeats.com"

_KEEP_TOKENS = "SONGSWAP_KEEP_TOKENS_HOURS"


@dataclass(frozen=True, slots=True)
class Spotify:
    """The addresses of the Web API, the app's credentials, and the client's limits and timeouts.

    ReccoBeats serves features where Spotify denies them to the app; the same limits hold for it.
    ``window_s`` is the rolling window in which Spotify counts an app's requests; a pause of up to
    ``longest_wait_s`` is waited for, and so one until the window has passed. ``token_tries`` is
    how often a refresh token is sent while its response may have been lost: Spotify may have
    rotated the token, and repeats the new one for a few minutes only.
    """

    client_id: str
    client_secret: str = field(repr=False)
    api_url: str = API_URL
    accounts_url: str = ACCOUNTS_URL
    reccobeats_url: str = RECCOBEATS_URL
    in_flight: int = 64
    tries: int = 4
    token_tries: int = 8
    first_wait_s: float = 0.5
    longest_wait_s: float = 35.0
    timeout_s: float = 20.0
    window_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the pipeline.

    ``archive`` has the pipeline's key, which may only put; ``library`` and ``eraser`` are the same
    bucket with the keys that may read, and list and delete, if there are such. A stream of an
    export is a play from ``play_ms`` of listening on. ``keep_tokens`` is for how long the spool
    keeps rotated tokens that the warehouse has. A run warns when it finds fewer users than the run
    before, by more than ``lost_users_share`` and ``lost_users_at_least``. A user who disconnects
    has to be erased within ``erase_after``; with ``erases_due``, that happens by itself. ``host``
    is the name under which this machine reports what waits in its spool.
    """

    warehouse_dsn: str = field(repr=False)
    spotify: Spotify
    archive: Archive
    spool: Path
    library: Archive | None = None
    eraser: Archive | None = None
    spool_max_bytes: int = 2048 * 2**20
    batch_size: int = 500
    stale_after: timedelta = timedelta(days=1)
    refused_share: float = 0.05
    refused_at_least: int = 10
    lost_users_share: float = 0.2
    lost_users_at_least: int = 3
    play_ms: int = 30_000
    keep_tokens: timedelta = timedelta(days=2)
    erase_after: timedelta = timedelta(days=5)
    erases_due: bool = False
    host: str = field(default_factory=socket.gethostname)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables, for use without Airflow.

    Raises:
        SettingsError: one is missing or cannot be parsed; the text names it.
    """
    return build(
        environment,
        warehouse=_from_variable(environment, "AIRFLOW_CONN_SONGSWAP_RDS"),
        s3=_from_variable(environment, "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY"),
        s3_read=_if_set(environment, "AIRFLOW_CONN_SONGSWAP_S3_READONLY"),
        s3_erase=_if_set(environment, "AIRFLOW_CONN_SONGSWAP_S3_ERASE"),
        spotify=_if_set(environment, spotify_connection.VARIABLE),
        bucket=_required(environment, "AIRFLOW_VAR_BUCKET_NAME"),
    )


def warehouse_dsn(environment: Mapping[str, str]) -> str:
    """Read the warehouse's libpq connection string from the environment.

    Raises:
        SettingsError: the connection is missing or cannot be parsed.
    """
    name = "AIRFLOW_CONN_SONGSWAP_RDS"
    return dsn_of(_from_variable(environment, name), name)


def read_only_dsn(environment: Mapping[str, str]) -> str:
    """Read the connection string for what only reads: a login with SELECT alone, where one is set.

    Raises:
        SettingsError: no connection to the warehouse is set, or it cannot be parsed.
    """
    name = "AIRFLOW_CONN_SONGSWAP_RDS_READONLY"
    connection = _if_set(environment, name)
    return dsn_of(connection, name) if connection else warehouse_dsn(environment)


def spool_folder(environment: Mapping[str, str]) -> Path:
    """Read the spool's folder from the environment.

    Raises:
        SettingsError: it is not set.
    """
    return Path(_required(environment, "SONGSWAP_SPOOL"))


def spotify_environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Apply the connection to Spotify, if the environment defines it, to its other variables.

    Raises:
        SettingsError: the connection cannot be parsed.
    """
    connection = _if_set(environment, spotify_connection.VARIABLE)
    return spotify_connection.with_connection(environment, connection)


def spotify_of(environment: Mapping[str, str]) -> Spotify:
    """Read the settings of Spotify from the variables ``SPOTIFY_…``.

    Raises:
        SettingsError: a credential is missing, or an address is invalid or lacks TLS.
    """
    return Spotify(
        client_id=_required(environment, "SPOTIFY_CLIENT_ID"),
        client_secret=_required(environment, "SPOTIFY_CLIENT_SECRET"),
        api_url=_address(environment, "SPOTIFY_API_URL", API_URL),
        accounts_url=_address(environment, "SPOTIFY_ACCOUNTS_URL", ACCOUNTS_URL),
        reccobeats_url=_address(environment, "RECCOBEATS_URL", RECCOBEATS_URL),
        in_flight=_whole(environment, "SONGSWAP_IN_FLIGHT", 64, 1, 1000),
    )


def build(
    environment: Mapping[str, str],
    *,
    warehouse: Connection,
    s3: Connection,
    bucket: str,
    s3_read: Connection | None = None,
    s3_erase: Connection | None = None,
    spotify: Connection | None = None,
) -> Settings:
    """Build the settings from the platform's connections and the environment's other variables.

    Args:
        s3_read: the connection that may read the archive, if there is one.
        s3_erase: the connection that may list and delete users' objects there, if there is one.
        spotify: the connection with the app's credentials, if there is one; it wins over the
            environment.

    Raises:
        SettingsError: one is missing or cannot be parsed; the text names it.
    """
    return Settings(
        warehouse_dsn=dsn_of(warehouse),
        spotify=spotify_of(spotify_connection.with_connection(environment, spotify)),
        archive=archive_of(s3, bucket, environment, "SongSwap_S3_PutOnly"),
        library=archive_of(s3_read, bucket, environment, "SongSwap_S3_ReadOnly")
        if s3_read
        else None,
        eraser=archive_of(s3_erase, bucket, environment, "SongSwap_S3_Erase") if s3_erase else None,
        spool=spool_folder(environment),
        spool_max_bytes=_whole(environment, "SONGSWAP_SPOOL_MAX_MB", 2048, 1, 10**6) * 2**20,
        batch_size=_whole(environment, "SONGSWAP_BATCH_SIZE", 500, 1, 100_000),
        stale_after=timedelta(hours=_whole(environment, "SONGSWAP_STALE_HOURS", 24, 1, 24 * 365)),
        lost_users_share=_whole(environment, "SONGSWAP_LOST_USERS_PERCENT", 20, 0, 100) / 100,
        play_ms=_whole(environment, "SONGSWAP_PLAY_MS", 30_000, 0, 24 * 3_600_000),
        keep_tokens=timedelta(hours=_whole(environment, _KEEP_TOKENS, 48, 0, 24 * 90)),
        erase_after=timedelta(days=_whole(environment, "SONGSWAP_ERASE_DAYS", 5, 1, 365)),
        erases_due=_whole(environment, "SONGSWAP_ERASE_DUE", 0, 0, 1) == 1,
        host=environment.get("SONGSWAP_HOST", "").strip() or socket.gethostname(),
    )


def another_warehouse(environment: Mapping[str, str], target: str) -> str:
    """The libpq connection string of another database than the platform's.

    Args:
        target: the name of an environment variable that holds an Airflow connection, or such a
            connection itself, or a libpq connection string.

    Raises:
        SettingsError: it is none of these. The text leaves the target out: it may hold a password.
    """
    name = "The database to replay into"
    if target in environment:
        return dsn_of(_from_variable(environment, target), f"The connection {target}")
    if re.match(r"\s*({|[a-z][a-z0-9+.-]*://)", target, re.IGNORECASE):
        return dsn_of(parse_connection(name, target), name)
    try:
        return make_conninfo(target)
    except ProgrammingError:
        raise SettingsError(
            f"{name} is neither a URI postgresql://…, nor a connection string, nor the name of an"
            " environment variable with one of them."
        ) from None


def archive_of(
    connection: Connection,
    bucket: str,
    environment: Mapping[str, str],
    name: str = "an S3 connection (SongSwap_S3_…)",
) -> Archive:
    """The bucket, with the key and address of an S3 connection.

    Args:
        name: the connection's name in errors.

    Raises:
        SettingsError: its endpoint is invalid or lacks TLS, or an option is not supported.
    """
    archive = parse_archive(connection, bucket, name)
    if archive.endpoint_url:
        source = f"endpoint_url in the extra of {name}"
        url = addresses.checked(source, archive.endpoint_url, plain_hosts(environment))
        archive = replace(archive, endpoint_url=url)
    return archive


def _from_variable(environment: Mapping[str, str], variable: str) -> Connection:
    return parse_connection(variable, _required(environment, variable))


def _if_set(environment: Mapping[str, str], variable: str) -> Connection | None:
    return _from_variable(environment, variable) if environment.get(variable, "").strip() else None


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set; .env.example explains it.")
    return value


def _address(environment: Mapping[str, str], name: str, default: str) -> str:
    address = environment.get(name, "").strip() or default
    return addresses.checked(name, address, plain_hosts(environment))
