"""Between the hourly loads: ask for those who would lose plays, or their grant, until the next one.

    songswap.polls (pace) ──▶ plan: who is endangered ──▶ fetch, load: as the hourly load does

Spotify remembers 50 plays of a user. Who played at such a pace lately that more of them could come
together before the next look is asked for now. So is whose token was on its way when its process
was killed: Spotify may give it once more for some minutes. When nobody is, this costs two queries.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from songswap.clock import utc_now
from songswap.settings import Settings
from songswap.warehouse import grants as grant
from songswap.warehouse import polls, runs, tokens
from songswap.warehouse.connection import connect
from songswap.warehouse.limits import pauses
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.runs import Users

log = logging.getLogger(__name__)

INTERVAL = timedelta(minutes=10)
"""After how long the next look is."""

POLL_THRESHOLD = 40
"""Plays since the last answer at which a user is asked for: a fifth of the 50 is left for haste."""


def plan(settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now) -> list[int]:
    """Plan a run for the users who are endangered.

    Returns:
        The numbers of its batches: one, or none when nobody is endangered or may be asked for.

    Raises:
        WarehouseUnavailable, SchemaOutdated: nobody can be asked for.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        now = clock()
        if pauses.find(connection, settings.spotify.client_id, now):
            log.info("Spotify takes no requests now: the hourly load says until when.")
            return []
        at_risk = polls.at_risk(connection, now, INTERVAL, POLL_THRESHOLD)
        at_risk += tokens.orphaned(connection, now)
        if not at_risk:
            return []
        grants = grant.load_credentials(connection, Users.of(at_risk), now)
        users = [one.user_id for one in grants if not one.paused]
        if not users:
            return []
        log.info("%d users are asked for between the hours.", len(users))
        runs.plan_users(connection, run_id, users, now)
        return [0]
