"""Retry transactions that PostgreSQL rolled back in favour of another one.

That is no outage: it ends one of two transactions that wait for each other (a deadlock), or one
that conflicts with a serializable transaction. The same statements mostly succeed at once.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

log = logging.getLogger(__name__)

CONFLICTS = (errors.DeadlockDetected, errors.SerializationFailure)

TRIES = 4
_FIRST_WAIT_S = 0.1

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound="psycopg.BaseConnection[psycopg.rows.TupleRow]")


def retried(
    function: Callable[Concatenate[C, P], T],
) -> Callable[Concatenate[C, P], T]:
    """Decorate a function that works in one transaction of a connection, its first argument.

    In an outer transaction the error is raised, for all of that has to be retried.
    """

    @wraps(function)
    def wrapper(connection: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        is_outermost = connection.info.transaction_status == TransactionStatus.IDLE
        for attempt in range(1, TRIES):
            try:
                return function(connection, *args, **kwargs)
            except CONFLICTS as error:
                if not is_outermost:
                    raise
                time.sleep(_wait_s(attempt, error))
        return function(connection, *args, **kwargs)

    return wrapper


def retried_async(
    function: Callable[Concatenate[C, P], Awaitable[T]],
) -> Callable[Concatenate[C, P], Awaitable[T]]:
    """Decorate a coroutine function, see `retried`."""

    @wraps(function)
    async def wrapper(connection: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        is_outermost = connection.info.transaction_status == TransactionStatus.IDLE
        for attempt in range(1, TRIES):
            try:
                return await function(connection, *args, **kwargs)
            except CONFLICTS as error:
                if not is_outermost:
                    raise
                await asyncio.sleep(_wait_s(attempt, error))
        return await function(connection, *args, **kwargs)

    return wrapper


def _wait_s(attempt: int, error: psycopg.Error) -> float:
    log.info("A transaction conflicted with another (%s): retrying.", type(error).__name__)
    # Jitter, so that two transactions do not conflict again.
    return _FIRST_WAIT_S * attempt * random.uniform(0.5, 1.5)  # noqa: S311 - not a secret
