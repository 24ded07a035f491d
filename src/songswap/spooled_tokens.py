"""Bring tokens from the spool into the warehouse: those that wait, and those that it has lost.

It loses rotated tokens when it goes back in time, by a failover or from a dump:

    spool (A ──▶ B ──▶ C) ──▶ which of C does the warehouse lack? ──▶ it holds A or B: C is stored
                                                                └──▶ it holds X, of a login: X stays

Spotify takes A and B no more, and only the spool still knows C.
"""

import asyncio
import logging
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.raw.spool import Spool
from songswap.warehouse import tokens
from songswap.warehouse.connection import connect_async
from songswap.warehouse.run import Users
from songswap.warehouse.trouble import translated

log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """How many users' tokens were stored that had waited, and whose wait on."""

    stored: int
    left: set[int]


async def store_waiting(dsn: str, spool: Spool, now: datetime) -> Waiting:
    """Store the tokens that wait in the spool.

    Those that the warehouse refuses, as one whose row somebody holds locked, keep no others back.

    Raises:
        WarehouseError: it was lost; all that are left stay in the spool.
    """
    waiting = await asyncio.to_thread(spool.tokens)
    left: set[int] = set()
    if not waiting:
        return Waiting(0, left)
    try:
        async with await connect_async(dsn) as connection:
            for token in waiting:
                try:
                    await tokens.store(connection, [token], now)
                except psycopg.Error as error:
                    if connection.closed:
                        raise
                    log.warning("Tokens of user %d wait on: %s", token.user_id, translated(error))
                    left.add(token.user_id)
                else:
                    await asyncio.to_thread(spool.drop_tokens, [token], now)
    except psycopg.Error as error:
        raise translated(error) from None
    return Waiting(len(waiting) - len(left), left)


async def put_back(dsn: str, spool: Spool, users: Users, now: datetime) -> int:
    """Store the tokens that came of those which the warehouse holds, and return of how many users.

    Costs a query that compares digests, and nothing where no token was rotated lately.

    Raises:
        SpoolError, WarehouseError: the tokens stay in the spool.
    """
    latest = await asyncio.to_thread(spool.latest_tokens, users.first, users.last)
    if users.only is not None:
        latest = [one for one in latest if one[0] in users.only]
    if not latest:
        return 0
    try:
        async with await connect_async(dsn) as connection:
            held = await tokens.not_held(connection, latest)
            successors = await asyncio.to_thread(spool.successors, held)
            if not successors:
                return 0
            stored = await tokens.store(connection, successors, now)
    except psycopg.Error as error:
        raise translated(error) from None
    log.warning(
        "The warehouse held tokens of %d users that others had taken the place of: it was set back."
        " The later ones were put back from the spool.",
        len(stored),
    )
    return len(stored)
