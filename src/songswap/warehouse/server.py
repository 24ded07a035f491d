"""What the server and the database have to be, whatever is in them."""

from typing import Any

import psycopg

from songswap.errors import WarehouseRefused

OLDEST = 11
"""The first version that has sha256() and what else the statements need."""

ENCODING = "UTF8"


def require_supported(connection: "psycopg.BaseConnection[Any]") -> None:
    """Raise `WarehouseRefused` where the server is too old or the database cannot hold all names.

    Costs no query: the server says both when a session begins.
    """
    about = connection.info
    sentence = unsupported(about.server_version, about.parameter_status("server_encoding") or "")
    if sentence:
        raise WarehouseRefused(
            f"The warehouse (connection SongSwap_RDS), database {about.dbname}, cannot be used:"
            f" {sentence}"
        )


def unsupported(version: int, encoding: str) -> str | None:
    """A sentence on what is wrong with a server; None where nothing is.

    Args:
        version: as libpq gives it, 150004 for 15.4.
        encoding: the database's; empty where it is not known.
    """
    if version < OLDEST * 10_000:
        told = f"{version // 10_000}" if version >= 100_000 else f"{version // 10_000}.x"
        return (
            f"its PostgreSQL is of version {told}, and {OLDEST} or later is needed."
            " Upgrade the server. Nothing was changed."
        )
    if encoding and encoding != ENCODING:
        return (
            f"its encoding is {encoding}, which does not hold the names of all tracks, and"
            f" {ENCODING} is needed. Make a new one (CREATE DATABASE … TEMPLATE template0 ENCODING"
            f" '{ENCODING}'), bring the platform's tables over with pg_dump, and name it in the"
            " connection. Nothing was changed."
        )
    return None
