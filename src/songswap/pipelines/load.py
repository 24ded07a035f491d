"""Load responses of the spool: their rows go into the warehouse.

spool ──▶ transform ──▶ tracks and artists ──▶ plays, in one transaction; if refused, in halves
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import psycopg

from songswap.durations import timed
from songswap.errors import CorruptResponse, LoadIncomplete
from songswap.models import Catalogue
from songswap.parallel.gc_pause import gc_paused
from songswap.pipelines.bisection import Bisection
from songswap.settings import Settings
from songswap.storage.records import RawResponse
from songswap.storage.spool import Spool
from songswap.transform import recent_plays
from songswap.transform.catalogue import merge_catalogues
from songswap.warehouse import catalogue, plays, runs
from songswap.warehouse.catalogue import Times
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.plays import ParsedResponse, PollBatch
from songswap.warehouse.retry import retried
from songswap.warehouse.runs import StepKey

log = logging.getLogger(__name__)

REFUSED = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    LoadIncomplete,
    CorruptResponse,
)
"""Errors that a single response can cause: the others are loaded without it."""


@timed("load")
def load_responses(
    settings: Settings,
    connection: psycopg.Connection,
    spool: Spool,
    responses: Sequence[RawResponse],
    run_id: str,
    now: datetime,
    step: StepKey | None = None,
) -> Counter[str]:
    """Load responses; where their rows are refused, in halves.

    Args:
        responses: each user's in the order in which Spotify gave them.
        step: counts the new rows, in the transaction of the plays.

    Returns:
        Counts of new rows: tracks, artists, artist_tracks, track_images, track_popularity,
        track_previews, and see `songswap.warehouse.plays.load`.

    Raises:
        PlatformUnfit: nothing can be loaded into the tables as they are; the responses stay.
    """
    require_fit(connection)
    counts: Counter[str] = Counter()
    not_recorded: Counter[str] = Counter()
    refused: dict[int, str] = {}
    parts = Bisection(responses)
    for part in parts:
        is_all = len(part) == len(responses)
        try:
            counts.update(_load_part(connection, settings, part, run_id, now, step, not_recorded))
            not_recorded.clear()
        except REFUSED as error:
            if is_all:
                log.warning("A load was refused; it is tried in halves. %s", reason(error))
            if not parts.halve(part):
                refused |= {response.id: reason(error) for response in part}
        else:
            spool.mark_loaded([response.id for response in part])
    spool.mark_failed(refused)
    if step and not_recorded:
        runs.add_counts(connection, run_id, step, not_recorded)
    counts.update(not_recorded)
    return counts


@gc_paused()
def _load_part(
    connection: psycopg.Connection,
    settings: Settings,
    responses: Sequence[RawResponse],
    run_id: str,
    now: datetime,
    step: StepKey | None,
    not_recorded: Counter[str],
) -> Counter[str]:
    """Transform and load responses; return the counts of new rows.

    Args:
        not_recorded: what is new of tracks and artists is added to it, also where plays fail.
    """
    batches = [transformed(part, now) for part in poll_batches(responses)]
    batches = load_catalogue(connection, batches, settings.stale_after, not_recorded)
    return _load_plays(connection, settings, batches, run_id, step, not_recorded)


@retried
def _load_plays(
    connection: psycopg.Connection,
    settings: Settings,
    batches: Sequence[PollBatch],
    run_id: str,
    step: StepKey | None,
    of_tracks: Counter[str],
) -> Counter[str]:
    """Load plays in one transaction, with the counts of it and ``of_tracks``; return the counts."""
    with connection.transaction():
        counts = plays.load(connection, batches, run_id, settings.stale_after)
        counts.update(of_tracks)
        if step:
            runs.add_counts(connection, run_id, step, counts)
    return counts


def load_catalogue(
    connection: psycopg.Connection,
    batches: Sequence[PollBatch],
    stale_after: timedelta,
    counts: Counter[str],
) -> list[PollBatch]:
    """Load the tracks and artists of batches; see `songswap.warehouse.catalogue.load`.

    Returns:
        The batches: those of the earliest time know which of their tracks it has queued.
    """
    if not batches:
        return []
    rows = merge_catalogues([batch.catalogue for batch in batches])
    now = min(batch.now for batch in batches)
    queued = catalogue.load(connection, rows, Times(now, now - stale_after), counts)
    return [batch._replace(queued=queued) if batch.now == now else batch for batch in batches]


def transformed(responses: Iterable[RawResponse], now: datetime) -> PollBatch:
    """Transform responses, at most one of each user, into rows for the warehouse.

    Raises:
        CorruptResponse: one of them is not whole.
    """
    rows = Catalogue()
    parsed = [_parsed(response, rows) for response in responses]
    return PollBatch(parsed, rows, now)


def _parsed(response: RawResponse, rows: Catalogue) -> ParsedResponse:
    """Transform a response; adds what it says of tracks and artists to ``rows``."""
    body = response.body
    return ParsedResponse(
        response.user_id,
        response.observed_at,
        response.key,
        response.fingerprint or recent_plays.fingerprint(body),
        recent_plays.transform(body, response.user_id, response.observed_at, rows),
    )


def reason(refused: Exception) -> str:
    """Why responses were refused, in words that may be shown."""
    if isinstance(refused, psycopg.Error):
        # The server's own text would quote the rows; its code says enough.
        return f"PostgreSQL refused its rows with SQLSTATE {refused.sqlstate}"
    return str(refused)


def poll_batches(responses: Iterable[RawResponse]) -> Iterator[list[RawResponse]]:
    """Cut responses into parts, in order, with at most one of each user.

    What is new in a response depends on the user's earlier ones.
    """
    part: list[RawResponse] = []
    users: set[int] = set()
    for response in responses:
        if response.user_id in users:
            yield part
            part, users = [], set()
        part.append(response)
        users.add(response.user_id)
    if part:
        yield part
