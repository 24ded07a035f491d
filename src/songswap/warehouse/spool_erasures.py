"""Erasures in the spool of a host: which it has not confirmed, and what it has deleted.

A spool confirms each erasure, also one that ended before the spool was known: it may come back from
long ago, with anybody's rows.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg

from songswap.warehouse.sql import statements

_SQL = statements("spool_erasures.sql")


class Unconfirmed(NamedTuple):
    """An erasure that a spool has not confirmed.

    Since ``renewed_at`` the user's data is the user's again; None while the erasure is in force.
    With ``keeps_account`` it is, and the user's sign-in stays. ``at_work`` are the processes that
    were at work on the spool when its host saw the erasure first; none until it has. On a spool
    that ``is_new`` since the end nobody can have anything of the user in memory.
    """

    erasure_id: int
    user_id: int
    renewed_at: datetime | None
    keeps_account: bool
    at_work: frozenset[int]
    is_new: bool


class Deleted(NamedTuple):
    """What was deleted for an erasure in all, by kind, and whether that confirms it; or why not."""

    erasure_id: int
    removed: Mapping[str, int]
    confirms: bool
    problem: str | None


def unconfirmed(connection: psycopg.Connection, spool_id: UUID) -> list[Unconfirmed]:
    """Return the erasures that a spool has not confirmed, oldest first."""
    rows = connection.execute(_SQL["unconfirmed"], {"spool_id": spool_id})
    return [
        Unconfirmed(erasure_id, user_id, renewed_at, keeps_account, frozenset(at_work), is_new)
        for erasure_id, user_id, renewed_at, keeps_account, at_work, is_new in rows
    ]


def record(
    connection: psycopg.Connection,
    spool_id: UUID,
    host: str,
    at_work: Collection[int],
    deleted: Sequence[Deleted],
) -> None:
    """Record what a host has deleted; recorded twice it changes nothing.

    Args:
        at_work: the other processes at work on the spool, for erasures that it sees first.
    """
    params = {
        "spool_id": spool_id,
        "host": host,
        "at_work": list(at_work),
        "erasure_id": [each.erasure_id for each in deleted],
        "removed": [json.dumps(each.removed) for each in deleted],
        "confirms": [each.confirms for each in deleted],
        "problem": [each.problem for each in deleted],
    }
    connection.execute(_SQL["record"], params)
