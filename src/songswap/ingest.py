"""The hourly load of everybody's plays, as the order of its steps.

    retry ──▶ plan ──▶ fetch, load (each batch) ──▶ enrich (tracks, artists, features) ──▶ summarise

Each step is a function of the settings, the run's id and little else: Airflow's tasks call them one
by one, `load_once` calls them all. A step that is repeated changes nothing that is done already.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import chain
from typing import NamedTuple

import psycopg

from songswap.alerts.warning import warnings
from songswap.enrich import KINDS, enrich
from songswap.errors import AnswerDamaged, LoadIncomplete, RunFailed, SongSwapError
from songswap.fetch import KEPT_AT_ONCE, fetch
from songswap.models import Catalogue
from songswap.raw.archive import Archive
from songswap.raw.spool import Kept, Spool
from songswap.settings import Settings
from songswap.spotify.client import utc_now
from songswap.transform import history
from songswap.warehouse import grant, grant_state, run
from songswap.warehouse import history as warehouse_history
from songswap.warehouse.connection import connect
from songswap.warehouse.history import Staleness
from songswap.warehouse.migrate import require_schema

log = logging.getLogger(__name__)

_AT_ONCE = 500
"""Answers of the spool that are read into memory, and loaded, together."""

_REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    LoadIncomplete,
    AnswerDamaged,
)
"""What one answer alone can be the reason of: the others are loaded without it."""


def retry(
    settings: Settings, run_id: str, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Bring what earlier runs had to keep locally where it belongs: to S3, and into the warehouse.

    Where S3 does not take it, it stays, and the run goes on.

    Returns:
        Counts, see `bring_in`.

    Raises:
        WarehouseUnavailable, SchemaOutdated, SpoolError: nothing more can be done.
    """
    with connect(settings.warehouse_dsn) as connection:
        require_schema(connection)
        run.start(connection, run_id, clock())
        counts = bring_in(settings, connection, run_id, clock)
        run.end_step(connection, run_id, "retry", 0, counts, clock())
    return counts


def bring_in(
    settings: Settings,
    connection: psycopg.Connection,
    run_id: str,
    clock: Callable[[], datetime] = utc_now,
    only: Collection[int] | None = None,
) -> dict[str, int]:
    """What `retry` does, apart from any run.

    Args:
        connection: to a warehouse whose schema is the one that is needed.
        only: ids of the spool's answers; None for all.

    Returns:
        Counts of what was archived, loaded, and of rows as `songswap.warehouse.history.load` does.

    Raises:
        SpoolError: nothing more can be done.
    """
    with Spool(settings.spool) as spool:
        counts: Counter[str] = Counter()
        for token in spool.tokens():
            try:
                counts["tokens_stored"] += grant.store_kept(connection, token, clock())
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                counts["tokens_refused"] += 1
                log.warning(
                    'The tokens of user %d do not fit "SpotifyTokens" (SQLSTATE %s): they stay in'
                    " the spool.",
                    token.user_id,
                    error.sqlstate,
                )
            else:
                spool.drop_token(token)
        counts["retried_archived"] = asyncio.run(
            _archive_waiting(settings, spool, connection, only)
        )
        for kept in _rounds(chain.from_iterable(_parts(spool.not_loaded, _AT_ONCE, only))):
            counts["retried_loaded"] += len(kept)
            counts += _load(settings, connection, spool, kept, run_id, clock())
    return dict(counts)


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
        counts = _load(settings, connection, spool, kept, run_id, clock(), step=batch)
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
        counts |= {"waiting_for_s3": to_archive, "waiting_for_warehouse": to_load}
        counts |= grant_state.warn(connection, clock())
        problem = "\n".join(problems) or None
        seconds = run.end_run(connection, run_id, counts, clock(), problem)
    return Summary({**counts, "seconds": round(seconds)}, problem)


def load_once(
    settings: Settings,
    run_id: str,
    told: Callable[[str, int, int], None],
    clock: Callable[[], datetime] = utc_now,
) -> dict[str, int]:
    """The whole hourly load in this process, in the order that the DAG has.

    As in the DAG, a step that fails does not keep the others from theirs; `summarise` tells.

    Args:
        told: hears the name of each step, how many of them are done, and how many there are.

    Raises:
        RunFailed: see `summarise`.
    """
    told("retry", 0, 1)
    troubles = _trying(partial(retry, settings, run_id, clock))
    told("plan", 0, 1)
    batches = plan(settings, run_id, clock)
    for done, batch in enumerate(batches):
        told("fetch and load", done, len(batches))
        troubles += _trying(partial(fetch, settings, run_id, batch, clock))
        troubles += _trying(partial(load, settings, run_id, batch, clock))
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


def _load(
    settings: Settings,
    connection: psycopg.Connection,
    spool: Spool,
    kept: list[Kept],
    run_id: str,
    now: datetime,
    step: int | None = None,
) -> Counter[str]:
    """Load answers in one transaction; if the server refuses their rows, one by one.

    With ``step``, the load of that batch is noted as done in the same transaction.
    """

    def load_these(these: list[Kept]) -> Counter[str]:
        catalogue = Catalogue()
        answers = [
            warehouse_history.Answer(
                one.user_id,
                one.observed_at,
                one.key,
                one.fingerprint,
                history.transform(one.body, one.user_id, one.observed_at, catalogue),
            )
            for one in these
        ]
        staleness = Staleness(now, settings.stale_after)
        return warehouse_history.load(connection, answers, catalogue, run_id, staleness)

    try:
        with connection.transaction():
            counts = load_these(kept)
            if step is not None:
                run.end_step(connection, run_id, "load", step, counts, now)
    except _REFUSED as error:
        log.warning("A load was refused; trying one by one. %s", _reason(error))
    else:
        spool.loaded([one.id for one in kept])
        return counts
    counts = Counter()
    problems: dict[int, str] = {}
    for one in kept:
        try:
            counts += load_these([one])
            spool.loaded([one.id])
        except _REFUSED as error:
            problems[one.id] = _reason(error)
    spool.failed(problems)
    if step is not None:
        text = f"{len(problems)} answers were refused and wait in the spool" if problems else None
        run.end_step(connection, run_id, "load", step, counts, now, text)
    return counts


def _reason(refused: Exception) -> str:
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
    for part in _parts(spool.not_archived, KEPT_AT_ONCE, only):
        damaged = {one.id: damage for one in part if (damage := one.damage())}
        kept = [one for one in part if one.id not in damaged]
        outcome = await archive.put_all(kept)
        for one in kept:
            key = outcome.archived.get(one.id, one.key)
            if key != one.key:
                warehouse_history.move_raw(connection, one.user_id, one.observed_at, key)
        spool.archived(outcome.archived)
        spool.failed(outcome.problems | damaged)
        archived += len(outcome.archived)
        if kept and not outcome.archived:
            log.warning("S3 takes nothing: %s", next(iter(outcome.problems.values())))
            break
    return archived


def _parts(
    waiting: Callable[[int, int], list[Kept]], size: int, only: Collection[int] | None
) -> Iterator[list[Kept]]:
    """What waits, all or ``only`` these ids, read in parts; what is done meanwhile is not seen."""
    last = 0
    while kept := waiting(last, size):
        yield [one for one in kept if only is None or one.id in only]
        last = kept[-1].id


def _rounds(kept: Iterable[Kept]) -> Iterator[list[Kept]]:
    """Chunks with one answer of a user at most, in order: what is new in the next depends on it."""
    chunk: list[Kept] = []
    users: set[int] = set()
    for one in kept:
        if one.user_id in users or len(chunk) == _AT_ONCE:
            yield chunk
            chunk, users = [], set()
        chunk.append(one)
        users.add(one.user_id)
    if chunk:
        yield chunk
