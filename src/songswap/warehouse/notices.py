"""What engineers were told of last, and when: so that each of it is told once, or once a day."""

from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements

_SQL = statements("notices.sql")


class Sent(NamedTuple):
    """When engineers were told of a subject, and what has to be known of that."""

    at: datetime
    detail: str | None


def find(connection: psycopg.Connection, subject: str) -> Sent | None:
    """What was told of a subject last."""
    row = connection.execute(_SQL["find"], {"subject": subject}).fetchone()
    return Sent(*row) if row else None


def note(
    connection: psycopg.Connection, subject: str, now: datetime, detail: str | None = None
) -> None:
    """Note that engineers are told of a subject now."""
    connection.execute(_SQL["note"], {"subject": subject, "now": now, "detail": detail})


def forget(connection: psycopg.Connection, subject: str) -> None:
    """Forget what was told of a subject: it is told at once when it comes again."""
    connection.execute(_SQL["forget"], {"subject": subject})
