"""Fetch a batch of users: poll Spotify for each one's recent plays and store the raw responses.

    users ──▶ many polled at once (`polling`) ──▶ spool: disk, then S3 (`spooling`)
                          └──▶ what came of each user (`fetch_outcomes`) ──▶ the warehouse

A response is on the local disk before anything else happens to it. One user's failure costs only
that user. A failure that affects every user (no budget left, Spotify down, no disk), and a signal,
stop the batch: no further user is polled, but token exchanges in progress are finished and stored,
because a token that Spotify has rotated and nobody has stored is a user lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import psycopg

from songswap.clock import utc_now
from songswap.durations import Durations, timed
from songswap.errors import RateLimited, SongSwapError
from songswap.parallel import event_loop
from songswap.parallel.tasks import run_concurrently
from songswap.pipelines import run_counts
from songswap.pipelines.fetch_outcomes import Outcomes
from songswap.pipelines.polling import Poller
from songswap.pipelines.spooled_tokens import put_back, store_waiting
from songswap.pipelines.spooling import Spooler
from songswap.pipelines.tokens import TokenExchanger
from songswap.settings import Settings
from songswap.spotify.client import open_client
from songswap.storage.archive import Archive
from songswap.storage.spool import Spool
from songswap.warehouse import grants, polls, runs, spools
from songswap.warehouse.connection import connect, pool
from songswap.warehouse.grants import Credentials
from songswap.warehouse.limits import pauses
from songswap.warehouse.limits.budgets import Priority, open_budget
from songswap.warehouse.retry import retried


@dataclass(frozen=True, slots=True)
class Caller:
    """What `fetch` is told by who calls it.

    Attributes:
        holder: the number of this process, see `songswap.storage.spool.Spool.working`.
        done: users who were polled in an earlier try, and whose response is on this disk, or was.
        on_spooled: receives the number of responses that have come into the spool.
    """

    holder: int = 0
    done: Collection[int] = ()
    on_spooled: Callable[[int], None] = lambda _: None


def fetch(
    settings: Settings,
    run_id: str,
    batch: int,
    clock: Callable[[], datetime] = utc_now,
    caller: Caller = Caller(),
) -> dict[str, int]:
    """Fetch a batch of a run; the responses wait in the spool to be loaded.

    Users whose response of this batch is already in the spool are not polled again.

    Returns:
        Counts: users, polled, responses (spooled), unchanged (no new plays), archived, failed,
        refused, forbidden, paused (not polled: dead or forbidden grants), calls (also by kind),
        tokens_put_back (users of whom the warehouse had older tokens), where there are any.

    Raises:
        RateLimited: Spotify asked for a long pause, in this attempt or in an earlier one that is
            not over; the rest of the batch was not polled.
        SpotifyUnavailable: so many failed in a row that the rest was not polled.
        InvalidClient: Spotify refused the app itself.
        SpoolError: the disk failed, or the spool is full; the rest was not polled.
        WarehouseUnavailable: the database failed.
        Interrupted, TimedOut: a signal, or the time limit of an Airflow task; the rest was not
            polled.
    """
    return event_loop.run(partial(_fetch, settings, run_id, batch, clock, caller))


async def _fetch(
    settings: Settings,
    run_id: str,
    batch: int,
    clock: Callable[[], datetime],
    caller: Caller,
    stop: asyncio.Event,
) -> dict[str, int]:
    in_flight, app = settings.spotify.in_flight, settings.spotify.client_id
    durations = Durations()
    with (
        durations.measured(),
        Spool(settings.spool, settings.spool_max_bytes, settings.keep_tokens) as spool,
        connect(settings.warehouse_dsn) as connection,
    ):
        outcomes = Outcomes(most_failures=max(20, in_flight))
        users = await _users_to_poll(settings, connection, spool, run_id, batch, clock, outcomes)
        users = [user for user in users if user.user_id not in caller.done]
        async with (
            open_budget(settings, Priority.PLAYS, clock) as budget,
            open_client(settings.spotify, clock, budget) as client,
            pool(settings.warehouse_dsn) as connections,
        ):
            exchanger = TokenExchanger(
                connections, client.refresh, spool, clock, in_flight, holder=caller.holder
            )
            archive = Archive(settings.archive)
            spooler = Spooler(spool, archive, run_id, batch, outcomes, stop, caller.on_spooled)
            poller = Poller(client, exchanger, spooler, outcomes, clock, in_flight)
            problem: str | SongSwapError | None = "it broke off, its task log says why"
            if error := pauses.find(connection, app, clock()) or spool.full():
                outcomes.stop(error)
            try:
                with timed("fetch"):
                    await run_concurrently((poller.run(users, stop), spooler.run()))
                # Also where no user was left to poll when it was found.
                if client.watch.wrong:
                    outcomes.stop(client.watch.wrong)
                problem = outcomes.stopped_by
            finally:
                now = client.watch.now()
                if isinstance(outcomes.stopped_by, RateLimited):
                    pauses.record(connection, app, outcomes.stopped_by, now)
                counts = outcomes.final_counts()
                counts.update(run_counts.of_calls(client.calls))
                _record(connection, run_id, batch, outcomes, counts, durations, problem, now)
    if outcomes.stopped_by:
        raise outcomes.stopped_by
    return dict(counts)


async def _users_to_poll(
    settings: Settings,
    connection: psycopg.Connection,
    spool: Spool,
    run_id: str,
    batch: int,
    clock: Callable[[], datetime],
    outcomes: Outcomes,
) -> list[Credentials]:
    """The users of the batch whose turn it is, after the spool's tokens are in the warehouse."""
    # The token that Spotify issued last has to be the one that is sent next.
    waiting = await store_waiting(settings.warehouse_dsn, spool, clock())
    users = runs.users_of(connection, run_id, batch)
    restored = await put_back(settings.warehouse_dsn, spool, users, clock())
    # First: an erasure that is requested from now on waits for this host.
    spools.introduce(connection, spool.id, settings.host)
    credentials = grants.load_credentials(connection, users, clock())
    unusable = waiting.not_stored | restored.not_stored
    outcomes.counts["users"] = len(credentials)
    if restored.users:
        outcomes.counts["tokens_put_back"] = restored.users
    outcomes.counts["paused"] = sum(user.paused for user in credentials)
    for user_id in unusable.intersection(user.user_id for user in credentials):
        outcomes.by_user[user_id] = "failed"
        outcomes.polled[user_id] = "the tokens wait in the spool for the warehouse"
    done: Collection[int] = spool.users_of(run_id, batch) | unusable
    return [user for user in credentials if not user.paused and user.user_id not in done]


@retried
def _record(
    connection: psycopg.Connection,
    run_id: str,
    batch: int,
    outcomes: Outcomes,
    counts: Counter[str],
    durations: Durations,
    problem: str | SongSwapError | None,
    now: datetime,
) -> None:
    """Record in the warehouse what came of the batch, in one transaction."""
    with connection.transaction():
        polls.record_polls(connection, outcomes.polled, now)
        grants.record_refused(connection, outcomes.refused, run_id)
        grants.record_forbidden(connection, outcomes.forbidden(), run_id)
        grants.record_recovered(connection, outcomes.recovered)
        found = {**counts, **durations.in_ms()}
        runs.end_step(connection, run_id, "fetch", batch, found, now, problem, outcomes.by_user)
