"""An Airflow connection, read from what Airflow writes: JSON, or a URI."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from songswap.errors import SettingsError

_WHOLE_EXTRA = "__extra__"
"""The query parameter in which Airflow writes an extra that has more than texts in it."""

_FIELDS = {"conn_type", "description", "host", "login", "password", "schema", "port", "extra"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")


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
        kind = _text(name, "conn_type", parts.get("conn_type"))
        port = _text(name, "port", parts.get("port")).strip()
        if "," in port:
            extra = {"port": port} | extra
        elif port and not re.fullmatch("[0-9]{1,9}", port):
            raise SettingsError(f"The port of {name} is not a number.")
        host = _text(name, "host", parts.get("host"))
        return cls(
            # As Airflow keeps it.
            type="postgres" if kind == "postgresql" else kind.replace("-", "_"),
            host=host[1:-1] if host.startswith("[") and host.endswith("]") else host,
            port=int(port) or None if port and "," not in port else None,
            login=_text(name, "login", parts.get("login")),
            password=_text(name, "password", parts.get("password")),
            schema=_text(name, "schema", parts.get("schema")),
            extra=extra,
        )


def parse_connection(name: str, text: str) -> Connection:
    """A connection as Airflow writes it into an environment variable: JSON, or a URI.

    Read as ``airflow.sdk.Connection`` reads it (tests/dags/test_connections.py holds both against
    each other), whose import takes a command two seconds. Two things differ. Several hosts with a
    port each are read, as libpq has them. And where Airflow would silently leave out a part of the
    text, or fail with a part of it in its words, this is a sentence.

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
    except (ValueError, RecursionError):
        raise SettingsError(f"{name} is not a JSON object that describes a connection.") from None
    if parts.keys() == {"uri"}:
        return Connection.of(name, _from_uri(name, _text(name, "uri", parts["uri"])))
    unknown = sorted(parts.keys() - _FIELDS)
    if unknown:
        raise SettingsError(
            f"{name} has fields that no connection of Airflow has:"
            f" {', '.join(map(safe_name, unknown))}. What is not among {', '.join(sorted(_FIELDS))}"
            " belongs into extra."
        )
    return Connection.of(name, parts)


def safe_name(option: str) -> str:
    """The name of a field or an extra as an error may show it.

    A part of a password that was not encoded can stand in its place.
    """
    return option if _NAME.fullmatch(option) else "(a name of other characters than letters)"


def _from_uri(name: str, text: str) -> dict[str, Any]:
    try:
        scheme, uri = _split(text)
        host, port = _host_and_port(uri)
    except ValueError:
        raise SettingsError(
            f"{name} is neither JSON nor a URI of a connection. In a URI, all but letters and"
            " digits of login, password, database and of what follows the question mark have to be"
            " percent-encoded."
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
    """The type of a connection, and the URI without it, where an address follows it.

    Airflow takes ``discord://https://host/…`` for the host ``https://host``, and knows it by the
    number of ``://``, wherever they are.

    Raises:
        ValueError: it is no URI, or a part of it would be left out.
    """
    uri = urlsplit(text)
    scheme, count = uri.scheme, text.count("://")
    if count == 2:
        rest = text.replace(f"{scheme}://", "")
        uri = urlsplit(rest)
        before = rest.partition("://")[0]
        if "@" in before or ":" in before or not (uri.scheme or rest.startswith("/")):
            raise ValueError
        if uri.scheme == scheme:  # its type is in upper case, and was not taken from it
            raise ValueError
    # Airflow writes one without a type so.
    if count > 2 or not (count or text.startswith("//")) or not (scheme or text.startswith("//")):
        raise ValueError
    if _is_cut(uri):
        raise ValueError
    return scheme, uri if count == 2 else uri._replace(scheme=scheme)


def _host_and_port(uri: SplitResult) -> tuple[str, str]:
    """The host, and the port; of several, lists with commas. A port may be left out.

    Raises:
        ValueError: a port is none.
    """
    places = uri.netloc.rpartition("@")[2]
    if "," in places:
        return _hosts_and_ports(places)
    # It has lower case; in a folder of sockets upper case means something else.
    host = unquote(uri.hostname or "")
    if "/" in host:
        host = unquote(places.partition(":")[0])
    return host, "" if uri.port is None else str(uri.port)


def _hosts_and_ports(places: str) -> tuple[str, str]:
    """Several hosts, each with or without a port, as libpq has them.

    Raises:
        ValueError: a port is no number.
    """
    hosts, ports = [], []
    for place in places.split(","):
        bracket, _, after = place.rpartition("]")
        before, colon, port = after.partition(":")
        if colon and port and not (port.isascii() and port.isdigit()):
            raise ValueError
        hosts.append(unquote(bracket.removeprefix("[") or before))
        ports.append(port)
    # Airflow takes a port at the end for that of all hosts.
    one_for_all = not any(ports[:-1]) or len(set(ports)) == 1
    host = ",".join(hosts)
    host = host if "/" in host else host.lower()
    return host, ports[-1] if one_for_all else ",".join(ports)


def _is_cut(uri: SplitResult) -> bool:
    """Whether a password that is not encoded has ended the part of the URI that it belongs to.

    The @ before the host stands behind such a password, and so behind the part that it was cut to.
    """
    return bool(uri.fragment) or "@" in uri.path or "@" in uri.query


def _extra(name: str, told: Any) -> dict[str, str]:
    try:
        extra = json.loads(told or "{}") if isinstance(told, str | None) else told
    except (ValueError, RecursionError):
        extra = ()
    if extra is not None and not isinstance(extra, Mapping):
        raise SettingsError(f"The extra of {name} is not a JSON object.")
    told_of = {key: _as_text(value) for key, value in (extra or {}).items() if value is not None}
    for text in (*told_of, *told_of.values()):
        _require_text(name, "extra", text)
    return told_of


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(name: str, part: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int) or value is True:
        raise SettingsError(f"The field {part} of {name} is not a text.")
    text = str(value)
    _require_text(name, part, text)
    return text


def _require_text(name: str, part: str, text: str) -> None:
    """Raise SettingsError where a text has halves of characters, which nothing can be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(
            f"The field {part} of {name} has characters that are no text in UTF-8."
        ) from None
