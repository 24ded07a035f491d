"""Parser of Airflow connections, from JSON or a URI."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from songswap.errors import SettingsError

_WHOLE_EXTRA = "__extra__"
"""The query parameter in which Airflow writes an extra that is not all strings."""

_FIELDS = {"conn_type", "description", "host", "login", "password", "schema", "port", "extra"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")


@dataclass(frozen=True, slots=True)
class Connection:
    """An Airflow connection. Values in its extra that are not strings are JSON."""

    type: str = ""
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, name: str, parts: Mapping[str, Any]) -> Self:
        """Build a connection from fields with Airflow's names (``conn_type``, ``login``, …).

        Several ports (``5432,5433``), for which Airflow has no field, become the extra ``port``.

        Args:
            name: its name in errors.

        Raises:
            SettingsError: a field is invalid. Neither the text nor a cause has its value, which may
                be a secret.
        """
        extra = _extra(name, parts.get("extra"))
        kind = _text(name, "conn_type", parts.get("conn_type"))
        port = _text(name, "port", parts.get("port")).strip()
        if "," in port:
            extra = {"port": port} | extra
        elif port and not re.fullmatch("[0-9]{1,9}", port):
            raise SettingsError(f"The port of {name} is not a number.")
        host = _text(name, "host", parts.get("host"))
        return cls(
            # As Airflow stores it.
            type="postgres" if kind == "postgresql" else kind.replace("-", "_"),
            host=host[1:-1] if host.startswith("[") and host.endswith("]") else host,
            port=int(port) or None if port and "," not in port else None,
            login=_text(name, "login", parts.get("login")),
            password=_text(name, "password", parts.get("password")),
            schema=_text(name, "schema", parts.get("schema")),
            extra=extra,
        )


def parse_connection(name: str, text: str) -> Connection:
    """Parse a connection as Airflow writes it into an environment variable: JSON, or a URI.

    The result is that of ``airflow.sdk.Connection``, whose import takes two seconds;
    tests/dags/test_connections.py compares both. Two things differ. Several hosts with a port each
    are accepted, as libpq has them. And where Airflow would silently drop a part of the text, or
    fail with a part of it in its message, this raises SettingsError.

    Args:
        name: its name in errors.

    Raises:
        SettingsError: it cannot be parsed. Neither the text nor a cause has any of it.
    """
    text = text.strip()
    if not text.startswith("{"):
        return Connection.of(name, _from_uri(name, text))
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        raise SettingsError(f"{name} is not a JSON object that describes a connection.") from None
    if parts.keys() == {"uri"}:
        return Connection.of(name, _from_uri(name, _text(name, "uri", parts["uri"])))
    unknown = sorted(parts.keys() - _FIELDS)
    if unknown:
        raise SettingsError(
            f"{name} has fields that no connection of Airflow has:"
            f" {', '.join(map(safe_name, unknown))}. Move them into extra; the fields are"
            f" {', '.join(sorted(_FIELDS))}."
        )
    return Connection.of(name, parts)


def safe_name(option: str) -> str:
    """The name of a field or an extra, if an error may show it.

    It can be a part of a password that was not encoded.
    """
    return option if _NAME.fullmatch(option) else "(a name of other characters than letters)"


def _from_uri(name: str, text: str) -> dict[str, Any]:
    try:
        scheme, uri = _split(text)
        host, port = _host_and_port(uri)
    except ValueError:
        raise SettingsError(
            f"{name} is neither JSON nor a URI of a connection. In a URI, characters other than"
            " letters and digits in login, password, database and behind the question mark have to"
            " be percent-encoded."
        ) from None
    # Both a login and a password may hold an @ that is not encoded; no host does.
    user, _, password = uri.netloc.rpartition("@")[0].partition(":")
    query = dict(parse_qsl(uri.query, keep_blank_values=True))
    return {
        "conn_type": scheme,
        "host": f"{uri.scheme}://{host}" if uri.scheme != scheme and host else host,
        "port": port,
        "login": unquote(user),
        "password": unquote(password),
        "schema": unquote(uri.path[1:]),
        "extra": query.get(_WHOLE_EXTRA, query),
    }


def _split(text: str) -> tuple[str, SplitResult]:
    """Split a URI into the connection's type and the rest, where the rest is an address itself.

    Airflow takes ``discord://https://host/…`` for the host ``https://host``; it decides by the
    number of ``://``, wherever they are.

    Raises:
        ValueError: it is not a URI, or a part of it would be dropped.
    """
    uri = urlsplit(text)
    scheme, count = uri.scheme, text.count("://")
    if count == 2:
        rest = text.replace(f"{scheme}://", "")
        uri = urlsplit(rest)
        before = rest.partition("://")[0]
        if "@" in before or ":" in before or not (uri.scheme or rest.startswith("/")):
            raise ValueError
        if uri.scheme == scheme:  # the type is in upper case, so the replacement missed it
            raise ValueError
    # A connection without a type begins with //.
    if count > 2 or not (count or text.startswith("//")) or not (scheme or text.startswith("//")):
        raise ValueError
    if _is_cut(uri):
        raise ValueError
    return scheme, uri if count == 2 else uri._replace(scheme=scheme)


def _host_and_port(uri: SplitResult) -> tuple[str, str]:
    """The host and the port, which may be missing; several are separated by commas.

    Raises:
        ValueError: a port is not a number.
    """
    places = uri.netloc.rpartition("@")[2]
    if "," in places:
        return _hosts_and_ports(places)
    # `hostname` is in lower case, but the name of a folder of sockets has to keep its case.
    host = unquote(uri.hostname or "")
    if "/" in host:
        host = unquote(places.partition(":")[0])
    return host, "" if uri.port is None else str(uri.port)


def _hosts_and_ports(places: str) -> tuple[str, str]:
    """Split several hosts, each with or without a port, as libpq has them.

    Raises:
        ValueError: a port is not a number.
    """
    hosts, ports = [], []
    for place in places.split(","):
        bracket, _, after = place.rpartition("]")
        before, colon, port = after.partition(":")
        if colon and port and not (port.isascii() and port.isdigit()):
            raise ValueError
        hosts.append(unquote(bracket.removeprefix("[") or before))
        ports.append(port)
    # Airflow takes a port at the end as the port of all hosts.
    is_shared = not any(ports[:-1]) or len(set(ports)) == 1
    host = ",".join(hosts)
    host = host if "/" in host else host.lower()
    return host, ports[-1] if is_shared else ",".join(ports)


def _is_cut(uri: SplitResult) -> bool:
    """Whether the URI was cut inside a password that is not encoded.

    The @ before the host is then behind the cut: in the path, the query or the fragment.
    """
    return bool(uri.fragment) or "@" in uri.path or "@" in uri.query


def _extra(name: str, value: Any) -> dict[str, str]:
    try:
        extra = json.loads(value or "{}") if isinstance(value, str | None) else value
    except (ValueError, RecursionError):
        extra = ()
    if extra is not None and not isinstance(extra, Mapping):
        raise SettingsError(f"The extra of {name} is not a JSON object.") from None
    options = {key: _as_text(item) for key, item in (extra or {}).items() if item is not None}
    for text in (*options, *options.values()):
        _require_text(name, "extra", text)
    return options


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(name: str, part: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int) or value is True:
        raise SettingsError(f"The field {part} of {name} is not a string.")
    text = str(value)
    _require_text(name, part, text)
    return text


def _require_text(name: str, part: str, text: str) -> None:
    """Raise SettingsError if a text has surrogates, which cannot be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(
            f"The field {part} of {name} has characters that cannot be written in UTF-8."
        ) from None
