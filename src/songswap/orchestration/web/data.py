"""What the page shows, as JSON; docs/json.md explains the keys."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import psycopg
from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import Response

from songswap.errors import FIND_ID
from songswap.orchestration.connections import read_read_only_warehouse
from songswap.orchestration.web.reader import Reader
from songswap.warehouse import snapshots, user_view

router = APIRouter()

_reader = Reader(read_read_only_warehouse)
_encode = msgspec.json.Encoder().encode


@router.get("/snapshot")
def read_snapshot() -> Response:
    """Return the latest snapshot, and the plays of each hour."""
    now = datetime.now(UTC)
    return _json(_reader.read(lambda connection: _snapshot(connection, now)))


@router.get("/users/{user_id}")
def read_user(user_id: Annotated[int, Path(ge=0)]) -> Response:
    """Return what is known of a user."""
    now = datetime.now(UTC)
    found = _reader.read(lambda connection: user_view.read(connection, user_id, now))
    if found is None:
        raise HTTPException(404, f"There is no user with the id {user_id}. {FIND_ID}")
    return _json(found)


def _snapshot(connection: psycopg.Connection, now: datetime) -> dict[str, Any]:
    latest = snapshots.latest(connection, now)
    facts = {"taken_at": None} if latest is None else {**latest.facts, "taken_at": latest.taken_at}
    hours = [hour._asdict() for hour in snapshots.plays_by_hour(connection, now)]
    return {**facts, "read_at": now, "plays_by_hour": hours}


def _json(value: object) -> Response:
    return Response(_encode(value), media_type="application/json")
