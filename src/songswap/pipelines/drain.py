"""Drain this host's spool: its tokens and responses go to the warehouse and to S3.

    erased users are deleted ──▶ spool ──▶ tokens, responses ──▶ warehouse, S3
                                   └──▶ report: what waits still ──▶ songswap.spools

What batches in progress on this host are working on is theirs, until their process ends. So a drain
takes at once what a killed process left.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.clock import utc_now
from songswap.pipelines import spool_erasures
from songswap.pipelines.load import load_responses
from songswap.pipelines.spooled_tokens import put_back, store_waiting
from songswap.pipelines.spooling import SPOOL_BATCH
from songswap.settings import Settings
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse
from songswap.storage.spool import Spool
from songswap.warehouse import erasures, rejected_items, runs, spools
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.runs import StepKey, Users
from songswap.warehouse.spools import Waiting

log = logging.getLogger(__name__)

_LOAD_BATCH = 500
"""Responses of the spool that are read into memory, and loaded, together."""

_EVERYBODY = Users(0, 2**31 - 1, None)


class Drained(NamedTuple):
    """What a drain stored, as counts of `drain_spool`, and what waits in the spool still."""

    counts: dict[str, int]
    waiting: Waiting


def drain(settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now) -> Drained:
    """Drain this host's spool; make it where there is none.

    Raises:
        WarehouseError, SpoolError: what waits stays.
    """
    with (
        Spool(settings.spool, remembers=settings.keep_tokens) as spool,
        connect(settings.warehouse_dsn) as connection,
    ):
        require_schema(connection)
        counts = drain_spool(settings, connection, spool, run_id, clock)
        return Drained(counts, report(settings, connection, spool, clock))


def has_untried(settings: Settings) -> bool:
    """Return whether responses wait that nobody is at work on, and nobody has tried to store.

    A process that was killed leaves such ones. It reads this host's disk alone.

    Raises:
        SpoolError: the disk failed.
    """
    with Spool(settings.spool, remembers=settings.keep_tokens) as spool:
        in_progress = spool.at_work()
        waiting = (spool.not_archived, spool.not_loaded)
        return any(find(0, 1, in_progress, untried=True) for find in waiting)


def drain_spool(
    settings: Settings,
    connection: psycopg.Connection,
    spool: Spool,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
    *,
    step: StepKey | None = None,
    only: Collection[int] | None = None,
    me: int = 0,
) -> dict[str, int]:
    """Erase whom it has to, store what waits in the spool, and report what waits still.

    Where S3 takes nothing, its part stays for the next time.

    Args:
        connection: to a warehouse whose schema is up to date.
        step: counts what is stored, as it is stored.
        only: ids of the spool's responses; None for all.
        me: the number of the caller, if it is at work on a batch itself, see `Spool.working`.
            Before a batch only tokens are stored, and responses that nobody has tried to: what
            has failed before would hold up each batch. And the fetch puts back the tokens of the
            batch's users, where the warehouse has lost them.

    Returns:
        Counts of what was archived and loaded, of users whose tokens were stored or put back, and
        of rows, see `songswap.pipelines.load.load_responses`.

    Raises:
        SpoolError: nothing more can be done.
    """
    counts: Counter[str] = Counter()

    def count(name: str, number: int) -> None:
        counts[name] += number
        if step and number:
            runs.add_counts(connection, run_id, step, {name: number})

    before_batch = me != 0
    with _at_work(spool, me) as holder:
        spool_erasures.fulfil(connection, spool, settings.host, holder)
        tokens = asyncio.run(store_waiting(settings.warehouse_dsn, spool, clock()))
        count("tokens_stored", tokens.users)
        if not before_batch:
            spool.check()
            spool.forget_rotations(clock())
            restored = asyncio.run(put_back(settings.warehouse_dsn, spool, _EVERYBODY, clock()))
            count("tokens_put_back", restored.users)
        in_progress = [work for work in spool.at_work() if work.holder != holder]

        def to_archive(after: int, limit: int) -> list[RawResponse]:
            return spool.not_archived(after, limit, in_progress, untried=before_batch)

        def to_load(after: int, limit: int) -> list[RawResponse]:
            return spool.not_loaded(after, limit, in_progress, untried=before_batch)

        parts = _parts(to_archive, SPOOL_BATCH, only)
        count("retried_archived", asyncio.run(_archive(settings, spool, connection, parts)))
        try:
            for responses in _parts(to_load, _LOAD_BATCH, only):
                now = clock()
                loaded = load_responses(settings, connection, spool, responses, run_id, now, step)
                counts.update(loaded)
                count("retried_loaded", len(responses))
        except BaseException:
            # What stopped it is more than that its report failed too.
            with suppress(psycopg.Error):
                report(settings, connection, spool, clock, holder)
            raise
        report(settings, connection, spool, clock, holder)
        return dict(counts)


def report(
    settings: Settings,
    connection: psycopg.Connection,
    spool: Spool,
    clock: Callable[[], datetime] = utc_now,
    me: int = 0,
) -> Waiting:
    """Store the tokens that wait, and record in the warehouse what waits in the spool.

    Without what other batches in progress are working on.

    Raises:
        SpoolError: nothing more can be done.
    """
    _renew_shared_id(connection, spool, clock())
    with _at_work(spool, me) as holder:
        # In this order: whoever has sent a token and is not at work by then has spooled its
        # successor, or never will.
        senders = spools.senders(connection, spool.id)
        at_work = spool.at_work()
        tokens = asyncio.run(store_waiting(settings.warehouse_dsn, spool, clock()))
        damaged = spool.damaged_tokens()
        others = [work for work in at_work if work.holder != holder]
        for_s3, for_warehouse = spool.waiting(others)
        waiting = Waiting(
            for_s3,
            for_warehouse,
            len(tokens.not_stored) + len(damaged),
            _damage(len(damaged)) if damaged else spool.last_problem(),
            spool.waiting_since(others),
        )
        seen_at = spools.report(connection, spool.id, settings.host, waiting)
        spool.note_report(seen_at, clock())
        ended = senders - {work.holder for work in at_work}
        spools.end_exchanges(connection, spool.id, ended, {*tokens.not_stored, *damaged})
        return waiting


def _renew_shared_id(connection: psycopg.Connection, spool: Spool, now: datetime) -> None:
    """Give the spool an id of its own, where another machine has a copy of its disk."""
    seen_at = spools.last_report(connection, spool.id)
    if seen_at and spool.renew_shared_id(seen_at, now):
        log.warning(
            "Another machine reports under the id of this spool: one disk is a copy of the other's."
            " This one has a new id from now on. Where both have the same name, set SONGSWAP_HOST."
        )


@contextmanager
def _at_work(spool: Spool, me: int) -> Iterator[int]:
    """Be at work on the spool, unless the caller is; gives the number of this process.

    What it reads of a user may reach S3 after another process has erased the user here: so that
    one waits for its end.
    """
    if me:
        yield me
    else:
        with spool.working() as holder:
            yield holder


def _damage(users: int) -> str:
    return (
        f"the tokens of {users} users in the spool are damaged and cannot be used. 'songswap spool"
        " list' on that host names the users, 'songswap spool drop --damaged-tokens' takes them out"
    )


async def _archive(
    settings: Settings,
    spool: Spool,
    connection: psycopg.Connection,
    parts: Iterator[list[RawResponse]],
) -> int:
    """Put responses into S3, until it takes none; returns how many it took."""
    archive = Archive(settings.archive)
    archived = 0
    for part in parts:
        damaged = {response.id: damage for response in part if (damage := response.damage())}
        whole = [response for response in part if response.id not in damaged]
        whole = _without_erased(spool, connection, whole)
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


def _without_erased(
    spool: Spool, connection: psycopg.Connection, responses: list[RawResponse]
) -> list[RawResponse]:
    """Delete those of erased users; return the others.

    They are back after this spool has confirmed: its disk was restored.
    """
    erased = erasures.not_loadable(connection, {response.user_id for response in responses})
    left = [
        response
        for response in responses
        if response.user_id not in erased
        or ((since := erased[response.user_id]) and response.observed_at > since)
    ]
    if len(left) < len(responses):
        ids = {response.id for response in responses} - {response.id for response in left}
        spool.drop(ids)
        log.warning("%d responses of erased users were in the spool. They are deleted.", len(ids))
    return left


def _parts(
    waiting: Callable[[int, int], list[RawResponse]], size: int, only: Collection[int] | None
) -> Iterator[list[RawResponse]]:
    """Read what waits, all or ``only`` these ids, in parts; each response once."""
    last = 0
    while responses := waiting(last, size):
        last = responses[-1].id
        if part := [response for response in responses if only is None or response.id in only]:
            yield part
