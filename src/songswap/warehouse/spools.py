"""The spools of all hosts: what waits in each by its last report, and which may have tokens."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import psycopg

from songswap.warehouse.sql import scalar, statements

SILENCE = timedelta(minutes=30)
"""A host that has not reported for so long is silent: hosts report every 10 minutes."""

_GONE = timedelta(days=7)
"""After so long the row of a silent host is deleted, if nothing waits there."""

_SQL = statements("spools.sql")


class Waiting(NamedTuple):
    """What waits in a spool: responses for S3 and for the warehouse, and users' tokens.

    ``problem`` is why the last of it could not be stored, ``since`` when the oldest of these
    responses came.
    """

    for_s3: int
    for_warehouse: int
    tokens: int
    problem: str | None
    since: datetime | None

    def is_any(self) -> bool:
        """Whether something waits."""
        return bool(self.for_s3 or self.for_warehouse or self.tokens)


class HostSpool(NamedTuple):
    """The spool of a host by its last report; ``waiting_since`` is when the oldest response came.

    ``possible_tokens`` are the users whose newest tokens may be there. ``erasures`` of users wait
    for the host to confirm them, the oldest ``erasing_since`` its request, or the host's first
    report.
    """

    spool_id: UUID
    host: str
    seen_at: datetime
    waiting_for_s3: int
    waiting_for_warehouse: int
    waiting_tokens: int
    waiting_since: datetime | None
    problem: str | None
    is_silent: bool
    possible_tokens: int = 0
    erasures: int = 0
    erasing_since: datetime | None = None


class TokenHolder(NamedTuple):
    """A host that may have the newest tokens of some users, whose older ones Spotify refused."""

    host: str
    seen_at: datetime
    is_silent: bool
    users: int


def report(connection: psycopg.Connection, spool_id: UUID, host: str, waiting: Waiting) -> datetime:
    """Record what waits in a spool; returns when, by the server's clock."""
    params = {"spool_id": spool_id, "host": host, **waiting._asdict()}
    seen_at: datetime = scalar(connection.execute(_SQL["report"], params))
    return seen_at


def last_report(connection: psycopg.Connection, spool_id: UUID) -> datetime | None:
    """Return when the last report of a spool came; None where there is none."""
    row = connection.execute(_SQL["last_report"], {"spool_id": spool_id}).fetchone()
    return row[0] if row else None


def introduce(connection: psycopg.Connection, spool_id: UUID, host: str) -> None:
    """Record that there is this spool, if that is not known: erasures wait for those that are."""
    connection.execute(_SQL["introduce"], {"spool_id": spool_id, "host": host})


def senders(connection: psycopg.Connection, spool_id: UUID) -> set[int]:
    """Return the processes that sent tokens whose successors may be in a spool."""
    return {holder for (holder,) in connection.execute(_SQL["senders"], {"spool_id": spool_id})}


def end_exchanges(
    connection: psycopg.Connection, spool_id: UUID, ended: Collection[int], waiting: Collection[int]
) -> None:
    """Record that a spool was drained: it has no tokens that these processes received.

    Args:
        ended: numbers of processes, as `senders` returns them, that have ended.
        waiting: users whose tokens wait in the spool all the same.
    """
    if ended:
        params = {"spool_id": spool_id, "ended": list(ended), "waiting": list(waiting)}
        connection.execute(_SQL["end_exchanges"], params)


def find(connection: psycopg.Connection) -> list[HostSpool]:
    """Return the spools of all hosts, first those in which something has waited the longest."""
    rows = connection.execute(_SQL["list"], {"silence": SILENCE})
    return [HostSpool(*row) for row in rows]


def token_holders(connection: psycopg.Connection, run_id: str) -> list[TokenHolder]:
    """Return the hosts that may have the tokens of users whom a run was refused.

    Before `songswap.warehouse.grants.settle_refused`, which leaves these users undecided.
    """
    params = {"run_id": run_id, "silence": SILENCE}
    return [TokenHolder(*row) for row in connection.execute(_SQL["token_holders"], params)]


def forget(connection: psycopg.Connection, spools: Collection[UUID]) -> None:
    """Delete the rows of spools, and what is known of tokens that may be there.

    The erasures that wait for them are confirmed as ``forgotten``.
    """
    connection.execute(_SQL["forget"], {"spools": list(spools)})


def forget_gone(connection: psycopg.Connection) -> None:
    """Delete the rows of hosts that have been silent for a week, and in which nothing waits.

    Nor may an erasure wait for them.
    """
    connection.execute(_SQL["forget_gone"], {"age": _GONE})
