"""What the page shows, as JSON; docs/json.md explains the keys."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from fastapi import APIRouter
from fastapi.responses import Response

from songswap.errors import SettingsError
from songswap.orchestration.connections import find_connection
from songswap.orchestration.web.reader import CONNECTION, Reader
from songswap.settings.warehouse_dsn import dsn_of
from songswap.warehouse import snapshots

router = APIRouter()


def find_dsn() -> str:
    """Return the connection string of ``SongSwap_RDS_ReadOnly``.

    Raises:
        SettingsError: the connection is missing or cannot be read.
    """
    connection = find_connection(CONNECTION)
    if connection is None:
        raise SettingsError(
            f"The connection {CONNECTION} is not set in Airflow's api-server, so the page has"
            " nothing to read. Give it a login of the warehouse with SELECT alone:"
            ' docs/operations.md, "The page".'
        )
    return dsn_of(connection)


_reader = Reader(find_dsn)
_encode = msgspec.json.Encoder().encode


@router.get("/snapshot")
def read_snapshot() -> Response:
    """Return the latest snapshot, and the plays of each hour."""
    now = datetime.now(UTC)
    return _json(_reader.read(lambda connection: _snapshot(connection, now)))


def _snapshot(connection: psycopg.Connection, now: datetime) -> dict[str, Any]:
    latest = snapshots.latest(connection, now)
    facts = {"taken_at": None} if latest is None else {**latest.facts, "taken_at": latest.taken_at}
    hours = [hour._asdict() for hour in snapshots.plays_by_hour(connection, now)]
    return {**facts, "read_at": now, "plays_by_hour": hours}


def _json(value: object) -> Response:
    return Response(_encode(value), media_type="application/json")
