"""Ids of tracks and artists that lack rows, by the tables themselves."""

from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements

_SQL = statements("missing.sql")


class Backlog(NamedTuple):
    """How many ids of a kind lack rows, and which of them to fetch.

    ``missing`` ids can be fetched; ``waiting`` ones are postponed, or were queued after ``at``;
    ``unknown`` ones do not exist at Spotify. ``chosen`` of the missing are to be fetched: those up
    to the id ``through``. With ``at``, the time of counting, the same ids are found each time.
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
    """Count the ids of a kind that lack rows.

    An artist can lack popularity or followers, a track popularity or images, features their row. An
    id is complete once Spotify has given a response about it, whatever that holds.

    Args:
        kind: ``track``, ``artist`` or ``features``.
        at: the time by which ids are missing or waiting.
        at_most: how many of the missing to choose; all, if None.
        through: count only ids up to this one.
    """
    params = {"at": at, "at_most": at_most, "through": through}
    row = connection.execute(_query(kind, "count"), params).fetchone()
    missing, waiting, unknown, last = row or (0, 0, 0, "")
    chosen = missing if at_most is None else min(missing, at_most)
    return Backlog(missing, waiting, unknown, chosen, last, at)


def page(
    connection: psycopg.Connection, kind: str, backlog: Backlog, after: str, limit: int
) -> list[str]:
    """Return the first ids of a backlog after ``after`` that are still missing, in order."""
    params = {"at": backlog.at, "through": backlog.through, "after": after, "limit": limit}
    return [id_ for (id_,) in connection.execute(_query(kind, "page"), params)]


def _query(kind: str, select: str) -> bytes:
    return _SQL[kind] + b"\n" + _SQL[select]
