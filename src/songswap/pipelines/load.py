"""Bring what is in the spool where it belongs: raw answers to S3, their rows into the warehouse.

spool ──▶ S3
  └─────▶ transform ──▶ warehouse, in one transaction; if it is refused, one answer at a time
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime

import psycopg

from songswap.clock import utc_now
from songswap.errors import CorruptResponse, LoadIncomplete
from songswap.models import Catalogue
from songswap.parallel.gc_pause import gc_paused
from songswap.pipelines.fetch import SPOOL_BATCH
from songswap.pipelines.spooled_tokens import store_waiting
from songswap.settings import Settings
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse
from songswap.storage.spool import Spool
from songswap.transform import recent_plays
from songswap.warehouse import plays as warehouse_history
from songswap.warehouse import rejected_items, runs
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.plays import PollBatch
from songswap.warehouse.retry import retried

log = logging.getLogger(__name__)

_AT_ONCE = 500
"""Answers of the spool that are read into memory, and loaded, together."""

REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    LoadIncomplete,
    CorruptResponse,
)
"""What one answer alone can be the reason of: the others are loaded without it."""


def drain_spool(
    settings: Settings,
    connection: psycopg.Connection,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
    only: Collection[int] | None = None,
) -> dict[str, int]:
    """Bring what waits in the spool where it belongs: tokens, answers for S3, answers to load.

    Where S3 takes nothing, that part stays for the next time.

    Args:
        connection: to a warehouse whose schema is the one that is needed.
        only: ids of the spool's answers; None for all.

    Returns:
        Counts of what was archived, loaded, and of rows as `songswap.warehouse.plays.load` does.

    Raises:
        SpoolError: nothing more can be done.
    """
    with Spool(settings.spool, remembers=settings.keep_tokens) as spool:
        spool.check()
        spool.forget_rotations(clock())
        counts: Counter[str] = Counter()
        stored = store_waiting(settings.warehouse_dsn, spool, clock())
        counts["tokens_stored"] = asyncio.run(stored).users
        counts["retried_archived"] = asyncio.run(
            _archive_waiting(settings, spool, connection, only)
        )
        for kept in _parts(spool.not_loaded, _AT_ONCE, only):
            counts["retried_loaded"] += len(kept)
            counts += load(settings, connection, spool, kept, run_id, clock())
    return dict(counts)


def load(
    settings: Settings,
    connection: psycopg.Connection,
    spool: Spool,
    kept: list[RawResponse],
    run_id: str,
    now: datetime,
    step: int | None = None,
) -> Counter[str]:
    """Load answers in one transaction; if the server refuses their rows, one by one.

    Args:
        kept: each user's answers in the order in which Spotify gave them.
        step: the batch whose load is noted as done in the same transaction; None for no batch.

    Returns:
        Counts of new rows, see `songswap.warehouse.plays.load`.

    Raises:
        PlatformUnfit: nothing can be loaded into the tables as they are; the answers stay.
    """
    require_fit(connection)

    def load_these(these: list[RawResponse]) -> Counter[str]:
        told = [transformed(one, now) for one in poll_batches(these)]
        return warehouse_history.load(connection, told, run_id, settings.stale_after)

    @retried
    def load_all(connection: psycopg.Connection) -> Counter[str]:
        with gc_paused(), connection.transaction():
            counts = load_these(kept)
            if step is not None:
                runs.end_step(connection, run_id, "load", step, counts, now)
        return counts

    try:
        counts = load_all(connection)
    except REFUSED as error:
        log.warning("A load was refused; trying one by one. %s", reason(error))
    else:
        spool.mark_loaded([one.id for one in kept])
        return counts
    counts = Counter()
    problems: dict[int, str] = {}
    for one in kept:
        try:
            counts += load_these([one])
            spool.mark_loaded([one.id])
        except REFUSED as error:
            problems[one.id] = reason(error)
    spool.mark_failed(problems)
    if step is not None:
        text = f"{len(problems)} answers were refused and wait in the spool" if problems else None
        runs.end_step(connection, run_id, "load", step, counts, now, text)
    return counts


def transformed(kept: Iterable[RawResponse], now: datetime) -> PollBatch:
    """A round of answers as the warehouse takes it: one of a user at most, and all they tell.

    Raises:
        CorruptResponse: one of them is not whole.
    """
    catalogue = Catalogue()
    with gc_paused():
        answers = [
            warehouse_history.ParsedResponse(
                one.user_id,
                one.observed_at,
                one.key,
                one.fingerprint or recent_plays.fingerprint(body),
                recent_plays.transform(body, one.user_id, one.observed_at, catalogue),
            )
            for one in kept
            for body in (one.body,)
        ]
    return PollBatch(answers, catalogue, now)


def reason(refused: Exception) -> str:
    """Why answers were refused, in words that may be shown."""
    if isinstance(refused, psycopg.Error):
        # The server's own text would quote the rows: its code names the trouble well enough.
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
        damaged = {one.id: damage for one in part if (damage := one.damage())}
        kept = [one for one in part if one.id not in damaged]
        outcome = await archive.put_all(kept)
        for one in kept:
            key = outcome.archived.get(one.id, one.key)
            if key != one.key:
                rejected_items.move_raw(connection, one.user_id, one.observed_at, key)
        spool.mark_archived(outcome.archived)
        spool.mark_failed(outcome.problems | damaged)
        archived += len(outcome.archived)
        if kept and not outcome.archived:
            log.warning("S3 takes nothing: %s", next(iter(outcome.problems.values())))
            break
    return archived


def _parts(
    waiting: Callable[[int, int], list[RawResponse]], size: int, only: Collection[int] | None
) -> Iterator[list[RawResponse]]:
    """What waits, all or ``only`` these ids, read in parts; what is done meanwhile is not seen."""
    last = 0
    while kept := waiting(last, size):
        last = kept[-1].id
        if part := [one for one in kept if only is None or one.id in only]:
            yield part


def poll_batches(kept: Iterable[RawResponse]) -> Iterator[list[RawResponse]]:
    """Parts with one answer of a user at most, in order: what is new in the next depends on it."""
    part: list[RawResponse] = []
    users: set[int] = set()
    for one in kept:
        if one.user_id in users:
            yield part
            part, users = [], set()
        part.append(one)
        users.add(one.user_id)
    if part:
        yield part
