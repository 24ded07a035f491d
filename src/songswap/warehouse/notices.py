"""Notices that were sent to engineers: each subject once, or once a day."""

from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements

_SQL = statements("notices.sql")


class Sent(NamedTuple):
    """When a notice was sent, and a detail by which to compare the next one."""

    at: datetime
    detail: str | None


def find(connection: psycopg.Connection, subject: str) -> Sent | None:
    """Return the last notice on a subject."""
    row = connection.execute(_SQL["find"], {"subject": subject}).fetchone()
    return Sent(*row) if row else None


def find_all(connection: psycopg.Connection, prefix: str) -> dict[str, Sent]:
    """Return the last notice on each subject that begins with ``prefix``, by the rest of it."""
    rows = connection.execute(_SQL["find_all"], {"prefix": prefix})
    return {subject.removeprefix(prefix): Sent(at, detail) for subject, at, detail in rows}


def record(
    connection: psycopg.Connection, subject: str, now: datetime, detail: str | None = None
) -> None:
    """Record that a notice is sent now."""
    connection.execute(_SQL["record"], {"subject": subject, "now": now, "detail": detail})


def forget(connection: psycopg.Connection, subject: str) -> None:
    """Forget a subject, so that its next notice is sent at once."""
    connection.execute(_SQL["forget"], {"subject": subject})
