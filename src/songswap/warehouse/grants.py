"""Users' grants in the warehouse: who can be asked for, and what refusals of Spotify mean."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.warehouse.runs import Users
from songswap.warehouse.sql import statements
from songswap.warehouse.tokens import decode

EXPIRES_SOON = timedelta(minutes=5)
"""An access token that ends within this time is refreshed before it is used."""

_SOME = 3
"""Refusals that are more than one user's own affair, when they are most of a run's."""


class Credentials(NamedTuple):
    """A user and the access token to ask with.

    ``expires_at`` is None where it is not known, because the web app wrote the token.
    ``fingerprint`` is that of the newest answer in History; ``resting`` users are not asked for
    yet, or ever: their grant is revoked, or the app may not ask for them. ``settled`` says that
    nothing is held against the grant.
    """

    user_id: int
    access_token: str
    expires_at: datetime | None
    fingerprint: bytes | None
    paused: bool
    settled: bool

    def __repr__(self) -> str:
        return f"Grant(user_id={self.user_id})"


def note_authorized(connection: psycopg.Connection, now: datetime) -> None:
    """Note the tokens that the pipeline has not stored itself: their users authorized by ``now``.

    Whatever was known of a user's earlier tokens does not hold any more.
    """
    connection.execute(statements("grants.sql")["note_authorized"], {"now": now})


def load_credentials(
    connection: psycopg.Connection, users: Users, now: datetime
) -> list[Credentials]:
    """The grants of users; first those who play so much that their oldest play may be forgotten."""
    rows = connection.execute(
        statements("grants.sql")["load_credentials"], {**users._asdict(), "now": now}
    )
    return [Credentials(user_id, decode(token), *others) for user_id, token, *others in rows]


def note_refused(
    connection: psycopg.Connection, users: Mapping[int, datetime | None], run_id: str
) -> None:
    """Record that Spotify refused these users' grants; `settle_refused` decides what it means.

    Args:
        users: by id, when the token had been sent before without a stored answer; None mostly.
    """
    about = {"users": list(users), "unanswered_at": list(users.values()), "run_id": run_id}
    connection.execute(statements("grants.sql")["note_refused"], about)


def note_forbidden(connection: psycopg.Connection, users: Collection[int], run_id: str) -> None:
    """Record that Spotify forbade these users (403); `settle_forbidden` decides what it means."""
    about = {"users": list(users), "run_id": run_id}
    connection.execute(statements("grants.sql")["note_forbidden"], about)


def note_answered(connection: psycopg.Connection, users: Collection[int]) -> None:
    """Record that Spotify answered for users against whose grants something was held."""
    connection.execute(statements("grants.sql")["note_answered"], {"users": list(users)})


def settle_refused(
    connection: psycopg.Connection,
    run_id: str,
    asked: int,
    share: float,
    at_least: int,
    now: datetime,
) -> tuple[int, bool]:
    """Decide what the refusals of a run mean: dead grants, or an incident at Spotify.

    Spotify has refused everybody's grant during an outage: when at least ``at_least`` users and
    more than ``share`` of those asked for were refused, nobody's grant is taken for dead; nor when
    most of a few were, for a run may be cut short in an outage. Grants whose six months are over do
    not count for that: many may end at once, and they are dead. All others that are taken for dead
    are asked for again: in the next hour, a day later and a week later. A run for some users only
    decides nothing but ends: others stay active until the hourly load asks everybody.

    Returns:
        How many were refused before their end, and whether it was an incident.
    """
    sql = statements("grants.sql")
    row = connection.execute(sql["count_refused"], {"run_id": run_id, "now": now}).fetchone()
    refused = int(row[0]) if row else 0
    incident = _is_incident(refused, asked, share, at_least)
    about = {"run_id": run_id, "incident": incident, "now": now}
    connection.execute(sql["settle_refused"], about)
    return refused, incident


def count_lost(connection: psycopg.Connection, run_id: str) -> int:
    """How many grants a run settled as lost: refused, after a token that nobody stored."""
    row = connection.execute(statements("grants.sql")["count_lost"], {"run_id": run_id}).fetchone()
    return int(row[0]) if row else 0


def settle_forbidden(
    connection: psycopg.Connection,
    run_id: str,
    asked: int,
    share: float,
    at_least: int,
    now: datetime,
) -> tuple[int, bool]:
    """Decide what the 403s of a run mean: users whom the app may not ask for, or an incident.

    As with refused grants, most users forbidden at once are an incident, and so are all of however
    few: nobody rests. Else a user
    is asked for again in the next run; who is forbidden in several runs one after the other rests
    for six hours, a day, and a week at a time. Those who rested before do not count for an
    incident.

    Returns:
        How many were forbidden who did not rest before, and whether it was an incident.
    """
    sql = statements("grants.sql")
    row = connection.execute(sql["count_forbidden"], {"run_id": run_id}).fetchone()
    forbidden = int(row[0]) if row else 0
    incident = _is_incident(forbidden, asked, share, at_least) or 0 < forbidden == asked
    about = {"run_id": run_id, "incident": incident, "now": now}
    connection.execute(sql["settle_forbidden"], about)
    return forbidden, incident


def _is_incident(users: int, asked: int, share: float, at_least: int) -> bool:
    many = users >= at_least and users > share * asked
    return many or (users >= _SOME and 2 * users > asked)
