"""Airflow's connection to PostgreSQL → a libpq connection string.

Parsed as libpq and the hook of Airflow's provider do: options in the extra are libpq's, and win
over the connection's own fields.
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
    # Options that the hook passes to Python's driver.
    *("cursor", "cursor_factory", "connection_factory", "row_factory"),
    *("autocommit", "prepare_threshold"),
}
"""Extras that only the provider's hook uses, as all ``sqlalchemy_…``."""

_NUMBERS = {
    *("connect_timeout", "tcp_user_timeout"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
}
_OFF = {"", "0", "f", "n", "no", "off", "false", "null"}


def dsn_of(connection: Connection, name: str = "The connection SongSwap_RDS") -> str:
    """Build a libpq connection string.

    Args:
        name: the connection's name in errors.

    Raises:
        SettingsError: an option is unknown or not supported; the text has its name but no value.
    """
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    extra = _without_the_hooks(connection.extra, name)
    unknown = sorted(extra.keys() - known)
    if unknown:
        raise SettingsError(
            f"{name} has options in its extra that neither PostgreSQL's client (libpq) nor"
            f" Airflow's provider knows: {', '.join(map(safe_name, unknown))}. Correct or remove"
            " them; in a URI, the extra follows the question mark."
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
        raise SettingsError(f"{name} has a NUL character, which PostgreSQL does not accept.")
    try:
        return make_conninfo(**{option: value for option, value in parts.items() if value})
    except ProgrammingError:
        raise SettingsError(f"PostgreSQL's client (libpq) does not accept {name}.") from None


def places(dsn: str) -> str:
    """The database and the hosts of a connection string, in words and without a login."""
    options = conninfo_to_dict(dsn)
    if "service" in options and "host" not in options:
        return f"the service {options['service']}"
    hosts = str(options.get("host") or options.get("hostaddr") or "the default host").split(",")
    ports = str(options.get("port") or 5432).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    where = (
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for host, port in zip(hosts, ports, strict=False)
    )
    return f"{options.get('dbname') or 'the default database'} at {' or '.join(where)}"


def _without_the_hooks(extra: Mapping[str, str], name: str) -> dict[str, str]:
    """The options of an extra that are for libpq.

    Raises:
        SettingsError: the password would be a token of AWS or Azure.
    """
    if extra.get("iam", "").strip().lower() not in _OFF:
        raise SettingsError(
            f"{name} asks for IAM tokens (iam in its extra), which songswap does not support. Use"
            " a login with a password, or with a client certificate (sslcert, sslkey), and remove"
            " iam from the extra."
        )
    options = {
        option: text
        for option, text in extra.items()
        if option not in _OF_THE_HOOK and not option.startswith("sqlalchemy_")
    }
    # As libpq does in its own URIs.
    if options.get("ssl", "").lower() == "true":
        del options["ssl"]
        options.setdefault("sslmode", "require")
    return options


def _value(option: str, text: str, name: str) -> str:
    """An option's value in libpq's form: 1 for JSON's true, and 10 for 10.0."""
    if text.startswith(("{", "[")) and option != "host":
        raise SettingsError(
            f"{option} in the extra of {name} is a list or an object, not a string."
        )
    if option not in _NUMBERS:
        return text
    number = {"true": "1", "false": "0"}.get(text.lower(), text.strip().removesuffix(".0"))
    if not re.fullmatch(r"-?[0-9]{1,9}", number):
        raise SettingsError(f"{option} in the extra of {name} is not a whole number.")
    return number


def _check_places(parts: Mapping[str, str], name: str) -> None:
    hosts, addresses, ports = (parts.get(of, "").split(",") for of in ("host", "hostaddr", "port"))
    # Errors of name resolution show the host, so it must not be a URI with a password.
    if any("://" in host or ("@" in host[1:] and host[0] != "/") for host in hosts):
        raise SettingsError(
            f"{name} has a URI, or a login, in place of its host: set the host alone."
        )
    if parts.get("hostaddr") and parts.get("host") and len(hosts) != len(addresses):
        raise SettingsError(
            f"{name} has {len(hosts)} hosts (host) and {len(addresses)} addresses (hostaddr): set"
            " as many of both."
        )
    places = max(len(hosts), len(addresses))
    if len(ports) not in {1, places}:
        raise SettingsError(
            f"{name} has {len(ports)} ports for {places} hosts: set one for all, or one for each."
        )
    for port in ports:
        if port.strip() and not (port.strip().isdigit() and 0 < int(port) < 65536):
            raise SettingsError(f"{name} has a port that is not a number from 1 to 65535.")
