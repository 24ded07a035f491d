"""Poll heavy listeners between the hourly runs, before Spotify drops their oldest plays.

    songswap.polls (plays_per_hour) ──▶ plan: who is at risk ──▶ fetch, load, as in the hourly load

Spotify remembers 50 plays of a user. At risk are users who lately played so fast that more could
come together before the next poll, and those whose token was being exchanged when its process was
killed: Spotify may issue it once more for some minutes. Where no user is, this costs two queries.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from songswap.clock import utc_now
from songswap.settings import Settings
from songswap.warehouse import grants, polls, runs, tokens
from songswap.warehouse.connection import connect
from songswap.warehouse.limits import pauses
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.polls import POLL_THRESHOLD
from songswap.warehouse.runs import Users

log = logging.getLogger(__name__)

INTERVAL = timedelta(minutes=10)
"""How often this is planned."""


def plan(settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now) -> list[int]:
    """Plan a run for the users at risk.

    Returns:
        The numbers of its batches: one, or none where no user at risk may be polled.

    Raises:
        WarehouseUnavailable, SchemaOutdated: no user can be polled.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        now = clock()
        if pauses.find(connection, settings.spotify.client_id, now):
            log.info("Spotify accepts no requests now: the hourly load says until when.")
            return []
        at_risk = polls.at_risk(connection, now, INTERVAL, POLL_THRESHOLD)
        at_risk += tokens.orphaned(connection, now)
        if not at_risk:
            return []
        credentials = grants.load_credentials(connection, Users.of(at_risk), now)
        users = [user.user_id for user in credentials if not user.paused]
        if not users:
            return []
        log.info("%d users are polled between the hourly runs.", len(users))
        runs.plan_users(connection, run_id, users, now)
        return [0]
