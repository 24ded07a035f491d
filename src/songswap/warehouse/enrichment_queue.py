"""The enrichment queue: ids of tracks and artists to fetch, and what came of those requested.

Everybody shares its rows, so a transaction writes to it last, with one statement, in key order.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements

MISSED_WAITS = [timedelta(days=1), timedelta(days=7), timedelta(days=30)]
"""How long to wait before each new request of an id that Spotify says it does not know."""

_SQL = statements("enrichment_queue.sql")

Key = tuple[str, str]
"""The key of a row: its kind (``track``, ``artist`` or ``features``) and id."""


class Heard(NamedTuple):
    """A track to fetch where it, or one of its artists, lacks something at the time ``now``.

    ``stale`` is the time before which metadata is fetched again; None for never.
    """

    track_id: str
    now: datetime
    stale: datetime | None


class Results(NamedTuple):
    """What came of requested ids of a kind.

    Those ``postponed`` are not requested before ``until``. ``new_artists`` are no results: they are
    queued.
    """

    kind: str
    received: Collection[str]
    missed: Collection[str]
    postponed: Collection[str]
    until: datetime | None
    new_artists: Collection[str] = ()


def queued_ids(connection: psycopg.Connection, kind: str, limit: int, now: datetime) -> list[str]:
    """Return ids whose metadata is to be fetched now, the longest queued first.

    Args:
        kind: ``track``, ``artist`` or ``features``.
    """
    params = {"kind": kind, "limit": limit, "now": now}
    return [id_ for (id_,) in connection.execute(_SQL["queued_ids"], params)]


def stale_artists(
    connection: psycopg.Connection, ids: Collection[str], stale: datetime
) -> list[str]:
    """Return those of these artists whose popularity is not from after ``stale``."""
    if not ids:
        return []
    params = {"ids": list(ids), "stale": stale}
    return [id_ for (id_,) in connection.execute(_SQL["stale_artists"], params)]


def enqueue(
    connection: psycopg.Connection, rows: Iterable[Key], now: datetime, stale: datetime
) -> None:
    """Queue rows, unless they were received after ``stale`` or Spotify does not know them."""
    if keys := list(rows):
        kinds, ids = map(list, zip(*keys, strict=True))
        params = {"kinds": kinds, "ids": ids, "now": now, "stale": stale}
        connection.execute(_SQL["enqueue"], params)


def enqueue_heard(
    connection: psycopg.Connection, heard: Collection[Heard], incomplete: Collection[Heard]
) -> None:
    """Queue what is unknown or stale of tracks that were played, and of their artists.

    Args:
        incomplete: tracks to queue even if their popularity is fresh.
    """
    if not heard and not incomplete:
        return
    params = {
        "tracks": [row.track_id for row in heard],
        "now": [row.now for row in heard],
        "stale": [row.stale for row in heard],
        "incomplete": [row.track_id for row in incomplete],
        "incomplete_now": [row.now for row in incomplete],
        "incomplete_stale": [row.stale for row in incomplete],
        "latest_stale": max((row.stale for row in heard if row.stale), default=None),
    }
    connection.execute(_SQL["enqueue_heard"], params)


def record(connection: psycopg.Connection, results: Results, now: datetime, source: str) -> None:
    """Record what came of requested ids.

    Ids that are missed are requested again after each of `MISSED_WAITS`, and then recorded as
    unknown.

    Args:
        source: where they were requested, ``spotify`` or ``reccobeats``.
    """
    rows = [
        *(("artist", id_, "new") for id_ in results.new_artists),
        *((results.kind, id_, "received") for id_ in results.received),
        *((results.kind, id_, "missed") for id_ in results.missed),
        *((results.kind, id_, "postponed") for id_ in results.postponed),
    ]
    if not rows:
        return
    kinds, ids, outcomes = map(list, zip(*rows, strict=True))
    params = {
        "kinds": kinds,
        "ids": ids,
        "results": outcomes,
        "until": results.until,
        "now": now,
        "source": source,
        "waits": MISSED_WAITS,
    }
    connection.execute(_SQL["record"], params)


def postpone(
    connection: psycopg.Connection, kind: str, ids: Collection[str], until: datetime
) -> None:
    """Do not request these ids before ``until``: an error says nothing about an id."""
    record(connection, Results(kind, (), (), ids, until), until, "")
