"""The status of the warehouse: what is in it, and what is missing."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.warehouse import coverage, grant_states, missing, polls, tokens
from songswap.warehouse.coverage import Coverage
from songswap.warehouse.limits import capacity, pauses
from songswap.warehouse.limits.pauses import Pause
from songswap.warehouse.missing import Backlog
from songswap.warehouse.polls import OldestPoll
from songswap.warehouse.sql import statements

_SQL = statements("status.sql")

GAPS = 20
"""How many gaps a status has with their bounds."""


class LastRun(NamedTuple):
    """The hourly run that started last."""

    run_id: str
    state: str
    started_at: datetime


class Requests(NamedTuple):
    """Requests to Spotify in the last 24 hours, and its limits as far as they are known.

    ``users_an_hour`` is how many users the limits serve in an hour.
    """

    last_day: int
    per_window: int | None
    per_day: int | None
    users_an_hour: int | None


class Gap(NamedTuple):
    """A time in which a user may have plays that Spotify had dropped before the next poll."""

    user_id: int
    username: str
    after: datetime
    before: datetime
    found_at: datetime


class Feeds(NamedTuple):
    """Feeds with a response in the last two hours, but without recent plays.

    ``empty`` ones never had a play; ``quiet`` ones had none for a day, but some in the last seven:
    their users do not listen, or Spotify is late. Neither is a gap.
    """

    empty: int
    quiet: int


@dataclass(frozen=True, slots=True)
class Status:
    """The status of the warehouse; ``missing`` by kind, ``grants`` by state.

    No user is polled before ``pauses`` are over, but for those of endpoints and of ReccoBeats.
    ``narrow_columns`` of "SpotifyTokens" are too short for tokens in use. ``newest_gaps`` are the
    open gaps found last, at most `GAPS`. ``oldest_poll`` is that of a user who can be polled.
    """

    pauses: list[Pause]
    narrow_columns: list[tokens.NarrowColumn]
    users: int
    users_with_tokens: int
    plays: int
    newest_play: datetime | None
    last_run: LastRun | None
    tracks: Coverage
    artists: Coverage
    missing: dict[str, Backlog]
    gaps: int
    newest_gaps: list[Gap]
    feeds: Feeds
    rejected_items: int
    grants: dict[str, int]
    requests: Requests
    oldest_poll: OldestPoll | None


def read(connection: psycopg.Connection, kinds: tuple[str, ...], now: datetime) -> Status:
    """Count everything; takes seconds for each million of rows.

    Args:
        kinds: those whose missing rows are counted, see `songswap.warehouse.missing.find`.
    """
    params = {"now": now, "at_most": GAPS}
    rows = {name: connection.execute(sql, params).fetchall() for name, sql in _SQL.items()}
    ((users, users_with_tokens),) = rows["users"]
    ((plays, newest_play),) = rows["plays"]
    ((gaps, rejected_items),) = rows["losses"]
    return Status(
        pauses=pauses.active(connection, now),
        narrow_columns=tokens.narrow_columns(connection),
        users=users,
        users_with_tokens=users_with_tokens,
        plays=plays,
        newest_play=newest_play,
        last_run=next((LastRun(*row) for row in rows["last_run"]), None),
        tracks=coverage.tracks(connection),
        artists=coverage.artists(connection),
        missing={kind: missing.find(connection, kind, now) for kind in kinds},
        gaps=gaps,
        newest_gaps=[Gap(*row) for row in rows["open_gaps"]],
        feeds=Feeds(*rows["feeds"][0]),
        rejected_items=rejected_items,
        grants=grant_states.count(connection, now),
        requests=_requests(connection, now),
        oldest_poll=polls.oldest(connection, now),
    )


def _requests(connection: psycopg.Connection, now: datetime) -> Requests:
    """Of all apps together, with the lowest limits that were learned of one."""
    learned = capacity.read(connection, None, now)
    return Requests(learned.in_day, learned.per_window, learned.per_day, learned.an_hour())
