"""Look up at Spotify what the tables lack of tracks and artists, whatever the cause.

    find ──▶ fill: a page of ids ──▶ a few calls at once ──▶ the tables ──▶ … ──▶ verify

What is missing is read from the tables page by page, so this can be stopped at any point and
started again: what is loaded is not looked up twice. The hourly load goes first.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from songswap.clock import utc_now
from songswap.errors import Deferred, RateLimited, RunFailed, SongSwapError
from songswap.parallel import event_loop
from songswap.pipelines.enrich import not_loaded
from songswap.pipelines.metadata_fetcher import open_fetcher
from songswap.settings import Settings
from songswap.warehouse import leases, missing, news
from songswap.warehouse.connection import connect
from songswap.warehouse.contract import METADATA
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.limits.budgets import Priority
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.missing import Backlog

log = logging.getLogger(__name__)

_RETRY_AFTER = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(minutes=1)
_POLL_S = 3.0

Progress = Callable[[str, int, int], None]
"""Receives a kind, how many ids were looked up since the start, and how many were chosen."""


def find(
    settings: Settings,
    kind: str,
    at_most: int | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Backlog:
    """Count what a kind lacks, and choose ``at_most`` of it, or all.

    Args:
        kind: one of `songswap.pipelines.enrich.KINDS`.

    Raises:
        WarehouseUnavailable, SchemaOutdated: nothing is known of the tables.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        require_fit(connection, METADATA)
        return missing.find(connection, kind, clock(), at_most)


def fill(
    settings: Settings,
    kind: str,
    backlog: Backlog,
    on_progress: Progress,
    clock: Callable[[], datetime] = utc_now,
    run_id: str | None = None,
) -> dict[str, int]:
    """Look up what was found and is still missing, and load it.

    Args:
        run_id: of the run whose news it is, in ``songswap.news``; of none, if None.

    Returns:
        Counts: ``<kind>_requested``, ``_received``, ``_unknown`` and ``_postponed``, calls.

    Raises:
        Deferred: an hourly load goes on; what is missing still can be filled after it.
        RateLimited: Spotify, or ReccoBeats, asked for a long pause, which the error carries.
        SpotifyUnavailable, ReccoBeatsUnavailable, InvalidClient, WarehouseUnavailable,
            WarehouseRefused, LoadIncomplete: what was loaded until then stays.
        RunFailed: the rows of some ids were refused; all others are loaded.
    """
    counts: Counter[str] = Counter()
    event_loop.run_cancellable(_fill(settings, kind, backlog, on_progress, clock, counts, run_id))
    return dict(counts)


def verify(settings: Settings, kind: str, backlog: Backlog) -> Backlog:
    """Count a backlog again: nothing of it may be missing, except postponed ids.

    Raises:
        RunFailed: something still is.
    """
    with connect(settings.warehouse_dsn) as connection:
        left = missing.find(connection, kind, backlog.at, through=backlog.through)
    if left.missing:
        raise RunFailed(
            f"{left.missing} of {backlog.chosen} ids ({kind}) still lack rows after their backfill."
            " The others are loaded. Start the backfill again; if they stay, look for a trigger or"
            " rule on the tables."
        )
    return left


@dataclass(slots=True)
class Outcome:
    """The result of a kind: what was found, the counts of `fill`, what ended it early if any."""

    found: Backlog | None = None
    counts: Counter[str] = field(default_factory=Counter)
    problem: str | None = None


def backfill(
    settings: Settings,
    kinds: Collection[str],
    at_most: int | None,
    on_progress: Progress,
    clock: Callable[[], datetime] = utc_now,
) -> dict[str, Outcome]:
    """Find, fill and verify the kinds concurrently in this process; none fails with another.

    Waits for a running hourly load, and for Spotify where it asks for a minute or less.
    """
    return event_loop.run_cancellable(_backfill(settings, kinds, at_most, on_progress, clock))


async def _backfill(
    settings: Settings,
    kinds: Collection[str],
    at_most: int | None,
    on_progress: Progress,
    clock: Callable[[], datetime],
) -> dict[str, Outcome]:
    outcomes = {kind: Outcome() for kind in kinds}

    async def branch(kind: str, outcome: Outcome) -> None:
        try:
            backlog = outcome.found = find(settings, kind, at_most, clock)
            on_progress(kind, 0, backlog.chosen)
            await _fill_patiently(settings, kind, backlog, on_progress, clock, outcome.counts)
            verify(settings, kind, backlog)
        except SongSwapError as error:
            outcome.problem = str(error)
            log.error("%s: %s", kind, error)  # noqa: TRY400 - the operator needs the sentence

    async with asyncio.TaskGroup() as group:
        for kind, outcome in outcomes.items():
            group.create_task(branch(kind, outcome))
    return outcomes


async def _fill_patiently(
    settings: Settings,
    kind: str,
    backlog: Backlog,
    on_progress: Progress,
    clock: Callable[[], datetime],
    counts: Counter[str],
) -> None:
    """`_fill`, waiting through pauses as somebody in a terminal would."""
    while True:
        try:
            return await _fill(settings, kind, backlog, on_progress, clock, counts)
        except Deferred as pause:
            log.info("%s waits: %s", kind, pause)
            with connect(settings.warehouse_dsn) as connection:
                while leases.is_hourly_run_active(connection, clock()):
                    await asyncio.sleep(_POLL_S)
        except RateLimited as pause:
            wait = pause.until - clock()
            if wait > _LONGEST_WAIT:
                raise
            log.info("%s waits: %s", kind, pause)
            await asyncio.sleep(wait.total_seconds())


async def _fill(
    settings: Settings,
    kind: str,
    backlog: Backlog,
    on_progress: Progress,
    clock: Callable[[], datetime],
    counts: Counter[str],
    run_id: str | None = None,
) -> None:
    with connect(settings.warehouse_dsn) as connection:
        async with open_fetcher(
            settings, connection, kind, Priority.BACKFILL, counts, clock
        ) as fetcher:
            last = ""
            while True:
                if leases.is_hourly_run_active(connection, clock()):
                    raise Deferred(
                        "An hourly load is going on, and goes first.",
                        clock() + _RETRY_AFTER,
                    )
                ids = missing.page(connection, kind, backlog, last, fetcher.ids_at_once)
                if not ids:
                    break
                before = counts.copy()
                try:
                    await fetcher.fetch(ids)
                finally:
                    if run_id and not connection.closed:
                        news.record(connection, run_id, kind, counts - before)
                last = ids[-1]
                on_progress(kind, counts[f"{kind}_requested"], backlog.chosen)
    if problem := not_loaded(kind, counts):
        raise RunFailed(f"{problem}.")
