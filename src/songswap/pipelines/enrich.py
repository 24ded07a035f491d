"""Look up the tracks and artists that new plays name and that are unknown or stale.

    songswap.enrichment_queue ──▶ concurrent calls, see `metadata_fetcher` ──▶ the tables

An id stays in the queue until its response is loaded, so this can be stopped at any point.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

import psycopg

from songswap.clock import utc_now
from songswap.durations import Durations, timed
from songswap.errors import QuotaReserved, SongSwapError
from songswap.parallel import event_loop
from songswap.pipelines.metadata_fetcher import open_fetcher
from songswap.settings import Settings
from songswap.warehouse import enrichment_queue, runs
from songswap.warehouse.connection import connect
from songswap.warehouse.contract import METADATA
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.limits.budgets import Priority

log = logging.getLogger(__name__)

KINDS = ("track", "artist", "features")

_CALLS_IN_TURN = 8
"""Calls that each concurrent worker makes before the next page of ids is read."""


def enrich(
    settings: Settings, run_id: str, kind: str, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Look up all queued ids of a kind, and load the responses.

    Args:
        kind: one of `KINDS`.

    Returns:
        Counts: ``<kind>_requested``, ``_received``, ``_unknown``, ``_postponed`` and, of these,
        ``_not_loaded`` (PostgreSQL refused the rows), calls; and ``_held_back``: 1 when the rest
        waits because the day's quota is reserved for plays.

    Raises:
        SpotifyUnavailable, ReccoBeatsUnavailable, RateLimited, InvalidClient,
            WarehouseUnavailable: what is queued stays so and is looked up by the next run.
        WarehouseRefused, LoadIncomplete: PostgreSQL refuses rows, not those of one id alone; as
            above.
        RunFailed: the run was never planned.
    """
    return event_loop.run_cancellable(_enrich(settings, run_id, kind, clock))


async def _enrich(
    settings: Settings, run_id: str, kind: str, clock: Callable[[], datetime]
) -> dict[str, int]:
    counts: Counter[str] = Counter()
    durations = Durations()
    problem: str | SongSwapError | None = "it broke off, its task log says why"
    with connect(settings.warehouse_dsn) as connection:
        runs.require_plan(connection, run_id)
        try:
            with translate_errors(), durations.measured(), timed("enrich"):
                require_fit(connection, METADATA)
                await _fetch_queued(settings, connection, kind, counts, clock)
            problem = not_loaded(kind, counts)
        except QuotaReserved as pause:
            log.info("%s until %s UTC: %s", kind, f"{pause.until:%Y-%m-%d %H:%M}", pause)
            counts[f"{kind}_held_back"] = 1
            problem = None
        except SongSwapError as error:
            problem = error
            raise
        finally:
            if not connection.closed:
                found = {**counts, **durations.in_ms()}
                runs.end_step(connection, run_id, f"enrich {kind}", 0, found, clock(), problem)
    return dict(counts)


async def _fetch_queued(
    settings: Settings,
    connection: psycopg.Connection,
    kind: str,
    counts: Counter[str],
    clock: Callable[[], datetime],
) -> None:
    async with open_fetcher(
        settings, connection, kind, Priority.ENRICHMENT, counts, clock
    ) as fetcher:
        limit = fetcher.ids_at_once * _CALLS_IN_TURN
        while ids := enrichment_queue.queued_ids(connection, kind, limit, fetcher.clock()):
            await fetcher.fetch(ids)
            log.info("Looked up %d ids (%s) so far.", counts[f"{kind}_requested"], kind)
        # Also where no id was left to look up when it was found.
        if fetcher.clients.spotify.watch.wrong:
            raise fetcher.clients.spotify.watch.wrong


def not_loaded(kind: str, counts: Mapping[str, int]) -> str | None:
    """Say in a sentence how many ids' rows were refused; None where all are loaded."""
    number = counts.get(f"{kind}_not_loaded", 0)
    if not number:
        return None
    return (
        f"PostgreSQL refused the rows of {number} ids; the log of the step names them. They are"
        " looked up again in a day; all others are loaded"
    )
