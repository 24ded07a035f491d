"""The hourly load of everybody's plays, as the order of its steps.

    retry ──▶ plan ──▶ fetch, load (each batch) ──▶ enrich (tracks, artists, features) ──▶ summarise

Each step is a function of the settings, the run's id and little else: Airflow's tasks call them one
by one, `load_once` calls them all. A step that is repeated changes nothing that is done already.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import NamedTuple

import psycopg

from songswap.alerts.notices import Notice
from songswap.alerts.problem import Problem
from songswap.clock import utc_now
from songswap.errors import Interrupted, RunFailed, RunPaused, SongSwapError
from songswap.pipelines import judgement, telling
from songswap.pipelines import load as deliver
from songswap.pipelines.enrich import KINDS, enrich
from songswap.pipelines.fetch import fetch
from songswap.pipelines.judgement import Limits, Trouble
from songswap.settings import Settings
from songswap.storage.spool import Spool
from songswap.warehouse import grant_states, grants, leases, runs
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import require_schema

log = logging.getLogger(__name__)


def retry(
    settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Bring what earlier runs had to keep locally where it belongs: to S3, and into the warehouse.

    Where S3 does not take it, it stays, and the run goes on.

    Returns:
        Counts, see `songswap.pipelines.load.drain_spool`.

    Raises:
        WarehouseUnavailable, SchemaOutdated, SpoolError: nothing more can be done.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        runs.start(connection, run_id, clock())
        counts = deliver.drain_spool(settings, connection, run_id, clock)
        runs.end_step(connection, run_id, "retry", 0, counts, clock())
    return counts


def plan(settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now) -> list[int]:
    """Cut all users into batches, and return the batches' numbers.

    Raises:
        WarehouseUnavailable, SchemaOutdated: there is nobody to ask for.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        grants.record_authorized(connection, clock())
        steps = ("retry", *(f"enrich {kind}" for kind in KINDS))
        return runs.plan(connection, run_id, settings.batch_size, steps, clock())


def load(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Transform and load what was fetched of a batch, in one transaction.

    Returns:
        Counts of new rows, see `songswap.warehouse.plays.load`.

    Raises:
        WarehouseUnavailable: the answers stay in the spool; the next run loads them.
        LoadIncomplete: rows were not there after their load; rolled back, the answers stay.
    """
    with Spool(settings.spool) as spool, connect(settings.warehouse_dsn) as connection:
        kept = spool.batch(run_id, batch)
        counts = deliver.load(settings, connection, spool, kept, run_id, clock(), step=batch)
    return dict(counts)


class Summary(NamedTuple):
    """What became of a run.

    ``counts`` has those of all steps, and ``seconds``. ``problem`` is what failed, None if nothing
    did; ``causes`` are what that comes of, as kinds and sentences. ``state`` is that of the run's
    row: success, failed, or paused. ``notices`` are for engineers, whatever became of the run.
    """

    counts: dict[str, int]
    problem: str | None
    state: str
    causes: list[tuple[str, str]]
    notices: list[Notice]

    def require_success(self) -> None:
        """Raise `RunFailed`, or `RunPaused`, where something did not happen."""
        if self.problem:
            kind = RunPaused if self.state == "paused" else RunFailed
            raise kind(self.problem, self.causes)


def summarise(
    settings: Settings,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
    known: Mapping[str, Problem] | None = None,
) -> Summary:
    """Add up a run, note it in ``songswap.runs``, and say whether it was a good one.

    It was not when it was never planned, when a part of it failed, or when something waits in the
    spool.

    Args:
        known: what whoever ran the steps knows of those that failed, by step and number, as in
            ``load 3``.

    Raises:
        WarehouseUnavailable, SchemaOutdated, SpoolError: nothing can be said of the run.
    """
    with Spool(settings.spool) as spool, connect(settings.warehouse_dsn) as connection:
        outcomes = runs.outcomes(connection, run_id)
        waiting = _waiting(spool)
        troubles = judgement.of_steps(runs.unfinished(connection, run_id), known or {})
        troubles += judgement.of_the_plan(runs.is_planned(connection, run_id), troubles)
        troubles += _settle(settings, connection, run_id, outcomes, clock())
        troubles += judgement.of_outcomes(outcomes, _limits(settings))
        found = runs.users_found(connection, run_id)
        lost = Limits(settings.lost_users_share, settings.lost_users_at_least)
        troubles += judgement.of_users(found, lost)
        troubles += judgement.of_what_waits(waiting, spool.last_problem())
        recoveries = spool.recoveries(only_unreported=True)
        troubles += judgement.of_the_spool(len(spool.damaged_tokens()), recoveries)
        counts = _counts(runs.totals(connection, run_id), outcomes) | waiting
        counts |= grant_states.warn(connection, clock())
        if missing := judgement.missing_users(found, lost):
            counts["missing_users"] = missing
        counts["lost_tokens"] = grants.count_lost(connection, run_id)
        state, problem = judgement.state_of(troubles), "\n".join(map(str, troubles)) or None
        paused = [one.problem.text for one in troubles if one.problem.kind in judgement.PAUSES]
        app = settings.spotify.client_id
        notices = telling.due(connection, app, counts, paused, clock())
        seconds = runs.end_run(connection, run_id, state, counts, clock(), problem)
        spool.acknowledge(recoveries)
    counts["seconds"] = round(seconds)
    return Summary(counts, problem, state, judgement.causes(troubles), notices)


def _settle(
    settings: Settings,
    connection: psycopg.Connection,
    run_id: str,
    outcomes: Counter[str],
    now: datetime,
) -> list[Trouble]:
    """Decide what refusals mean, now that all of the run are known, and tell of incidents."""
    limits, asked = _limits(settings), outcomes.total()
    refused = grants.settle_refused(connection, run_id, asked, *limits, now)
    forbidden = grants.settle_forbidden(connection, run_id, asked, *limits, now)
    return [*judgement.of_refusals(*refused), *judgement.of_forbidden(*forbidden)]


def _limits(settings: Settings) -> Limits:
    return Limits(settings.refused_share, settings.refused_at_least)


def _counts(totals: Mapping[str, int], outcomes: Counter[str]) -> dict[str, int]:
    """Sums over all tries, but of users only those by what came of each last."""
    users = ("polled", *runs.OUTCOMES)
    last = {"polled": outcomes.total(), **{name: outcomes[name] for name in runs.OUTCOMES}}
    counts = {name: total for name, total in totals.items() if name not in users}
    return counts | {name: number for name, number in last.items() if number}


def _waiting(spool: Spool) -> dict[str, int]:
    to_archive, to_load = spool.waiting()
    return {
        "waiting_for_s3": to_archive,
        "waiting_for_warehouse": to_load,
        "waiting_tokens": len(spool.tokens()),
    }


@contextmanager
def at_work(
    settings: Settings,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
    *,
    whole: bool = False,
) -> Iterator[None]:
    """Note that a run goes on, and show for as long as this lasts that a process works on it.

    Args:
        whole: all of the run is done within this; a run that is left without its end has failed.

    Raises:
        WarehouseUnavailable, SchemaOutdated: nothing can be done.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        runs.start(connection, run_id, clock(), held=whole)
        leases.renew(connection, run_id)
    with leases.renewing(settings.warehouse_dsn, run_id):
        try:
            yield
        except BaseException as error:
            if whole:
                end_early(settings.warehouse_dsn, run_id, error, clock())
            raise


def end_early(dsn: str, run_id: str, error: BaseException, now: datetime) -> None:
    """Note that a run failed of an error, unless it has ended; without the warehouse, log that."""
    problem = Problem.of(error).text
    if not isinstance(error, Exception):
        problem = f"It was stopped ({type(error).__name__}). What was answered is in the spool."
    try:
        with connect(dsn) as connection:
            runs.fail_running(connection, run_id, problem, now)
    except SongSwapError as trouble:
        log.error("The end of run %s is not noted: %s", run_id, trouble)  # noqa: TRY400 - a sentence


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
        RunFailed: see `Summary.require_success`.
        WarehouseUnavailable, SchemaOutdated: nobody could be asked for. However it ends, its row in
            ``songswap.runs`` does.
    """
    with at_work(settings, run_id, clock, whole=True):
        troubles = _load_all(settings, run_id, told, clock)
        told("summarise", 0, 1)
        for where, trouble in troubles.items():
            log.error("%s: %s", where, trouble)
        known = {where: Problem.of(trouble) for where, trouble in troubles.items()}
        summary = summarise(settings, run_id, clock, known)
    for notice in summary.notices:
        log.warning("%s", notice.sentence)
    summary.require_success()
    return summary.counts


def _load_all(
    settings: Settings,
    run_id: str,
    told: Callable[[str, int, int], None],
    clock: Callable[[], datetime],
) -> dict[str, SongSwapError]:
    """All steps but the last; what failed, by step and number."""
    troubles: dict[str, SongSwapError] = {}
    told("retry", 0, 1)
    troubles |= _trying("retry 0", partial(retry, settings, run_id, clock))
    told("plan", 0, 1)
    batches = plan(settings, run_id, clock)
    with ThreadPoolExecutor(1) as beside:
        loading: Future[dict[str, SongSwapError]] | None = None
        for done, batch in enumerate(batches):
            told("fetch and load", done, len(batches))
            fetching = partial(fetch, settings, run_id, batch, clock)
            troubles |= _trying(f"fetch {batch}", fetching)
            # One at a time, so that memory holds two batches at most.
            troubles |= loading.result() if loading else {}
            step = partial(load, settings, run_id, batch, clock)
            loading = beside.submit(_trying, f"load {batch}", step)
        troubles |= loading.result() if loading else {}
    for done, kind in enumerate(KINDS):
        told(f"enrich {kind}", done, len(KINDS))
        troubles |= _trying(f"enrich {kind} 0", partial(enrich, settings, run_id, kind, clock))
    return troubles


def _trying(where: str, step: Callable[[], object]) -> dict[str, SongSwapError]:
    try:
        step()
    except Interrupted:
        # Whoever stops the run wants no more of its steps.
        raise
    except SongSwapError as error:
        return {where: error}
    return {}
