"""Rejected items: what cannot be a row of "History", why, and where its raw form is."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.models import Play, RejectedItem
from songswap.transform.recent_plays import UNTIMELY
from songswap.transform.values import moment
from songswap.warehouse.locks import lock_users
from songswap.warehouse.sql import statements

KEY_TAKEN = "key taken by another track"

_SQL = statements("rejected_items.sql")


class Rejected(NamedTuple):
    """A rejected item of a user, the key of its raw form, and when Spotify or an import gave it."""

    user_id: int
    item: RejectedItem
    raw_key: str
    found_at: datetime


def conflict(play: Play) -> RejectedItem:
    """Return a play whose key has another track, as a rejected item."""
    claim = f"{KEY_TAKEN} {play.played_at} {play.track_id}"
    digest = hashlib.sha256(claim.encode()).digest()
    return RejectedItem(digest, KEY_TAKEN, play.played_at.isoformat())


def keep_earliest(
    connection: psycopg.Connection, rejected: Sequence[Rejected], run_id: str
) -> None:
    """Let stored items name the earliest response that has them, whichever was loaded first."""
    if rejected:
        connection.execute(_SQL["keep_earliest"], _params(rejected, run_id))


def store(connection: psycopg.Connection, rejected: Sequence[Rejected], run_id: str) -> int:
    """Store items; return how many are new."""
    if not rejected:
        return 0
    return connection.execute(_SQL["insert"], _params(rejected, run_id)).rowcount


def _params(rejected: Sequence[Rejected], run_id: str) -> dict[str, object]:
    return {
        "users": [row.user_id for row in rejected],
        "fingerprints": [row.item.fingerprint for row in rejected],
        "reasons": [row.item.reason for row in rejected],
        "played_at": [row.item.played_at for row in rejected],
        "raw_keys": [row.raw_key for row in rejected],
        "found_at": [row.found_at for row in rejected],
        "run_id": run_id,
    }


def delete_loaded(connection: psycopg.Connection, users: Collection[int]) -> None:
    """Delete items that a wrong clock made untimely, once their plays are loaded."""
    params = {"users": list(users), "reason": UNTIMELY}
    rows = connection.execute(_SQL["untimely"], params).fetchall()
    timed = [(user_id, digest, at) for user_id, digest, text in rows if (at := moment(text or ""))]
    if timed:
        of, fingerprints, times = map(list, zip(*timed, strict=True))
        loaded = {"users": of, "fingerprints": fingerprints, "played_at": times}
        connection.execute(_SQL["delete_loaded"], loaded)


def move_raw(connection: psycopg.Connection, user_id: int, observed_at: datetime, key: str) -> None:
    """Record the new key of a raw response that holds rejected items.

    Locks the user: a load that is at work on the user's items ends first.
    """
    params = {"user_id": user_id, "found_at": observed_at, "key": key}
    with connection.transaction():
        lock_users(connection, [user_id])
        connection.execute(_SQL["move_raw"], params)
