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

from songswap.models import RotatedToken, Successor
from songswap.storage.spool import Spool
from songswap.warehouse import tokens
from songswap.warehouse.connection import connect_async
from songswap.warehouse.error_translation import translate
from songswap.warehouse.runs import Users

log = logging.getLogger(__name__)


class Brought(NamedTuple):
    """Of how many users tokens were brought, and the users of whom the warehouse took none.

    What the warehouse holds of the latter is worthless: they cannot be asked for.
    """

    users: int
    left: set[int]


async def store_waiting(dsn: str, spool: Spool, now: datetime) -> Brought:
    """Store the tokens that wait in the spool.

    Those that the warehouse refuses, as where somebody holds a row locked, keep no others back.

    Raises:
        WarehouseError: it was lost; all that are left stay in the spool.
    """
    waiting = await asyncio.to_thread(spool.tokens)
    if not waiting:
        return Brought(0, set())
    try:
        async with await connect_async(dsn) as connection:
            left = set()
            for token in waiting:
                if await _refused(connection, token, now):
                    left.add(token.user_id)
                else:
                    await asyncio.to_thread(spool.drop_tokens, [token], now)
    except psycopg.Error as error:
        raise translate(error) from None
    return Brought(len(waiting) - len(left), left)


async def put_back(dsn: str, spool: Spool, users: Users, now: datetime) -> Brought:
    """Store the tokens that came of those which the warehouse holds.

    Costs a query that compares digests, and nothing where no token was rotated lately.

    Raises:
        SpoolError, WarehouseError: the tokens stay in the spool.
    """
    latest = await asyncio.to_thread(spool.latest_tokens, users.first, users.last)
    if users.only is not None:
        latest = [one for one in latest if one[0] in users.only]
    if not latest:
        return Brought(0, set())
    try:
        async with await connect_async(dsn) as connection:
            held = await tokens.unlisted(connection, latest)
            successors = await asyncio.to_thread(spool.successors, held)
            brought = await _store(connection, successors, now)
    except psycopg.Error as error:
        raise translate(error) from None
    if brought.users:
        log.warning(
            "The warehouse held tokens of %d users that others had taken the place of: it went back"
            " in time. The later ones were put back from the spool.",
            brought.users,
        )
    return brought


async def _store(
    connection: psycopg.AsyncConnection, successors: list[Successor], now: datetime
) -> Brought:
    """Store tokens at once, or one by one where that is refused."""
    if not successors:
        return Brought(0, set())
    try:
        return Brought(len(await tokens.store(connection, successors, now)), set())
    except psycopg.Error:
        if connection.closed:
            raise
    left = {one.user_id for one in successors if await _refused(connection, one, now)}
    return Brought(len(successors) - len(left), left)


async def _refused(
    connection: psycopg.AsyncConnection, token: RotatedToken | Successor, now: datetime
) -> bool:
    """Store a user's tokens; whether the warehouse refused them."""
    try:
        await tokens.store(connection, [token], now)
    except psycopg.Error as error:
        if connection.closed:
            raise
        log.warning("Tokens of user %d wait on: %s", token.user_id, translate(error))
        return True
    return False
