"""How the warehouse stands: what is in it, and what is not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from songswap.warehouse import grant_states, missing, tokens
from songswap.warehouse.limits import pauses
from songswap.warehouse.limits.pauses import Pause
from songswap.warehouse.missing import Backlog
from songswap.warehouse.sql import statements

GAPS = 20
"""How many gaps are shown with their bounds."""


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


class Gap(NamedTuple):
    """Plays of a user that Spotify had forgotten lie between these two moments."""

    user_id: int
    username: str
    after: datetime
    before: datetime
    found_at: datetime


class Feeds(NamedTuple):
    """Feeds that answered in the last two hours and tell of nothing.

    ``empty`` ones never told of a play; ``quiet`` ones told of none for a day, and of some within
    the last seven: their users rest, or Spotify is late. Neither is a gap.
    """

    empty: int
    quiet: int


class Covered(NamedTuple):
    """How many tracks or artists there are, and how many of them have rows of each sort."""

    total: int
    having: dict[str, int]


@dataclass(frozen=True, slots=True)
class Status:
    """What is in the warehouse; ``missing`` by kind, ``grants`` by their state.

    ``pauses`` are those that hold: nobody is asked before they are over. ``narrow_columns`` are
    those of "SpotifyTokens" that are too short for tokens which are in use.

    ``newest_gaps`` are the open ones that were found last, `GAPS` of them at most.
    """

    pauses: list[Pause]
    narrow_columns: list[tokens.NarrowColumn]
    users: int
    users_with_tokens: int
    plays: int
    newest_play: datetime | None
    last_run: LastRun | None
    tracks: Covered
    artists: Covered
    missing: dict[str, Backlog]
    gaps: int
    newest_gaps: list[Gap]
    feeds: Feeds
    rejected_items: int
    grants: dict[str, int]
    requests: Requests


def read(connection: psycopg.Connection, kinds: tuple[str, ...], now: datetime) -> Status:
    """Count everything; takes seconds for each million of rows.

    Args:
        kinds: those of which to tell what is missing, see `songswap.warehouse.missing.find`.
    """

    def rows(name: str) -> list[tuple[Any, ...]]:
        about = {"now": now, "at_most": GAPS}
        return connection.execute(statements("status.sql")[name], about).fetchall()

    users, users_with_tokens = rows("users")[0]
    plays, newest_play = rows("plays")[0]
    gaps, rejected_items = rows("troubles")[0]
    return Status(
        pauses=pauses.all_of_now(connection, now),
        narrow_columns=tokens.narrow_columns(connection),
        users=users,
        users_with_tokens=users_with_tokens,
        plays=plays,
        newest_play=newest_play,
        last_run=next((LastRun(*row) for row in rows("last_run")), None),
        tracks=Covered(*rows("tracks")[0]),
        artists=Covered(*rows("artists")[0]),
        missing={kind: missing.find(connection, kind, now) for kind in kinds},
        gaps=gaps,
        newest_gaps=[Gap(*row) for row in rows("open_gaps")],
        feeds=Feeds(*rows("feeds")[0]),
        rejected_items=rejected_items,
        grants=grant_states.count(connection, now),
        requests=Requests(*rows("requests")[0]),
    )
