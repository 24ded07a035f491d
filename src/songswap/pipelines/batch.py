"""A batch of users, from beginning to end on one host.

    drain this host's spool ──▶ fetch ──▶ spool ──▶ load: group k, while group k + 1 is fetched

A response goes from the fetch to the load through the spool of this host. A batch that is killed is
done again, on this host or on another; what it left is stored by this host's next drain.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from songswap.clock import utc_now
from songswap.errors import Interrupted, SongSwapError
from songswap.pipelines import run_counts
from songswap.pipelines.batch_load import BatchLoader
from songswap.pipelines.drain import drain_spool, report
from songswap.pipelines.fetch import Caller, fetch
from songswap.settings import Settings
from songswap.storage.spool import Spool
from songswap.warehouse.connection import connect

log = logging.getLogger(__name__)


def run_batch(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Drain this host's spool, then fetch and load a batch, and report what waits in the spool.

    What was fetched is loaded although the fetch ended early. A drain that failed keeps no batch
    from being fetched: what waits is reported.

    Returns:
        Counts of `songswap.pipelines.fetch.fetch`, of `songswap.pipelines.drain.drain_spool` and of
        new rows, see `songswap.pipelines.load.load_responses`.

    Raises:
        SongSwapError: what ended the fetch; or else the load, or the report. Responses that were
            not loaded stay in the spool; this host's next drain loads them.
        Interrupted: a signal; no more is loaded.
    """
    with (
        Spool(settings.spool, remembers=settings.keep_tokens) as spool,
        spool.working(run_id, batch) as me,
    ):
        # Read before the drain, after which they may have left the spool.
        done = spool.users_of(run_id, batch)
        drained, not_drained = _tried(partial(_drain, settings, spool, run_id, clock, me))
        if not_drained:
            log.warning("The spool was not drained before batch %d: %s", batch, not_drained)
        with BatchLoader(settings, run_id, batch, clock) as loader:
            caller = Caller(me, done, loader.spooled)
            fetched, not_fetched = _tried(partial(fetch, settings, run_id, batch, clock, caller))
            loaded, not_loaded = _tried(partial(loader.end, drained))
        _, not_reported = _tried(partial(_report, settings, spool, clock, me))
    if problem := not_fetched or not_loaded or not_reported:
        raise problem
    return run_counts.total((fetched, loaded))


def _tried(
    step: Callable[[], dict[str, int]],
) -> tuple[dict[str, int], SongSwapError | None]:
    """Return a step's counts, and its error if it failed; a signal ends the batch."""
    try:
        return step(), None
    except Interrupted:
        raise
    except SongSwapError as error:
        return {}, error


def _drain(
    settings: Settings, spool: Spool, run_id: str, clock: Callable[[], datetime], me: int
) -> dict[str, int]:
    with connect(settings.warehouse_dsn) as connection:
        return drain_spool(settings, connection, spool, run_id, clock, me=me)


def _report(
    settings: Settings, spool: Spool, clock: Callable[[], datetime], me: int
) -> dict[str, int]:
    with connect(settings.warehouse_dsn) as connection:
        report(settings, connection, spool, clock, me)
    return {}
