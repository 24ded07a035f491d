"""How the warehouse stands: what is in it, and what is not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from songswap.warehouse import grant_state, missing
from songswap.warehouse.missing import Found
from songswap.warehouse.sql import statements


class LastRun(NamedTuple):
    """The hourly run that started last."""

    run_id: str
    state: str
    started_at: datetime


class Requests(NamedTuple):
    """Requests to Spotify in the last 24 hours, and how many it takes as far as that is known."""

    last_day: int
    per_window: int | None
    per_day: int | None


class Covered(NamedTuple):
    """How many tracks or artists there are, and how many of them have rows of each sort."""

    total: int
    having: dict[str, int]


@dataclass(frozen=True, slots=True)
class Status:
    """What is in the warehouse; ``missing`` by kind, ``grants`` by their state."""

    users: int
    users_with_tokens: int
    plays: int
    newest_play: datetime | None
    last_run: LastRun | None
    tracks: Covered
    artists: Covered
    missing: dict[str, Found]
    gaps: int
    set_aside: int
    grants: dict[str, int]
    requests: Requests


def read(connection: psycopg.Connection, kinds: tuple[str, ...], now: datetime) -> Status:
    """Count everything; takes seconds for each million of rows.

    Args:
        kinds: those of which to tell what is missing, see `songswap.warehouse.missing.find`.
    """

    def rows(name: str) -> list[tuple[Any, ...]]:
        return connection.execute(statements("status.sql")[name], {"now": now}).fetchall()

    users, users_with_tokens = rows("users")[0]
    plays, newest_play = rows("plays")[0]
    gaps, set_aside = rows("troubles")[0]
    return Status(
        users=users,
        users_with_tokens=users_with_tokens,
        plays=plays,
        newest_play=newest_play,
        last_run=next((LastRun(*row) for row in rows("last_run")), None),
        tracks=Covered(*rows("tracks")[0]),
        artists=Covered(*rows("artists")[0]),
        missing={kind: missing.find(connection, kind, now) for kind in kinds},
        gaps=gaps,
        set_aside=set_aside,
        grants=grant_state.count(connection, now),
        requests=Requests(*rows("requests")[0]),
    )
