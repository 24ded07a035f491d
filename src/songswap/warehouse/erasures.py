"""Erasures of users: what is recorded of them, and whose data is loaded no more.

    request ──▶ places: warehouse, s3, spools ──▶ removed, added up ──▶ confirmed ──▶ end

An erasure is in force from its request until its user authorizes again after its end. Until then
nothing of the user is polled or loaded; afterwards only what came since.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from songswap.warehouse.retry import retried
from songswap.warehouse.sql import scalar, statements

WAREHOUSE, S3 = "warehouse", "s3"
"""The places that are no host's spool."""

_SQL = statements("erasures.sql")


class Erasure(NamedTuple):
    """An erasure of a user; ``ended_at`` is None until every place has confirmed.

    ``reason`` is ``request`` or ``due``. ``renewed_at`` is since when the user's data is loaded
    again.
    """

    erasure_id: int
    user_id: int
    requested_at: datetime
    reason: str
    keeps_account: bool
    ended_at: datetime | None
    renewed_at: datetime | None


class Place(NamedTuple):
    """A place of an erasure: `WAREHOUSE`, `S3`, or the id of the spool of ``host``.

    ``at_work`` are processes of that host that may have a response of the user. ``removed`` are
    numbers by kind. ``problem`` is why it could not be erased there last. ``seen_at`` is when the
    host reported last. The warehouse and S3 were swept after the host confirmed if it ``is_swept``.
    """

    place: str
    host: str | None
    at_work: list[int]
    removed: dict[str, int]
    confirmed_at: datetime | None
    problem: str | None
    seen_at: datetime | None
    is_swept: bool

    @property
    def is_spool(self) -> bool:
        """Whether a host has to erase it."""
        return self.place not in (WAREHOUSE, S3)


def not_loadable(
    connection: psycopg.Connection, users: Collection[int]
) -> Mapping[int, datetime | None]:
    """Return which of these users were ever erased.

    Call it when the users are locked: an erasure that is requested later waits for the lock.

    Returns:
        By user id: since when the user's data is loaded again; None where nothing of it is.
    """
    return dict(connection.execute(_SQL["not_loadable"], {"users": list(users)}).fetchall())


def record_renewed(connection: psycopg.Connection, now: datetime) -> None:
    """Record which erased users have authorized again, by their tokens."""
    connection.execute(_SQL["record_renewed"], {"now": now})


def back(connection: psycopg.Connection) -> list[int]:
    """Return erased users who are in ``"Users"`` again, though the account went: from a backup."""
    return [user_id for (user_id,) in connection.execute(_SQL["back"])]


def in_force_since(connection: psycopg.Connection, user_id: int) -> datetime | None:
    """Return when the erasure that is in force was requested; None where none is."""
    row = connection.execute(_SQL["in_force"], {"user_id": user_id}).fetchone()
    return row[0] if row else None


def has_authorized_since(connection: psycopg.Connection, user_id: int, since: datetime) -> bool:
    """Return whether a user is known to have authorized the app again after a time.

    Call it when the user is locked for an erasure.
    """
    params = {"user_id": user_id, "since": since}
    return bool(scalar(connection.execute(_SQL["authorized_since"], params)))


def request(
    connection: psycopg.Connection,
    user_id: int,
    now: datetime,
    *,
    keeps_account: bool,
    reason: str,
    has_rows: bool = False,
) -> int:
    """Record that a user is to be erased, with the places where; return the erasure's id.

    Call it when the user is locked: a load that is at work on the user ends before. An erasure that
    is in force goes on. One that has ended begins again if there is anything to erase.

    Args:
        has_rows: whether the warehouse has rows of the user that an erasure removes.
    """
    params = {
        "user_id": user_id,
        "now": now,
        "keeps_account": keeps_account,
        "reason": reason,
        "has_rows": has_rows,
    }
    row = connection.execute(_SQL["request"], params).fetchone()
    assert row is not None  # noqa: S101 - an insert or an update, either returns
    erasure_id, is_open = row
    if is_open:
        connection.execute(_SQL["add_places"], {"erasure_id": erasure_id})
    return int(erasure_id)


def find(connection: psycopg.Connection, erasure_id: int) -> Erasure | None:
    """Return an erasure; None where there is none with this id."""
    row = connection.execute(_SQL["erasures"], {"ids": [erasure_id]}).fetchone()
    return Erasure(*row) if row else None


def of_user(connection: psycopg.Connection, user_id: int) -> list[Erasure]:
    """Return all erasures of a user, the oldest first."""
    return [Erasure(*row) for row in connection.execute(_SQL["of_user"], {"user_id": user_id})]


def open_erasures(connection: psycopg.Connection) -> list[Erasure]:
    """Return the erasures that have a place which has not confirmed, the oldest first."""
    return [Erasure(*row) for row in connection.execute(_SQL["open"])]


def places(connection: psycopg.Connection, erasure_id: int) -> list[Place]:
    """Return the places of an erasure: the warehouse, S3, then the hosts' spools."""
    rows = connection.execute(_SQL["places"], {"erasure_id": erasure_id})
    return [Place(*row) for row in rows]


def add_removed(
    connection: psycopg.Connection, erasure_id: int, place: str, removed: Mapping[str, int]
) -> None:
    """Add to what was removed in a place, in the transaction of the removal where there is one.

    The place has no problem any more.
    """
    counts = Jsonb({kind: number for kind, number in removed.items() if number})
    params = {"erasure_id": erasure_id, "place": place, "removed": counts}
    connection.execute(_SQL["add_removed"], params)


def note_found(
    connection: psycopg.Connection, erasure_id: int, place: str, found: Mapping[str, int] | None
) -> None:
    """Record what a removal has found that is no transaction; None when its counts are added.

    If it is cut off, what it removed is the difference to what the next one finds.
    """
    params = {"erasure_id": erasure_id, "place": place}
    connection.execute(
        _SQL["note_found"], params | {"found": None if found is None else Jsonb(dict(found))}
    )


def found(connection: psycopg.Connection, erasure_id: int, place: str) -> dict[str, int] | None:
    """Return what a removal had found that was cut off; None where none was."""
    params = {"erasure_id": erasure_id, "place": place}
    row = connection.execute(_SQL["found"], params).fetchone()
    return row[0] if row else None


def fail(connection: psycopg.Connection, erasure_id: int, place: str, problem: str) -> None:
    """Record why a place could not be erased; the other places go on."""
    params = {"erasure_id": erasure_id, "place": place, "problem": problem}
    connection.execute(_SQL["fail"], params)


@retried
def reopen(connection: psycopg.Connection, erasure_id: int) -> None:
    """Let an erasure that has ended go on, if a host has confirmed since its last sweep.

    The warehouse and S3 have to be swept again, unless the user has authorized again.
    """
    params = {"erasure_id": erasure_id}
    with connection.transaction():
        connection.execute(_SQL["lock"], params)
        connection.execute(_SQL["reopen"], params)


def ended_since(connection: psycopg.Connection, since: datetime) -> list[Erasure]:
    """Return the erasures that ended later than that, and whose users have not come back."""
    return [Erasure(*row) for row in connection.execute(_SQL["ended_since"], {"since": since})]


@retried
def begin_again(connection: psycopg.Connection, erasure_id: int) -> bool:
    """Let an erasure that has ended go on; return false if its user is one again by now."""
    params = {"erasure_id": erasure_id}
    with connection.transaction():
        connection.execute(_SQL["lock"], params)
        return bool(connection.execute(_SQL["begin_again"], params).fetchall())


@retried
def end(
    connection: psycopg.Connection, erasure_id: int, hosts: Sequence[Place], now: datetime
) -> None:
    """Record that an erasure has ended, and that the warehouse and S3 have confirmed.

    Args:
        hosts: the spools as they were before the last sweep began. If one has not confirmed, or has
            only since, or there is another one by now, nothing is recorded.
    """
    params = {
        "erasure_id": erasure_id,
        "places": [host.place for host in hosts],
        "confirmed_at": [host.confirmed_at for host in hosts],
        "now": now,
    }
    with connection.transaction():
        connection.execute(_SQL["lock"], params)
        connection.execute(_SQL["end"], params)


def keep_digest(connection: psycopg.Connection, erasure_id: int) -> None:
    """Let a token that the pipeline itself stored after the request be no new authorization.

    Before the user's row of ``songswap.grants`` is deleted.
    """
    connection.execute(_SQL["keep_digest"], {"erasure_id": erasure_id})


@contextmanager
def taking_turn(
    connection: psycopg.Connection, user_id: int, *, is_import: bool = False
) -> Iterator[bool]:
    """Be the only process that erases a user, for the block; yields False where another one is.

    No export of the user is imported meanwhile: it is archived before its load is refused.

    Args:
        connection: one of its own, for all of the block is a transaction of it.
        is_import: be one of those that import instead, while nobody erases.
    """
    params = {"user_id": user_id, "is_import": is_import}
    with connection.transaction():
        row = connection.execute(_SQL["take_turn"], params).fetchone()
        yield bool(row and row[0])


def keep_turn(connection: psycopg.Connection) -> None:
    """Raise where the session of `taking_turn` is lost: another process may be at it by now."""
    connection.execute(_SQL["keep_turn"])
