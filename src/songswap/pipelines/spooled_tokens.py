"""Store the spool's tokens in the warehouse: those that wait, and those that it has lost.

It loses rotated tokens when it goes back in time, by a failover or from a dump:

    spool (A ──▶ B ──▶ C) ──▶ does the warehouse lack C? ──▶ it holds A or B: C is stored
                                                         └──▶ it holds X, of a login: X stays

Spotify accepts neither A nor B any more, and only the spool still has C.
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
from songswap.warehouse.error_translation import translate, translate_errors
from songswap.warehouse.runs import Users

log = logging.getLogger(__name__)

_PAGE = 5_000
"""Rotations that are read, and compared with the warehouse, at once."""


class StoredTokens(NamedTuple):
    """How many users' tokens were stored, and the users whose tokens the warehouse refused.

    The warehouse's tokens of the latter are worthless: these users cannot be polled.
    """

    users: int
    not_stored: set[int]


async def store_waiting(dsn: str, spool: Spool, now: datetime) -> StoredTokens:
    """Store the tokens that wait in the spool.

    Those that the warehouse refuses, as where somebody holds a row locked, hold up no others.

    Raises:
        WarehouseError: it was lost; all that are left stay in the spool.
    """
    waiting = await asyncio.to_thread(spool.tokens)
    if not waiting:
        return StoredTokens(0, set())
    with translate_errors():
        async with await connect_async(dsn) as connection:
            not_stored = set()
            for token in waiting:
                if await _stores(connection, token, now):
                    await asyncio.to_thread(spool.drop_tokens, [token], now)
                else:
                    not_stored.add(token.user_id)
    return StoredTokens(len(waiting) - len(not_stored), not_stored)


async def put_back(dsn: str, spool: Spool, users: Users, now: datetime) -> StoredTokens:
    """Store the successors of tokens that the warehouse holds.

    Costs a query for each few thousand users, which compares digests, and nothing where no token
    was rotated lately.

    Raises:
        SpoolError, WarehouseError: the tokens stay in the spool.
    """
    stored, first = StoredTokens(0, set()), users.first
    while page := await asyncio.to_thread(spool.latest_tokens, first, users.last, _PAGE):
        # Where a page ends among a user's chains, the rest is left out: a token that the warehouse
        # holds, and that ends one of those, has no successor.
        first = page[-1][0] + 1
        if users.only is not None:
            page = [(user_id, digest) for user_id, digest in page if user_id in users.only]
        if page:
            more = await _put_back(dsn, spool, page, now)
            stored = StoredTokens(stored.users + more.users, stored.not_stored | more.not_stored)
    if stored.users:
        log.warning(
            "The warehouse held outdated tokens of %d users: it went back in time. Their successors"
            " were put back from the spool.",
            stored.users,
        )
    return stored


async def _put_back(
    dsn: str, spool: Spool, latest: list[tuple[int, bytes]], now: datetime
) -> StoredTokens:
    """Put back the tokens of users, by their ids with the digests that end their chains."""
    with translate_errors():
        async with await connect_async(dsn) as connection:
            held = await tokens.unlisted(connection, latest)
            successors = await asyncio.to_thread(spool.successors, held)
            return await _store(connection, successors, now)


async def _store(
    connection: psycopg.AsyncConnection, successors: list[Successor], now: datetime
) -> StoredTokens:
    """Store tokens at once, or one by one where that is refused.

    Not in halves: each attempt that meets a locked row waits for the lock's timeout.
    """
    if not successors:
        return StoredTokens(0, set())
    try:
        return StoredTokens(len(await tokens.store(connection, successors, now)), set())
    except psycopg.Error:
        if connection.closed:
            raise
    not_stored = {
        token.user_id for token in successors if not await _stores(connection, token, now)
    }
    return StoredTokens(len(successors) - len(not_stored), not_stored)


async def _stores(
    connection: psycopg.AsyncConnection, token: RotatedToken | Successor, now: datetime
) -> bool:
    """Store a user's tokens; false where the warehouse refuses them."""
    try:
        await tokens.store(connection, [token], now)
    except psycopg.Error as error:
        if connection.closed:
            raise
        log.warning("The tokens of user %d wait in the spool: %s", token.user_id, translate(error))
        return False
    return True
