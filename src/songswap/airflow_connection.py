"""An Airflow connection, read from what Airflow writes: JSON, or a URI."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from songswap.errors import SettingsError

_WHOLE_EXTRA = "__extra__"
"""The query parameter in which Airflow writes an extra that has more than texts in it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An Airflow connection's parts. What is no text in its extra stands there as JSON."""

    type: str = ""
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, name: str, parts: Mapping[str, Any]) -> Self:
        """A connection from the fields as Airflow names them (``conn_type``, ``login``, …).

        Several ports (``5432,5433``), for which Airflow has no field, become the extra ``port``.

        Args:
            name: what an error calls it.

        Raises:
            SettingsError: a field is nothing that it could be. Its value, which may be a secret, is
                not in the text, nor in a cause.
        """
        extra = _extra(name, parts.get("extra"))
        port = _text(name, "port", parts.get("port")).strip()
        if "," in port:
            extra = {"port": port} | extra
        elif port and not (port.isascii() and port.isdigit()):
            raise SettingsError(f"The port of {name} is not a number.")
        host = _text(name, "host", parts.get("host"))
        return cls(
            type=_text(name, "conn_type", parts.get("conn_type")),
            host=host[1:-1] if host.startswith("[") and host.endswith("]") else host,
            port=int(port) or None if port and "," not in port else None,
            login=_text(name, "login", parts.get("login")),
            password=_text(name, "password", parts.get("password")),
            schema=_text(name, "schema", parts.get("schema")),
            extra=extra,
        )


def parse_connection(name: str, text: str) -> Connection:
    """A connection as Airflow writes it into an environment variable: JSON, or a URI.

    Of a URI may be what Airflow itself does not read: several hosts with a port each, as libpq has
    them, and upper case in the name of a folder.

    Args:
        name: what an error calls it.

    Raises:
        SettingsError: it is neither. Nothing of it is in the text, nor in a cause.
    """
    text = text.strip()
    if not text.startswith("{"):
        return Connection.of(name, _from_uri(name, text))
    try:
        parts = json.loads(text)
    except ValueError:
        raise SettingsError(f"{name} is not a JSON object that describes a connection.") from None
    return Connection.of(name, parts)


def _from_uri(name: str, text: str) -> dict[str, Any]:
    try:
        uri = urlsplit(text)
        # An address of HTTP in the place of the host: ``discord://https://host/…``
        protocol = urlsplit(text.removeprefix(f"{uri.scheme}://")) if text.count("://") > 1 else uri
        host, port = _host_and_port(protocol)
    except ValueError:
        uri = protocol = SplitResult("", "", "", "", "")
    # Airflow writes one without a type so.
    if not (uri.scheme or text.startswith("//")) or _is_cut(protocol):
        raise SettingsError(
            f"{name} is neither JSON nor a URI of a connection. In a URI, all but letters and"
            " digits of login, password and database have to be percent-encoded."
        )
    # Both a login and a password may hold an @ that is not encoded; no host does.
    user, _, password = protocol.netloc.rpartition("@")[0].partition(":")
    query = dict(parse_qsl(protocol.query, keep_blank_values=True))
    return {
        "conn_type": uri.scheme,
        "host": host if protocol is uri else f"{protocol.scheme}://{host}",
        "port": port,
        "login": unquote(user),
        "password": unquote(password),
        "schema": unquote(protocol.path[1:]),
        "extra": query.get(_WHOLE_EXTRA, query),
    }


def _host_and_port(uri: SplitResult) -> tuple[str, str]:
    """The host, and the port; of several, lists with commas. A port may be left out.

    Raises:
        ValueError: a port is no number.
    """
    hosts, ports = [], []
    for place in uri.netloc.rpartition("@")[2].split(","):
        bracket, _, after = place.rpartition("]")
        before, colon, port = after.partition(":")
        if colon and port and not (port.isascii() and port.isdigit()):
            raise ValueError
        hosts.append(unquote(bracket.removeprefix("[") or before))
        ports.append(port)
    # Airflow takes a port at the end for that of all hosts.
    one_for_all = not any(ports[:-1]) or len(set(ports)) == 1
    return ",".join(hosts), ports[-1] if one_for_all else ",".join(ports)


def _is_cut(uri: SplitResult) -> bool:
    """Whether a password that is not encoded has ended the part of the URI that it belongs to."""
    return bool(uri.fragment) or ("@" in uri.path and ":" in uri.netloc and "@" not in uri.netloc)


def _extra(name: str, told: Any) -> dict[str, str]:
    try:
        extra = json.loads(told or "{}") if isinstance(told, str | None) else told
    except ValueError:
        extra = told
    if extra is not None and not isinstance(extra, Mapping):
        raise SettingsError(f"The extra of {name} is not a JSON object.")
    return {key: _as_text(value) for key, value in (extra or {}).items() if value is not None}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(name: str, part: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, (str, int)):
        return str(value)
    raise SettingsError(f"The field {part} of {name} is not a text.")
