"""What the page shows, as JSON; docs/json.md explains the keys."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from fastapi import APIRouter
from fastapi.responses import Response

from songswap.orchestration.web.reader import Reader, find_dsn
from songswap.warehouse import snapshots

router = APIRouter()

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
