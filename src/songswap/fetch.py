"""Fetch a batch of users: ask Spotify for each one's recent plays and keep the raw answers.

    users ──▶ many asked at once ──▶ spool (disk) ──▶ S3
                    └─ access tokens refreshed where they end or are refused

An answer is on the local disk before anything else happens to it. One user's trouble costs only
that user. Trouble that is everybody's (no budget left, Spotify down, no disk) stops the batch: no
further user is asked for, but what is under way is brought to its end and kept. It is not
cancelled, because a token that Spotify has rotated and nobody has stored is a user lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool

from songswap.errors import (
    CredentialsRefused,
    Forbidden,
    GrantRefused,
    RateLimited,
    SongSwapError,
    SpoolError,
    SpotifyError,
    SpotifyUnavailable,
    Unauthorized,
    WarehouseUnavailable,
)
from songswap.raw import key
from songswap.raw.archive import Archive
from songswap.raw.spool import Answer, Spool
from songswap.settings import Settings
from songswap.side_by_side import side_by_side
from songswap.spotify.client import Client, open_client, utc_now
from songswap.transform import history
from songswap.warehouse import grant, run
from songswap.warehouse.connection import connect, session
from songswap.warehouse.grant import EXPIRES_SOON, Grant

KEPT_AT_ONCE = 64
"""Answers that go to the disk in one transaction, and to S3 side by side."""


@dataclass(slots=True)
class _Batch:
    """What happens to a batch while it is fetched."""

    counts: Counter[str] = field(default_factory=Counter)
    asked: dict[int, str | None] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    forbidden: list[int] = field(default_factory=list)
    failures_in_a_row: int = 0
    stopped_by: SongSwapError | None = None


def fetch(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Fetch a batch of a run and note what came; the answers wait in the spool to be loaded.

    Users whose answer of this batch is in the spool already are not asked for again.

    Returns:
        Counts: users, asked, answers kept, unchanged (told nothing new), archived, failed, refused,
        forbidden, resting (not asked for: dead or forbidden grants), calls (also by kind).

    Raises:
        RateLimited: Spotify asked for a long pause; the rest of the batch was not asked for.
        SpotifyUnavailable: so many failed in a row that the rest was not asked for.
        CredentialsRefused: the app itself may not ask.
        SpoolError, WarehouseUnavailable: disk or database failed.
    """
    return uvloop.run(_fetch(settings, run_id, batch, clock))


async def _fetch(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime]
) -> dict[str, int]:
    progress = _Batch()
    with Spool(settings.spool) as spool, connect(settings.warehouse_dsn) as connection:
        first, last = run.users_of(connection, run_id, batch)
        grants = grant.askable(connection, first, last, clock())
        there = spool.users_of(run_id, batch)
        to_ask = [one for one in grants if not one.resting and one.user_id not in there]
        progress.counts["users"] = len(grants)
        progress.counts["resting"] = sum(one.resting for one in grants)
        async with open_client(settings.spotify, clock) as client:
            problem: str | None = "it broke off, its task log says why"
            try:
                await _ask_all(settings, run_id, batch, client, spool, to_ask, progress, clock)
                problem = str(progress.stopped_by) if progress.stopped_by else None
            finally:
                progress.counts.update(call_counts(client))
                _note(connection, run_id, batch, progress, clock(), problem)
    if progress.stopped_by:
        raise progress.stopped_by
    return dict(progress.counts)


async def _ask_all(
    settings: Settings,
    run_id: str,
    batch: int,
    client: Client,
    spool: Spool,
    to_ask: list[Grant],
    progress: _Batch,
    clock: Callable[[], datetime],
) -> None:
    answers: asyncio.Queue[Answer | None] = asyncio.Queue(maxsize=2 * KEPT_AT_ONCE)
    archive = Archive(settings.archive)
    waiting = iter(to_ask)
    async with AsyncConnectionPool(
        session(settings.warehouse_dsn), min_size=0, max_size=8, open=False
    ) as pool:

        async def ask_in_turn() -> None:
            for one in _until_stopped(waiting, progress, settings.spotify.in_flight):
                await _ask(one, client, pool, spool, answers, progress, clock)

        async def ask_all() -> None:
            workers = min(settings.spotify.in_flight, len(to_ask))
            await side_by_side(ask_in_turn() for _ in range(workers))
            await answers.put(None)

        await side_by_side((ask_all(), _keep(answers, spool, archive, run_id, batch, progress)))


def _until_stopped(waiting: Iterator[Grant], progress: _Batch, in_flight: int) -> Iterator[Grant]:
    """The grants to ask with, until something is everybody's trouble."""
    enough = max(20, in_flight)
    for one in waiting:
        if progress.stopped_by is None and progress.failures_in_a_row >= enough:
            progress.stopped_by = SpotifyUnavailable(
                f"Spotify failed for {progress.failures_in_a_row} users in a row; the rest of the"
                " batch was not asked for. What was answered is kept; the next run asks again."
            )
        if progress.stopped_by is not None:
            return
        yield one


async def _ask(
    one: Grant,
    client: Client,
    pool: AsyncConnectionPool,
    spool: Spool,
    answers: asyncio.Queue[Answer | None],
    progress: _Batch,
    clock: Callable[[], datetime],
) -> None:
    """Ask for one user; what goes wrong is noted for that user, or stops the batch."""
    progress.counts["asked"] += 1
    try:
        access_token: str | None = one.access_token
        if one.expires_at is not None and one.expires_at - EXPIRES_SOON <= clock():
            access_token = await grant.exchange(pool, client.refresh, one, spool, clock())
        if access_token is None:
            progress.counts["gone"] += 1
            return
        try:
            told = await client.recently_played(access_token)
        except Unauthorized:
            refused = one._replace(access_token=access_token)
            access_token = await grant.exchange(pool, client.refresh, refused, spool, clock())
            if access_token is None:
                progress.counts["gone"] += 1
                return
            told = await client.recently_played(access_token)
    except GrantRefused:
        progress.refused.append(one.user_id)
        progress.asked[one.user_id] = "grant refused"
    except Forbidden:
        progress.forbidden.append(one.user_id)
        progress.asked[one.user_id] = "forbidden"
    except (RateLimited, CredentialsRefused, WarehouseUnavailable, SpoolError) as error:
        progress.stopped_by = progress.stopped_by or error
        progress.asked[one.user_id] = type(error).__name__
    except SpotifyError as error:
        progress.counts["failed"] += 1
        progress.failures_in_a_row += 1
        progress.asked[one.user_id] = str(error)
    else:
        progress.failures_in_a_row = 0
        fingerprint = history.fingerprint(told.body)
        if fingerprint is not None and fingerprint == one.fingerprint:
            progress.counts["unchanged"] += 1
            progress.asked[one.user_id] = None
        else:
            where = key.for_hour(one.user_id, told.observed_at)
            await answers.put(Answer(one.user_id, where, told.observed_at, fingerprint, told.body))


async def _keep(
    answers: asyncio.Queue[Answer | None],
    spool: Spool,
    archive: Archive,
    run_id: str,
    batch: int,
    progress: _Batch,
) -> None:
    """Write answers to the disk as they come, then to S3 for as long as S3 takes them."""
    s3_takes = True
    more = True
    while more:
        group: list[Answer] = []
        while more and len(group) < KEPT_AT_ONCE and not (group and answers.empty()):
            answer = await answers.get()
            more = answer is not None
            if answer is not None:
                group.append(answer)
        if not group:
            continue
        try:
            kept = await asyncio.to_thread(spool.keep, run_id, batch, group)
        except SpoolError as error:
            progress.stopped_by = progress.stopped_by or error
            progress.counts["dropped"] += len(group)
            continue
        progress.counts["answers"] += len(kept)
        if s3_takes:
            outcome = await archive.put_all(kept)
            await asyncio.to_thread(spool.archived, outcome.archived)
            await asyncio.to_thread(spool.failed, outcome.problems)
            progress.counts["archived"] += len(outcome.archived)
            # Where it took none, the rest would only wait for its timeouts.
            s3_takes = bool(outcome.archived)


def _note(
    connection: psycopg.Connection,
    run_id: str,
    batch: int,
    progress: _Batch,
    now: datetime,
    problem: str | None,
) -> None:
    counts = progress.counts
    counts["refused"] = len(progress.refused)
    counts["forbidden"] = len(progress.forbidden)
    with connection.transaction():
        grant.note_refused(connection, progress.refused, run_id)
        grant.note_forbidden(connection, progress.forbidden, run_id, now)
        run.note_asked(connection, progress.asked, now)
        run.end_step(connection, run_id, "fetch", batch, counts, now, problem)


def call_counts(client: Client) -> Counter[str]:
    """The requests of a client: all, and each kind by its outcome."""
    counts = Counter({f"calls {kind}": number for kind, number in client.calls.items()})
    counts["calls"] = client.calls.total()
    return counts
