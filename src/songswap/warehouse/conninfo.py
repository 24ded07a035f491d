"""Connection strings of the warehouse, and when each side gives up a host that has vanished.

A host that vanishes (its power, its network) sends nothing, and TCP waits for it for hours. So each
side probes the other every few seconds: ours to end a useless wait, the server to release the locks
of a dead process.
"""

from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn

from songswap.warehouse.timeouts import Limits, ms

CONNECT_S = 10

_PROBES = 3


def with_defaults(dsn: str, within: Limits) -> str:
    """Add the options of every connection of the pipeline to ``dsn``.

    The operator's own options stay: those in ``dsn``, in libpq's environment variables (``PG…``),
    or in a service that one of them names.
    """
    idle_s, interval_s = _probing(within)
    defaults = {
        "application_name": "songswap",
        "connect_timeout": str(CONNECT_S),
        "keepalives": "1",
        "keepalives_idle": str(idle_s),
        "keepalives_interval": str(interval_s),
        "keepalives_count": str(_PROBES),
        "tcp_user_timeout": ms(within.vanished_s),
    }
    own = _resolved(dsn)
    options = {name: own.get(name, value) for name, value in defaults.items()}
    if "service" in own:
        # psycopg tries several hosts, each within connect_timeout, only where it sees them here.
        options |= {name: own[name] for name in ("host", "hostaddr", "port") if name in own}
    # Our values are in UTF-8, whatever the operator's other programs need.
    return make_conninfo(dsn, **options, client_encoding="UTF8")


def to_same_server(dsn: str, connection: "psycopg.BaseConnection[Any]") -> str:
    """Return ``dsn`` with the one host and address, of several, that ``connection`` has."""
    info = connection.info
    return make_conninfo(
        dsn,
        host=info.host,
        hostaddr="" if _needs_zone(info.hostaddr) else info.hostaddr,
        port=str(info.port),
        connect_timeout=str(CONNECT_S),
        target_session_attrs="any",
    )


def server_settings(within: Limits) -> dict[str, str]:
    """Return the server's settings that make it notice that a session's host has vanished."""
    idle_s, interval_s = _probing(within)
    return {
        "tcp_keepalives_idle": str(idle_s),
        "tcp_keepalives_interval": str(interval_s),
        "tcp_keepalives_count": str(_PROBES),
        "tcp_user_timeout": ms(within.vanished_s),
    }


def _probing(within: Limits) -> tuple[int, int]:
    """Return after how many silent seconds to probe the other side, and how often then."""
    return max(1, round(within.vanished_s / 2)), max(1, round(within.vanished_s / 2 / _PROBES))


def _resolved(dsn: str) -> dict[str, str]:
    """Return libpq's options for a connection string, with its environment and service file.

    Only libpq itself reads these, when it begins to connect; an invalid option stops it there.
    """
    unconnected = PGconn.connect_start(make_conninfo(dsn, sslmode="only to be read").encode())
    try:
        found = {option.keyword.decode(): option.val for option in unconnected.info}
    finally:
        unconnected.finish()
    return {name: value.decode() for name, value in found.items() if value is not None}


def _needs_zone(address: str | None) -> bool:
    """Return whether an address needs its network's name, which libpq does not give."""
    return not address or ip_address(address).is_link_local
