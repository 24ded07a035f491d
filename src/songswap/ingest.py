"""The hourly load of everybody's plays, as the order of its steps.

    retry ──▶ plan ──▶ fetch, load (each batch) ──▶ enrich (tracks, artists, features) ──▶ summarise

Each step is a function of the settings, the run's id and little else: Airflow's tasks call them one
by one, `load_once` calls them all. A step that is repeated changes nothing that is done already.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import NamedTuple

from songswap import deliver
from songswap.alerts.warning import warnings
from songswap.enrich import KINDS, enrich
from songswap.errors import RunFailed, SongSwapError
from songswap.fetch import fetch
from songswap.raw.spool import Spool
from songswap.settings import Settings
from songswap.spotify.client import utc_now
from songswap.warehouse import grant, grant_state, run
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import require_schema

log = logging.getLogger(__name__)


def retry(
    settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Bring what earlier runs had to keep locally where it belongs: to S3, and into the warehouse.

    Where S3 does not take it, it stays, and the run goes on.

    Returns:
        Counts, see `songswap.deliver.bring_in`.

    Raises:
        WarehouseUnavailable, SchemaOutdated, SpoolError: nothing more can be done.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        run.start(connection, run_id, clock())
        counts = deliver.bring_in(settings, connection, run_id, clock)
        run.end_step(connection, run_id, "retry", 0, counts, clock())
    return counts


def plan(settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now) -> list[int]:
    """Cut all users into batches, and return the batches' numbers.

    Raises:
        WarehouseUnavailable, SchemaOutdated: there is nobody to ask for.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        grant.note_authorized(connection, clock())
        steps = ("retry", *(f"enrich {kind}" for kind in KINDS))
        return run.plan(connection, run_id, settings.batch_size, steps, clock())


def load(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Transform and load what was fetched of a batch, in one transaction.

    Returns:
        Counts of new rows, see `songswap.warehouse.history.load`.

    Raises:
        WarehouseUnavailable: the answers stay in the spool; the next run loads them.
        LoadIncomplete: rows were not there after their load; rolled back, the answers stay.
    """
    with Spool(settings.spool) as spool, connect(settings.warehouse_dsn) as connection:
        kept = spool.batch(run_id, batch)
        counts = deliver.load(settings, connection, spool, kept, run_id, clock(), step=batch)
    return dict(counts)


class Summary(NamedTuple):
    """The counts of all steps of a run, and ``seconds``; what of it failed, None if nothing did."""

    counts: dict[str, int]
    problem: str | None


def summarise(settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now) -> Summary:
    """Add up a run, note it in ``songswap.runs``, and say whether it was a good one.

    It was not when a part of it failed, or when answers wait in the spool.
    """
    with Spool(settings.spool) as spool, connect(settings.warehouse_dsn) as connection:
        counts = run.totals(connection, run_id)
        problems = [
            f"{one.step} {one.number}: {one.problem or 'did not end, its task log says why'}"
            for one in run.unfinished(connection, run_id)
        ]
        refused, incident = grant.settle_refused(
            connection,
            run_id,
            counts.get("asked", 0),
            settings.refused_share,
            settings.refused_at_least,
            clock(),
        )
        if incident:
            problems.append(
                f"Spotify refused the grants of {refused} users at once. This looks like an"
                " incident at Spotify: nobody's grant was taken for dead, the next run asks again."
            )
        forbidden, incident = grant.settle_forbidden(
            connection,
            run_id,
            counts.get("asked", 0),
            settings.refused_share,
            settings.refused_at_least,
            clock(),
        )
        if incident:
            problems.append(
                f"Spotify forbade {forbidden} users at once (403). This looks like an incident, or"
                " the subscription of the app's owner has lapsed: nobody rests, the next run asks"
                " everybody again. In development mode only five users may be asked for: see the"
                " app in Spotify's developer dashboard."
            )
        asked, failed = counts.get("asked", 0), counts.get("failed", 0)
        many = failed >= settings.refused_at_least and failed > settings.refused_share * asked
        if many or 0 < failed == asked:
            problems.append(
                f"Spotify gave no usable answer for {failed} of {asked} users. Nothing is lost"
                " yet: the next run asks again. If it lasts, look at Spotify's status page."
            )
        to_archive, to_load = spool.waiting()
        if to_archive or to_load:
            problems.append(
                f"{to_archive} answers wait in the spool for S3 and {to_load} for the warehouse:"
                f" {spool.last_problem() or 'see the steps before'}. The next run retries them."
            )
        if damaged := spool.damaged_tokens():
            problems.append(
                f"The tokens of {len(damaged)} users in the spool are damaged and cannot be used."
                " 'songswap spool list' names the users, 'songswap spool drop --damaged-tokens'"
                " takes them out."
            )
        recoveries = spool.recoveries(only_untold=True)
        problems += [str(one) for one in recoveries]
        counts |= {"waiting_for_s3": to_archive, "waiting_for_warehouse": to_load}
        counts |= grant_state.warn(connection, clock())
        problem = "\n".join(problems) or None
        seconds = run.end_run(connection, run_id, counts, clock(), problem)
        spool.acknowledge(recoveries)
    return Summary({**counts, "seconds": round(seconds)}, problem)


def load_once(
    settings: Settings,
    run_id: str,
    told: Callable[[str, int, int], None],
    clock: Callable[[], datetime] = utc_now,
) -> dict[str, int]:
    """The whole hourly load in this process, in the order that the DAG has.

    As in the DAG, a batch is loaded while the next is fetched, and a step that fails does not keep
    the others from theirs; `summarise` tells.

    Args:
        told: hears the name of each step, how many of them are done, and how many there are.

    Raises:
        RunFailed: see `summarise`.
    """
    told("retry", 0, 1)
    troubles = _trying(partial(retry, settings, run_id, clock))
    told("plan", 0, 1)
    batches = plan(settings, run_id, clock)
    with ThreadPoolExecutor(1) as beside:
        loading: Future[list[SongSwapError]] | None = None
        for done, batch in enumerate(batches):
            told("fetch and load", done, len(batches))
            troubles += _trying(partial(fetch, settings, run_id, batch, clock))
            # One at a time, so that memory holds two batches at most.
            troubles += loading.result() if loading else []
            loading = beside.submit(_trying, partial(load, settings, run_id, batch, clock))
        troubles += loading.result() if loading else []
    for done, kind in enumerate(KINDS):
        told(f"enrich {kind}", done, len(KINDS))
        troubles += _trying(partial(enrich, settings, run_id, kind, clock))
    told("summarise", 0, 1)
    for trouble in troubles:
        log.error("%s", trouble)
    counts, problem = summarise(settings, run_id, clock)
    for warning in warnings(counts):
        log.warning("%s", warning)
    if problem:
        raise RunFailed(problem)
    return counts


def _trying(step: Callable[[], object]) -> list[SongSwapError]:
    try:
        step()
    except SongSwapError as error:
        return [error]
    return []
