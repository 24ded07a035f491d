"""A batch of users, from beginning to end on one host.

    drain this host's spool ──▶ fetch ──▶ spool ──▶ load: group k, while group k + 1 is fetched

A response goes from the fetch to the load through the spool of this host. A batch that is killed is
done again, on this host or on another; what it left is stored by this host's next drain.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import datetime
from functools import partial

from songswap.clock import utc_now
from songswap.durations import Durations
from songswap.errors import Interrupted, SongSwapError
from songswap.pipelines import run_counts
from songswap.pipelines.batch_load import BatchLoader, load_step
from songswap.pipelines.drain import drain_spool, report
from songswap.pipelines.fetch import Caller, fetch
from songswap.settings import Settings
from songswap.storage.spool import Spool
from songswap.warehouse.connection import connect

log = logging.getLogger(__name__)

_Result = tuple[dict[str, int], SongSwapError | None]
"""The counts of a step, and its error if it failed."""


def run_batch(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Drain this host's spool, then fetch and load a batch, and report what waits in the spool.

    What was fetched is loaded although the fetch ended early. A drain that failed keeps no batch
    from being fetched: what waits is reported.

    Returns:
        Counts of `songswap.pipelines.fetch.fetch`, of `songswap.pipelines.drain.drain_spool` and of
        new rows, see `songswap.warehouse.plays.load`.

    Raises:
        SongSwapError: what ended the fetch; or else the load, or the report. Responses that were
            not loaded stay in the spool; this host's next drain loads them.
        Interrupted: a signal; no more is loaded.
    """
    return fetch_batch(settings, run_id, batch, clock)()


def run_batches(
    settings: Settings,
    run_id: str,
    batches: Sequence[int],
    on_progress: Callable[[int, int], None],
    clock: Callable[[], datetime],
) -> dict[int, SongSwapError]:
    """Run batches in turn; the end of one's load falls into the next one's fetch.

    Args:
        on_progress: receives how many batches were fetched, and how many there are.

    Returns:
        The errors of those that failed, by their numbers.

    Raises:
        Interrupted: a signal; the other batches are not run.
    """
    ends: dict[int, Future[_Result]] = {}
    failed: dict[int, SongSwapError] = {}
    with ThreadPoolExecutor(1) as beside:
        for done, batch in enumerate(batches):
            on_progress(done, len(batches))
            try:
                end = fetch_batch(settings, run_id, batch, clock)
            except Interrupted:
                raise
            except SongSwapError as error:
                failed[batch] = error
            else:
                # One at a time, so that memory holds two groups at most.
                wait(ends.values())
                ends[batch] = beside.submit(_tried, end)
    results = {batch: future.result()[1] for batch, future in ends.items()}
    return failed | {batch: error for batch, error in results.items() if error}


def fetch_batch(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime]
) -> Callable[[], dict[str, int]]:
    """Do the part of `run_batch` that waits for Spotify; return the rest, for any thread.

    Raises:
        SpoolError: the disk failed; nobody was polled.
        Interrupted: a signal; no more is loaded.
    """
    with ExitStack() as opened:
        spool = opened.enter_context(Spool(settings.spool, remembers=settings.keep_tokens))
        me = opened.enter_context(spool.working(run_id, batch))
        # Read before the drain, after which they may have left the spool.
        done = spool.users_of(run_id, batch)
        durations = Durations()
        with durations.measured():
            drain = partial(_drain, settings, spool, run_id, batch, clock, me)
            drained, not_drained = _tried(drain)
        if not_drained:
            log.warning("The spool was not drained before batch %d: %s", batch, not_drained)
        loader = opened.enter_context(BatchLoader(settings, run_id, batch, clock, durations))
        caller = Caller(me, done, loader.spooled)
        fetched = _tried(partial(fetch, settings, run_id, batch, clock, caller))
        reporting = partial(_report, settings, spool, clock, me)
        return partial(_end, opened.pop_all(), drained, fetched, loader.end, reporting)


def _end(
    opened: ExitStack,
    drained: dict[str, int],
    fetched: _Result,
    load: Callable[[], dict[str, int]],
    reporting: Callable[[], dict[str, int]],
) -> dict[str, int]:
    """Load the rest of a batch, and report; the first problem is raised at the end."""
    with opened:
        results = (fetched, _tried(load), _tried(reporting))
    for _, problem in results:
        if problem:
            raise problem
    return run_counts.total([drained, *(counts for counts, _ in results)])


def _tried(step: Callable[[], dict[str, int]]) -> _Result:
    """Return a step's counts, and its error if it failed; a signal ends the batch."""
    try:
        return step(), None
    except Interrupted:
        raise
    except SongSwapError as error:
        return {}, error


def _drain(
    settings: Settings,
    spool: Spool,
    run_id: str,
    batch: int,
    clock: Callable[[], datetime],
    me: int,
) -> dict[str, int]:
    with connect(settings.warehouse_dsn) as connection:
        step = load_step(batch)
        return drain_spool(settings, connection, spool, run_id, clock, step=step, me=me)


def _report(
    settings: Settings, spool: Spool, clock: Callable[[], datetime], me: int
) -> dict[str, int]:
    with connect(settings.warehouse_dsn) as connection:
        report(settings, connection, spool, clock, me)
    return {}
