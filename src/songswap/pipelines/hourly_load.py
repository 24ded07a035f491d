"""The hourly load of every user's plays, as the order of its steps.

    retry ──▶ plan ──▶ batch (each) ──▶ enrich (tracks, artists, features) ──▶ summarise

Each step is a function of the settings, the run's id and little else: Airflow's tasks call them one
by one, `load_once` calls them all. A step that is repeated changes nothing that is done already.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import NamedTuple

import psycopg

from songswap.alerts.notices import Notice
from songswap.alerts.problem import Problem
from songswap.clock import utc_now
from songswap.durations import Durations
from songswap.errors import Interrupted, RunFailed, RunPaused, SongSwapError
from songswap.pipelines import hours, run_notices, run_problems, snapshot
from songswap.pipelines.batch import run_batches
from songswap.pipelines.drain import drain_spool, report
from songswap.pipelines.enrich import KINDS, enrich
from songswap.pipelines.run_problems import Facts, Limits
from songswap.settings import Settings
from songswap.storage.spool import Spool
from songswap.warehouse import grant_states, grants, leases, runs, spools, totals
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import require_schema
from songswap.warehouse.runs import StepKey

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Receives the name of each step, how many of its kind are done, and how many there are."""


def retry(
    settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Store what earlier runs had to leave in this host's spool: in S3, and in the warehouse.

    Where S3 does not take it, it stays, and the run goes on.

    Returns:
        Counts, see `songswap.pipelines.drain.drain_spool`.

    Raises:
        WarehouseUnavailable, SchemaOutdated, SpoolError: nothing more can be done.
    """
    with (
        Spool(settings.spool, remembers=settings.keep_tokens) as spool,
        connect(settings.warehouse_dsn) as connection,
    ):
        require_schema(connection)
        runs.start(connection, run_id, clock())
        step, durations = StepKey("retry"), Durations()
        with durations.measured():
            counts = drain_spool(settings, connection, spool, run_id, clock, step=step)
        runs.end_step(connection, run_id, *step, durations.in_ms(), clock())
    return counts


def plan(settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now) -> list[int]:
    """Cut the users whom the hour serves into batches, and return the batches' numbers.

    Raises:
        WarehouseUnavailable, SchemaOutdated: no user can be polled.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        grants.record_authorized(connection, now := clock())
        steps = ("retry", *(f"enrich {kind}" for kind in KINDS))
        choice = hours.choose(settings, connection, run_id, now)
        return runs.plan(connection, run_id, settings.batch_size, steps, now, choice)


class Summary(NamedTuple):
    """The result of a run.

    ``counts`` has those of all steps, and ``seconds``. ``problem`` is what failed, None if nothing
    did; ``causes`` are the reasons, as kinds and sentences. ``state`` is that of the run's row:
    success, failed, or paused. ``notices`` are for engineers, however the run ended.
    """

    counts: dict[str, int]
    problem: str | None
    state: str
    causes: list[tuple[str, str]]
    notices: list[Notice]

    def require_success(self) -> None:
        """Raise `RunFailed`, or `RunPaused`, where something was not done."""
        if self.problem:
            kind = RunPaused if self.state == "paused" else RunFailed
            raise kind(self.problem, self.causes)


def summarise(
    settings: Settings,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
    known: Mapping[str, Problem] | None = None,
) -> Summary:
    """Add up a run, record its end in ``songswap.runs``, and decide whether it succeeded.

    It failed when it was never planned, when a part of it failed, or when something waits in the
    spool of any host. The snapshot of an hourly run follows its end, and changes nothing of it.

    Args:
        known: problems of steps that the caller knows of, by step and number, as in ``batch 3``.

    Raises:
        WarehouseUnavailable, SchemaOutdated, SpoolError: nothing is known of the run.
    """
    lost_users = Limits(settings.lost_users_share, settings.lost_users_at_least)
    with (
        Spool(settings.spool, remembers=settings.keep_tokens) as spool,
        connect(settings.warehouse_dsn) as connection,
    ):
        report(settings, connection, spool, clock)
        spools.forget_gone(connection)
        facts = _facts(settings, connection, spool, run_id, known or {}, clock())
        problems = run_problems.find(facts, _limits(settings), lost_users)
        state, problem = run_problems.state_of(problems), "\n".join(map(str, problems)) or None
        counts = _counts(runs.totals(connection, run_id), facts.outcomes)
        counts |= run_problems.waiting(facts.spools)
        counts |= grant_states.warn(connection, clock())
        if missing := run_problems.missing_users(facts.users, lost_users):
            counts["missing_users"] = missing
        if facts.users:
            counts |= hours.oldest_poll(connection, clock())
        counts["lost_tokens"] = grants.count_lost(connection, run_id)
        counts["undecided_users"] = sum(holder.users for holder in facts.token_holders)
        app, pauses = settings.spotify.client_id, run_problems.pauses(problems)
        notices = run_notices.due(connection, app, counts, pauses, clock())
        seconds = runs.end_run(connection, run_id, state, counts, clock(), problem)
        totals.add(connection, run_id)
        spool.acknowledge(facts.recoveries)
    counts["seconds"] = round(seconds)
    # Not of a run of some users, of which there are six an hour.
    if facts.users or not facts.is_planned:
        notices += snapshot.take(settings.warehouse_dsn, run_id, clock)
    return Summary(counts, problem, state, run_problems.causes(problems), notices)


def _facts(
    settings: Settings,
    connection: psycopg.Connection,
    spool: Spool,
    run_id: str,
    known: Mapping[str, Problem],
    now: datetime,
) -> Facts:
    """Read what is known of a run, and settle what all of its refusals mean."""
    outcomes = runs.outcomes(connection, run_id)
    # Before the refusals are settled, which leaves the users of these hosts undecided.
    token_holders = spools.token_holders(connection, run_id)
    polled, limits = outcomes.total(), _limits(settings)
    return Facts(
        unfinished=runs.unfinished(connection, run_id),
        known=known,
        is_planned=runs.is_planned(connection, run_id),
        refused=grants.settle_refused(connection, run_id, polled, *limits, now),
        forbidden=grants.settle_forbidden(connection, run_id, polled, *limits, now),
        outcomes=outcomes,
        users=runs.users_found(connection, run_id),
        spools=spools.find(connection),
        token_holders=token_holders,
        recoveries=spool.recoveries(only_unreported=True),
        now=now,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(settings.refused_share, settings.refused_at_least)


def _counts(totals: Mapping[str, int], outcomes: Counter[str]) -> dict[str, int]:
    """Sums over all tries, but of users only those by their last outcome."""
    users = ("polled", *runs.OUTCOMES)
    last = {"polled": outcomes.total(), **{name: outcomes[name] for name in runs.OUTCOMES}}
    counts = {name: total for name, total in totals.items() if name not in users}
    return counts | {name: number for name, number in last.items() if number}


@contextmanager
def at_work(
    settings: Settings,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
    *,
    whole: bool = False,
) -> Iterator[None]:
    """Record that a run goes on, and keep its lease for as long as this lasts.

    Args:
        whole: the whole run is done within this; a run that is left before its end has failed.

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
    """Record that a run failed, unless it has ended; without the warehouse, log that."""
    problem = Problem.of(error).text
    if not isinstance(error, Exception):
        problem = f"It was stopped ({type(error).__name__}). Responses received are in the spool."
    try:
        with connect(dsn) as connection:
            runs.fail_running(connection, run_id, problem, now)
    except SongSwapError as failure:
        log.error("The end of run %s is not recorded: %s", run_id, failure)  # noqa: TRY400 - a sentence


def load_once(
    settings: Settings,
    run_id: str,
    on_progress: Progress,
    clock: Callable[[], datetime] = utc_now,
) -> dict[str, int]:
    """Do the whole hourly load in this process, in the DAG's order.

    As in the DAG, batches overlap, and a step that fails does not keep the others from running;
    `summarise` reports it.

    Raises:
        RunFailed: see `Summary.require_success`.
        WarehouseUnavailable, SchemaOutdated: no user could be polled. The run's row in
            ``songswap.runs`` is ended in any case.
    """
    with at_work(settings, run_id, clock, whole=True):
        failed = _run_steps(settings, run_id, on_progress, clock)
        on_progress("summarise", 0, 1)
        for where, error in failed.items():
            log.error("%s: %s", where, error)
        known = {where: Problem.of(error) for where, error in failed.items()}
        summary = summarise(settings, run_id, clock, known)
    for notice in summary.notices:
        log.warning("%s", notice.sentence)
    summary.require_success()
    return summary.counts


def _run_steps(
    settings: Settings,
    run_id: str,
    on_progress: Progress,
    clock: Callable[[], datetime],
) -> dict[str, SongSwapError]:
    """Run all steps but the last; the errors of those that failed, by step and number."""
    failed: dict[str, SongSwapError] = {}
    on_progress("retry", 0, 1)
    failed |= _try_step("retry 0", partial(retry, settings, run_id, clock))
    on_progress("plan", 0, 1)
    batches = plan(settings, run_id, clock)
    on_batch = partial(on_progress, "fetch and load")
    errors = run_batches(settings, run_id, batches, on_batch, clock)
    failed |= {f"batch {batch}": error for batch, error in errors.items()}
    for done, kind in enumerate(KINDS):
        on_progress(f"enrich {kind}", done, len(KINDS))
        failed |= _try_step(f"enrich {kind} 0", partial(enrich, settings, run_id, kind, clock))
    return failed


def _try_step(where: str, step: Callable[[], object]) -> dict[str, SongSwapError]:
    """Run a step; its error, if any, by its name."""
    try:
        step()
    except Interrupted:
        # Whoever stops the run wants no more of its steps.
        raise
    except SongSwapError as error:
        return {where: error}
    return {}
