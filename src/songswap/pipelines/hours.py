"""Decide whom an hour polls: everybody, or as many as the app's limit serves.

learned limits, users, those at risk ──▶ `capacity.hour_of` ──▶ a choice for `runs.plan`
"""

import logging
from datetime import datetime, timedelta

import psycopg

from songswap.alerts.notices import in_hours
from songswap.settings import Settings
from songswap.warehouse import polls, runs
from songswap.warehouse.limits import capacity
from songswap.warehouse.polls import POLL_THRESHOLD
from songswap.warehouse.runs import Choice

log = logging.getLogger(__name__)

_HOUR = timedelta(hours=1)


def choose(
    settings: Settings, connection: psycopg.Connection, run_id: str, now: datetime
) -> Choice | None:
    """Return how to choose the users of a run; None where the hour serves all of them."""
    spotify = settings.spotify
    window = timedelta(seconds=spotify.window_s)
    learned = capacity.read(connection, spotify.client_id, now, window)
    if learned.an_hour() is None:
        return None
    pollable = polls.count(connection, now, _HOUR, POLL_THRESHOLD)
    passed = now - (runs.started_at(connection, run_id) or now)
    lasts = capacity.POLLING_TIME - passed
    hour = capacity.hour_of(learned, lasts, pollable.users, pollable.at_risk)
    if not (hour.deferred or hour.endangered):
        return None
    log.warning(
        "This app's limit serves %d of %d users this hour: %d are polled later. First come %d who"
        " could lose plays before the next hour, then those unpolled longest: for %s.",
        hour.polled,
        pollable.users,
        hour.deferred,
        pollable.at_risk,
        in_hours(_minutes(pollable.oldest or now, now)),
    )
    counts = {"deferred": hour.deferred, "endangered": hour.endangered}
    return Choice(hour.polled, POLL_THRESHOLD, _HOUR, counts)


def oldest_poll(connection: psycopg.Connection, now: datetime) -> dict[str, int]:
    """Return as a count how old the oldest poll is of users who can be polled."""
    oldest = polls.oldest(connection, now)
    return {"oldest_poll_minutes": _minutes(oldest.since, now)} if oldest else {}


def _minutes(since: datetime, now: datetime) -> int:
    return max(0, int((now - since).total_seconds() // 60))
