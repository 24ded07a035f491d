"""What the tables lack of tracks and artists, judged from the tables themselves."""

from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements


class Backlog(NamedTuple):
    """How many ids of a kind lack rows, and the part of them that is to be asked for.

    ``missing`` can be asked for; ``waiting`` are postponed, or have come up since ``at``;
    ``unknown`` are those of which Spotify has said that they do not exist. ``chosen`` of the
    missing are asked for: those up to the id ``through``. With ``at``, when this was counted,
    ``through`` names these and no others, however often they are looked for.
    """

    missing: int
    waiting: int
    unknown: int
    chosen: int
    through: str
    at: datetime


def find(
    connection: psycopg.Connection,
    kind: str,
    at: datetime,
    at_most: int | None = None,
    through: str | None = None,
) -> Backlog:
    """Count what a kind lacks.

    An artist lacks popularity or followers, a track popularity or images, features their row; what
    Spotify has answered is complete, whatever it said.

    Args:
        kind: ``track``, ``artist`` or ``features``.
        at: the moment for which ids are missing or waiting.
        at_most: how many of the missing to choose; all, if None.
        through: count only ids up to this one.
    """
    parameters = {"at": at, "at_most": at_most, "through": through}
    row = connection.execute(_query(kind, "count"), parameters).fetchone()
    missing, waiting, unknown, last = row or (0, 0, 0, "")
    chosen = missing if at_most is None else min(missing, at_most)
    return Backlog(missing, waiting, unknown, chosen, last, at)


def page(
    connection: psycopg.Connection, kind: str, found: Backlog, after: str, limit: int
) -> list[str]:
    """The first ids after ``after`` that were found and are still missing, in their order."""
    parameters = {"at": found.at, "through": found.through, "after": after, "limit": limit}
    return [row[0] for row in connection.execute(_query(kind, "page"), parameters)]


def _query(kind: str, question: str) -> bytes:
    sql = statements("missing.sql")
    return sql[kind] + b"\n" + sql[question]
