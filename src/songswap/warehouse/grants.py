"""Users' grants in the warehouse: who can be polled, and what Spotify's refusals mean."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.warehouse import erasures
from songswap.warehouse.polls import POLL_THRESHOLD
from songswap.warehouse.retry import retried
from songswap.warehouse.runs import Users
from songswap.warehouse.sql import scalar, statements
from songswap.warehouse.tokens import decode

EXPIRES_SOON = timedelta(minutes=5)
"""An access token that ends within this time is refreshed before it is used."""

_SEVERAL = 3
"""From how many users on refusals can be an incident, when most users of a run are refused."""

_SQL = statements("grants.sql")


class Credentials(NamedTuple):
    """A user and the access token to poll with.

    ``expires_at`` is None where it is not known, because the web app wrote the token.
    ``fingerprint`` is that of the newest response in History. ``paused`` users are not polled for
    now, or ever: their grant is revoked, or forbidden to the app. ``settled`` grants are active and
    were not refused lately.
    """

    user_id: int
    access_token: str
    expires_at: datetime | None
    fingerprint: bytes | None
    paused: bool
    settled: bool

    def __repr__(self) -> str:
        return f"Credentials(user_id={self.user_id})"


@retried
def record_authorized(connection: psycopg.Connection, now: datetime) -> None:
    """Record tokens that the pipeline has not stored itself: their users authorized the app.

    What is recorded of a user's earlier tokens is reset. Erased users are users again by that.
    """
    erasures.record_renewed(connection, now)
    connection.execute(_SQL["record_authorized"], {"now": now})


def load_credentials(
    connection: psycopg.Connection, users: Users, now: datetime
) -> list[Credentials]:
    """Return users' credentials in the order in which they are polled: a batch may be cut off.

    First those of whom Spotify could drop a play within an hour, the most plays first; then those
    who were never polled, then those unpolled longest.
    """
    params = {**users._asdict(), "now": now, "plays": POLL_THRESHOLD}
    rows = connection.execute(_SQL["load_credentials"], params)
    return [Credentials(user_id, decode(token), *rest) for user_id, token, *rest in rows]


def record_refused(
    connection: psycopg.Connection, users: Mapping[int, datetime | None], run_id: str
) -> None:
    """Record that Spotify refused these users' grants; `settle_refused` decides what it means.

    Args:
        users: by id, when the token was sent before without a stored response; None mostly.
    """
    params = {"users": list(users), "unanswered_at": list(users.values()), "run_id": run_id}
    connection.execute(_SQL["record_refused"], params)


def record_forbidden(connection: psycopg.Connection, users: Collection[int], run_id: str) -> None:
    """Record 403s for these users; `settle_forbidden` decides what they mean."""
    connection.execute(_SQL["record_forbidden"], {"users": list(users), "run_id": run_id})


def record_recovered(connection: psycopg.Connection, users: Collection[int]) -> None:
    """Record responses for users whose grants had been refused or forbidden."""
    connection.execute(_SQL["record_recovered"], {"users": list(users)})


def settle_refused(
    connection: psycopg.Connection,
    run_id: str,
    polled: int,
    share: float,
    at_least: int,
    now: datetime,
) -> tuple[int, bool]:
    """Decide what the refusals of a run mean: dead grants, or an incident at Spotify.

    Spotify has refused all grants during an outage. So when at least ``at_least`` users and more
    than ``share`` of the polled ones were refused, or most of a few (an outage can cut a run
    short), no grant is dead. Grants whose six months are over do not count, for many can end at
    once, and they are dead. Other dead grants are tried again in the next hour, a day later and two
    days later. A run of some users only settles grants that are over; the others stay active until
    the hourly run polls everybody. So do those whose newest token may be in the spool of a host
    that has not been drained since it was sent, see `songswap.warehouse.spools.token_holders`.

    Returns:
        How many were refused before their end, and whether it was an incident.
    """
    params = {"run_id": run_id, "now": now}
    refused: int = scalar(connection.execute(_SQL["count_refused"], params))
    incident = _is_incident(refused, polled, share, at_least)
    connection.execute(_SQL["settle_refused"], params | {"incident": incident})
    return refused, incident


def count_lost(connection: psycopg.Connection, run_id: str) -> int:
    """Count the grants that a run settled as lost: refused, and their newest token never stored."""
    return int(scalar(connection.execute(_SQL["count_lost"], {"run_id": run_id})))


def settle_forbidden(
    connection: psycopg.Connection,
    run_id: str,
    polled: int,
    share: float,
    at_least: int,
    now: datetime,
) -> tuple[int, bool]:
    """Decide what the 403s of a run mean: users whom the app may not poll, or an incident.

    As with refused grants, most users forbidden at once are an incident, and so are all users,
    however few: nobody pauses. Else a user is polled again in the next run, and pauses after
    several such runs in a row, for six hours, a day, and a week at a time. Users who paused before
    do not count for an incident.

    Returns:
        How many were forbidden who did not pause before, and whether it was an incident.
    """
    params = {"run_id": run_id, "now": now}
    forbidden: int = scalar(connection.execute(_SQL["count_forbidden"], params))
    incident = _is_incident(forbidden, polled, share, at_least) or 0 < forbidden == polled
    connection.execute(_SQL["settle_forbidden"], params | {"incident": incident})
    return forbidden, incident


def _is_incident(users: int, polled: int, share: float, at_least: int) -> bool:
    many = users >= at_least and users > share * polled
    return many or (users >= _SEVERAL and 2 * users > polled)
