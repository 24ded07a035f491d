"""The PostgreSQL versions and encodings that the pipeline supports."""

from typing import Any

import psycopg

from songswap.errors import WarehouseRefused

OLDEST = 11
"""The first version with sha256() and the other functions that the statements use."""

ENCODING = "UTF8"


def require_supported(connection: "psycopg.BaseConnection[Any]") -> None:
    """Raise `WarehouseRefused` where the server is too old or the database is not in UTF-8.

    Costs no query: the server sends both when a session begins.
    """
    info = connection.info
    sentence = unsupported(info.server_version, info.parameter_status("server_encoding") or "")
    if sentence:
        raise WarehouseRefused(
            f"The warehouse (connection SongSwap_RDS), database {info.dbname}, cannot be used:"
            f" {sentence}"
        )


def unsupported(version: int, encoding: str) -> str | None:
    """Return what is wrong with a server, as a sentence; None if it is supported.

    Args:
        version: as libpq has it, 150004 for 15.4.
        encoding: the database's; empty if unknown.
    """
    if version < OLDEST * 10_000:
        name = f"{version // 10_000}" if version >= 100_000 else f"{version // 10_000}.x"
        return (
            f"its PostgreSQL is of version {name}, and {OLDEST} or later is needed."
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
