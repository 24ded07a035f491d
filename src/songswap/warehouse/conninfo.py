"""How libpq is told to connect to the warehouse, and when each side gives up a host that vanished.

A host that vanishes (its power, its network) says nothing, and TCP waits for it for hours. So both
sides ask every few seconds whether the other is there: ours, to end a wait for nobody; the server,
to let go of the locks of a process that is no more.
"""

from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn

from songswap.warehouse.timeouts import Limits, ms

CONNECT_S = 10

_PROBES = 3


def opened_with(dsn: str, within: Limits) -> str:
    """``dsn`` with what every connection of the pipeline is opened with.

    What the operator says of that holds: in ``dsn``, in libpq's environment variables (``PG…``), or
    in a service that one of them names.
    """
    idle_s, interval_s = _probing(within)
    usual = {
        "application_name": "songswap",
        "connect_timeout": str(CONNECT_S),
        "keepalives": "1",
        "keepalives_idle": str(idle_s),
        "keepalives_interval": str(interval_s),
        "keepalives_count": str(_PROBES),
        "tcp_user_timeout": ms(within.vanished_s),
    }
    own = _resolved(dsn)
    told = {name: own.get(name, value) for name, value in usual.items()}
    if "service" in own:
        # psycopg tries several hosts, each within connect_timeout, only where they stand here.
        told |= {name: own[name] for name in ("host", "hostaddr", "port") if name in own}
    # Values are read and written in it, whatever the operator's other programs want.
    return make_conninfo(dsn, **told, client_encoding="UTF8")


def to_same_server(dsn: str, connection: "psycopg.BaseConnection[Any]") -> str:
    """``dsn``, but of several hosts or addresses with that alone that ``connection`` leads to."""
    about = connection.info
    return make_conninfo(
        dsn,
        host=about.host,
        hostaddr="" if _needs_zone(about.hostaddr) else about.hostaddr,
        port=str(about.port),
        connect_timeout=str(CONNECT_S),
        target_session_attrs="any",
    )


def server_settings(within: Limits) -> dict[str, str]:
    """The server's settings with which it notices that the host of a session has vanished."""
    idle_s, interval_s = _probing(within)
    return {
        "tcp_keepalives_idle": str(idle_s),
        "tcp_keepalives_interval": str(interval_s),
        "tcp_keepalives_count": str(_PROBES),
        "tcp_user_timeout": ms(within.vanished_s),
    }


def _probing(within: Limits) -> tuple[int, int]:
    """After how many silent seconds to ask whether the other side is there, and how often then."""
    return max(1, round(within.vanished_s / 2)), max(1, round(within.vanished_s / 2 / _PROBES))


def _resolved(dsn: str) -> dict[str, str]:
    """What libpq makes of a connection string: environment and service file in it.

    Only libpq itself reads them, as it begins to connect; an option that it cannot accept keeps it
    from doing more than that.
    """
    refused = PGconn.connect_start(make_conninfo(dsn, sslmode="only to be read").encode())
    try:
        found = {option.keyword.decode(): option.val for option in refused.info}
    finally:
        refused.finish()
    return {name: value.decode() for name, value in found.items() if value is not None}


def _needs_zone(address: str | None) -> bool:
    """Whether an address leads nowhere without its network's name, which libpq does not tell."""
    return not address or ip_address(address).is_link_local
