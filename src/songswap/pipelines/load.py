"""Empty the spool: raw responses go to S3, their rows into the warehouse.

spool ──▶ S3
  └─────▶ transform ──▶ tracks and artists ──▶ plays, in one transaction; if refused, in halves
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import psycopg

from songswap.clock import utc_now
from songswap.errors import CorruptResponse, LoadIncomplete
from songswap.models import Catalogue
from songswap.parallel.gc_pause import gc_paused
from songswap.pipelines.bisection import Bisection
from songswap.pipelines.spooled_tokens import store_waiting
from songswap.pipelines.spooling import SPOOL_BATCH
from songswap.settings import Settings
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse
from songswap.storage.spool import Spool
from songswap.transform import recent_plays
from songswap.transform.catalogue import merge_catalogues
from songswap.warehouse import catalogue, plays, rejected_items, runs
from songswap.warehouse.catalogue import Times
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.plays import ParsedResponse, PollBatch
from songswap.warehouse.retry import retried

log = logging.getLogger(__name__)

_LOAD_BATCH = 500
"""Responses of the spool that are read into memory, and loaded, together."""

REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    LoadIncomplete,
    CorruptResponse,
)
"""Errors that a single response can cause: the others are loaded without it."""


def drain_spool(
    settings: Settings,
    connection: psycopg.Connection,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
    only: Collection[int] | None = None,
) -> dict[str, int]:
    """Store what waits in the spool: tokens, responses for S3, responses to load.

    Where S3 takes nothing, its part stays for the next time.

    Args:
        connection: to a warehouse whose schema is up to date.
        only: ids of the spool's responses; None for all.

    Returns:
        Counts of what was archived and loaded, and of rows, see `load_responses`.

    Raises:
        SpoolError: nothing more can be done.
    """
    with Spool(settings.spool, remembers=settings.keep_tokens) as spool:
        spool.check()
        spool.forget_rotations(clock())
        counts: Counter[str] = Counter()
        tokens = asyncio.run(store_waiting(settings.warehouse_dsn, spool, clock()))
        counts["tokens_stored"] = tokens.users
        archived = asyncio.run(_archive_waiting(settings, spool, connection, only))
        counts["retried_archived"] = archived
        for responses in _parts(spool.not_loaded, _LOAD_BATCH, only):
            counts["retried_loaded"] += len(responses)
            counts.update(load_responses(settings, connection, spool, responses, run_id, clock()))
    return dict(counts)


def load_responses(
    settings: Settings,
    connection: psycopg.Connection,
    spool: Spool,
    responses: Sequence[RawResponse],
    run_id: str,
    now: datetime,
    batch: int | None = None,
) -> Counter[str]:
    """Load responses; where their rows are refused, in halves.

    Args:
        responses: each user's in the order in which Spotify gave them.
        batch: the batch whose load is recorded as done together with the plays; None for no batch.

    Returns:
        Counts of new rows: tracks, artists, artist_tracks, track_images, track_popularity,
        track_previews, and see `songswap.warehouse.plays.load`.

    Raises:
        PlatformUnfit: nothing can be loaded into the tables as they are; the responses stay.
    """
    require_fit(connection)
    counts: Counter[str] = Counter()
    refused: dict[int, str] = {}
    parts = Bisection(responses)
    for part in parts:
        is_all = len(part) == len(responses)
        ends = batch if is_all else None
        try:
            _load_part(connection, settings, part, run_id, now, ends, counts)
        except REFUSED as error:
            if is_all:
                log.warning("A load was refused; it is tried in halves. %s", reason(error))
            if not parts.halve(part):
                refused |= {response.id: reason(error) for response in part}
        else:
            spool.mark_loaded([response.id for response in part])
            if is_all:
                return counts
    spool.mark_failed(refused)
    if batch is not None:
        text = f"{len(refused)} responses were refused and wait in the spool" if refused else None
        runs.end_step(connection, run_id, "load", batch, counts, now, text)
    return counts


def _load_part(
    connection: psycopg.Connection,
    settings: Settings,
    responses: Sequence[RawResponse],
    run_id: str,
    now: datetime,
    ends: int | None,
    counts: Counter[str],
) -> None:
    """Load responses; the transaction of their plays also ends the load of the batch ``ends``.

    What is new is added to ``counts``: tracks also where the plays are then refused.
    """
    with gc_paused():
        batches = [transformed(part, now) for part in poll_batches(responses)]
        load_catalogue(connection, batches, settings.stale_after, counts)
        counts.update(
            _load_plays(connection, batches, run_id, settings.stale_after, now, ends, counts)
        )


def load_catalogue(
    connection: psycopg.Connection,
    batches: Sequence[PollBatch],
    stale_after: timedelta,
    counts: Counter[str],
) -> None:
    """Load the tracks and artists of batches; see `songswap.warehouse.catalogue.load`."""
    if not batches:
        return
    rows = merge_catalogues([batch.catalogue for batch in batches])
    now = min(batch.now for batch in batches)
    catalogue.load(connection, rows, Times(now, now - stale_after), counts)


@retried
def _load_plays(
    connection: psycopg.Connection,
    batches: Sequence[PollBatch],
    run_id: str,
    stale_after: timedelta,
    now: datetime,
    ends: int | None,
    before: Counter[str],
) -> Counter[str]:
    """Load plays, and end the step with their counts and those from ``before``."""
    with connection.transaction():
        counts = plays.load(connection, batches, run_id, stale_after)
        if ends is not None:
            total = Counter(before)
            total.update(counts)
            runs.end_step(connection, run_id, "load", ends, total, now)
    return counts


def transformed(responses: Iterable[RawResponse], now: datetime) -> PollBatch:
    """Transform responses, at most one of each user, into rows for the warehouse.

    Raises:
        CorruptResponse: one of them is not whole.
    """
    rows = Catalogue()
    with gc_paused():
        parsed = [_parsed(response, rows) for response in responses]
    return PollBatch(parsed, rows, now)


def _parsed(response: RawResponse, rows: Catalogue) -> ParsedResponse:
    """Transform a response; adds what it says of tracks and artists to ``rows``."""
    body = response.body
    return ParsedResponse(
        response.user_id,
        response.observed_at,
        response.key,
        response.fingerprint or recent_plays.fingerprint(body),
        recent_plays.transform(body, response.user_id, response.observed_at, rows),
    )


def reason(refused: Exception) -> str:
    """Why responses were refused, in words that may be shown."""
    if isinstance(refused, psycopg.Error):
        # The server's own text would quote the rows; its code says enough.
        return f"PostgreSQL refused its rows with SQLSTATE {refused.sqlstate}"
    return str(refused)


async def _archive_waiting(
    settings: Settings,
    spool: Spool,
    connection: psycopg.Connection,
    only: Collection[int] | None,
) -> int:
    """Put what waits for S3 there, until it takes nothing; returns how many it took."""
    archive = Archive(settings.archive)
    archived = 0
    for part in _parts(spool.not_archived, SPOOL_BATCH, only):
        damaged = {response.id: damage for response in part if (damage := response.damage())}
        whole = [response for response in part if response.id not in damaged]
        outcome = await archive.put_all(whole)
        for response in whole:
            key = outcome.archived.get(response.id, response.key)
            if key != response.key:
                user_id, at = response.user_id, response.observed_at
                rejected_items.move_raw(connection, user_id, at, key)
        spool.mark_archived(outcome.archived)
        spool.mark_failed(outcome.problems | damaged)
        archived += len(outcome.archived)
        if whole and not outcome.archived:
            log.warning("S3 takes nothing: %s", next(iter(outcome.problems.values())))
            break
    return archived


def _parts(
    waiting: Callable[[int, int], list[RawResponse]], size: int, only: Collection[int] | None
) -> Iterator[list[RawResponse]]:
    """Read what waits, all or ``only`` these ids, in parts; each response once."""
    last = 0
    while responses := waiting(last, size):
        last = responses[-1].id
        if part := [response for response in responses if only is None or response.id in only]:
            yield part


def poll_batches(responses: Iterable[RawResponse]) -> Iterator[list[RawResponse]]:
    """Cut responses into parts, in order, with at most one of each user.

    What is new in a response depends on the user's earlier ones.
    """
    part: list[RawResponse] = []
    users: set[int] = set()
    for response in responses:
        if response.user_id in users:
            yield part
            part, users = [], set()
        part.append(response)
        users.add(response.user_id)
    if part:
        yield part
