"""Remember rotations: which refresh token replaced which, after the warehouse has the new one.

    A ──▶ B ──▶ C      a warehouse that holds A or B was set back (failover, restore): C is valid

Each row is a token that was rotated. It has the digests of that token and of its successor, and the
successor's tokens until it is rotated too.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from songswap.models import RotatedToken, Successor, token_digest
from songswap.storage import spool_rows

_COLUMNS = "user_id, spent, successor, kept_ms, access_token, refresh_token, expires_ms, checksum"
_ROWS = f"SELECT {_COLUMNS} FROM rotations WHERE user_id = ?"  # noqa: S608 - our columns
_PUT = f"INTO rotations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_EMPTY = (
    "UPDATE rotations SET access_token = NULL, refresh_token = NULL, expires_ms = NULL,"
    " checksum = ? WHERE user_id = ? AND spent = ?"
)

_ROW_BYTES = 220
"""Bytes of a row in the file and its indexes, measured with twelve rows for a user."""


def remember(db: sqlite3.Connection, tokens: Iterable[RotatedToken], now: datetime) -> None:
    """Add the rotations of tokens, as of ``now``; a token that was not rotated has none."""
    for token in tokens:
        if token.refresh_token == token.old_refresh_token:
            continue
        spent = token.old_digest
        before = f"{_ROWS} AND successor = ? AND refresh_token IS NOT NULL"
        for row in db.execute(before, (token.user_id, spent)).fetchall():
            if _is_intact(row):
                checksum = spool_rows.with_checksum(*row[:4], None, None, None)[-1]
                db.execute(_EMPTY, (checksum, *row[:2]))
        row = spool_rows.with_checksum(
            token.user_id,
            spent,
            token_digest(token.refresh_token),
            spool_rows.to_ms(now),
            spool_rows.blob(token.access_token),
            spool_rows.blob(token.refresh_token),
            spool_rows.to_ms(token.expires_at),
        )
        db.execute(f"INSERT OR REPLACE {_PUT}", row)


def latest(db: sqlite3.Connection, first: int, last: int, limit: int) -> list[tuple[int, bytes]]:
    """Return the digests of the refresh tokens that end chains, of users in a range of ids."""
    rows = db.execute(
        "SELECT user_id, successor FROM rotations"
        " WHERE refresh_token IS NOT NULL AND user_id BETWEEN ? AND ? ORDER BY user_id LIMIT ?",
        (first, last, limit),
    )
    return [row for row in rows if isinstance(row[0], int) and isinstance(row[1], bytes)]


def successor(db: sqlite3.Connection, user_id: int, digest: bytes) -> Successor | None:
    """Return the tokens at the end of a token's chain; None where it was not rotated."""
    at, seen = digest, set[bytes]()
    while at not in seen:
        seen.add(at)
        row = db.execute(f"{_ROWS} AND spent = ?", (user_id, at)).fetchone()
        if row is None or not _is_intact(row):
            return None
        _, _, at, _, access, refresh, expires_ms, _ = row
        if refresh is not None:
            ends = spool_rows.from_ms(expires_ms)
            return Successor(
                user_id, digest, spool_rows.text(access), spool_rows.text(refresh), ends
            )
    return None


def forget(db: sqlite3.Connection, after: timedelta, now: datetime) -> None:
    """Delete rotations older than ``after``, or as far in the future (of a wrong clock)."""
    span = (spool_rows.to_ms(now - after), spool_rows.to_ms(now + after))
    db.execute("DELETE FROM rotations WHERE kept_ms <= ? OR kept_ms > ?", span)


def size(db: sqlite3.Connection) -> int:
    """Return about how many bytes the rows take, without reading them all."""
    (rows,) = db.execute("SELECT max(id) - min(id) + 1 FROM rotations").fetchone()
    return int(rows or 0) * _ROW_BYTES


def save(db: sqlite3.Connection, row: Sequence[Any]) -> None:
    """Save a row of a broken file, unless it is damaged, or stored in a later form."""
    if _is_intact(row):
        db.execute(f"INSERT OR IGNORE {_PUT}", row)


def _is_intact(row: Sequence[Any]) -> bool:
    *fields, checksum = row
    return bool(spool_rows.with_checksum(*fields)[-1] == checksum)
