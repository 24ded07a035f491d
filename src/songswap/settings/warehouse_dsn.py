"""Airflow's connection to PostgreSQL → what libpq is told, or a sentence on what it may not be.

Read as libpq and the hook of Airflow's provider read it: what stands in the extra goes to libpq,
and wins over the connection's own fields.
"""

import re
from collections.abc import Mapping

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from songswap.errors import SettingsError
from songswap.settings.airflow_connection import Connection, safe_name

_OF_THE_HOOK = {
    *("iam", "redshift", "redshift-serverless", "cluster-identifier", "workgroup-name"),
    *("aws_conn_id", "azure_conn_id", "enable_log_db_messages"),
    # What the hook hands to Python's driver.
    *("cursor", "cursor_factory", "connection_factory", "row_factory"),
    *("autocommit", "prepare_threshold"),
}
"""Extras that only the provider's hook has a use for; and all ``sqlalchemy_…``."""

_NUMBERS = {
    *("connect_timeout", "tcp_user_timeout"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
}
_OFF = {"", "0", "f", "n", "no", "off", "false", "null"}


def dsn_of(connection: Connection, name: str = "The connection SongSwap_RDS") -> str:
    """A libpq connection string from a connection's parts.

    Args:
        name: what an error calls it.

    Raises:
        SettingsError: it asks for what is not supported, or for what nobody knows; the text names
            that, and tells no value.
    """
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    extra = _without_the_hooks(connection.extra, name)
    unknown = sorted(extra.keys() - known)
    if unknown:
        raise SettingsError(
            f"{name} has in its extra what neither PostgreSQL's client (libpq) nor Airflow's"
            f" provider knows: {', '.join(map(safe_name, unknown))}. Correct or remove it; in a"
            " URI, the extra is what follows the question mark."
        )
    parts = {
        "host": connection.host,
        "port": str(connection.port or ""),
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
        **{option: _value(option, text, name) for option, text in extra.items() if text},
    }
    _check_places(parts, name)
    if any("\0" in value for value in parts.values()):
        raise SettingsError(f"{name} has a NUL character in it, which PostgreSQL does not take.")
    try:
        return make_conninfo(**{option: value for option, value in parts.items() if value})
    except ProgrammingError:
        raise SettingsError(f"{name} is nothing that PostgreSQL's client (libpq) takes.") from None


def places(dsn: str) -> str:
    """Where a connection string leads, in words: the database and the hosts, and no login."""
    told = conninfo_to_dict(dsn)
    if "service" in told and "host" not in told:
        return f"what the service {told['service']} says"
    hosts = str(told.get("host") or told.get("hostaddr") or "the usual host").split(",")
    ports = str(told.get("port") or 5432).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    where = (
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for host, port in zip(hosts, ports, strict=False)
    )
    return f"{told.get('dbname') or 'the usual database'} at {' or '.join(where)}"


def _without_the_hooks(extra: Mapping[str, str], name: str) -> dict[str, str]:
    """What of an extra is for libpq.

    Raises:
        SettingsError: the password would be a token of AWS or Azure.
    """
    if extra.get("iam", "").strip().lower() not in _OFF:
        raise SettingsError(
            f"{name} asks for IAM tokens (iam in its extra), which songswap does not get. Take a"
            " login with a password, or with a client certificate (sslcert, sslkey), and take iam"
            " out of the extra."
        )
    told = {
        option: text
        for option, text in extra.items()
        if option not in _OF_THE_HOOK and not option.startswith("sqlalchemy_")
    }
    # libpq reads it so in its own URIs.
    if told.get("ssl", "").lower() == "true":
        del told["ssl"]
        told.setdefault("sslmode", "require")
    return told


def _value(option: str, text: str, name: str) -> str:
    """An option's value as libpq writes it: 1 for what JSON calls true, and 10 for 10.0."""
    if text.startswith(("{", "[")) and option != "host":
        raise SettingsError(f"{option} in the extra of {name} is a list or an object, not a text.")
    if option not in _NUMBERS:
        return text
    number = {"true": "1", "false": "0"}.get(text.lower(), text.strip().removesuffix(".0"))
    if not re.fullmatch(r"-?[0-9]{1,9}", number):
        raise SettingsError(f"{option} in the extra of {name} is not a whole number.")
    return number


def _check_places(parts: Mapping[str, str], name: str) -> None:
    hosts, addresses, ports = (parts.get(of, "").split(",") for of in ("host", "hostaddr", "port"))
    # Who cannot resolve a host says it, and a URI in its place may hold a password.
    if any("://" in host or ("@" in host[1:] and host[0] != "/") for host in hosts):
        raise SettingsError(
            f"{name} has a URI, or a login, in the place of its host: it has to be the host alone."
        )
    if parts.get("hostaddr") and parts.get("host") and len(hosts) != len(addresses):
        raise SettingsError(
            f"{name} has {len(hosts)} hosts (host) and {len(addresses)} addresses (hostaddr): it"
            " has to be as many of both."
        )
    places = max(len(hosts), len(addresses))
    if len(ports) not in {1, places}:
        raise SettingsError(
            f"{name} has {len(ports)} ports for {places} hosts: it has to be one for all, or one"
            " for each."
        )
    for port in ports:
        if port.strip() and not (port.strip().isdigit() and 0 < int(port) < 65536):
            raise SettingsError(f"{name} has a port that is not a number from 1 to 65535.")
