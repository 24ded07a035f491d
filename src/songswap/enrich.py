"""Ask Spotify about the tracks and artists that came by and are unknown or stale.

    songswap.metadata (wanted) ──▶ /tracks 50, /artists 50, /audio-features 100 ──▶ the tables

What is wanted stays wanted until it is answered, so this can be stopped at any point.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
import uvloop

from songswap.errors import Forbidden, RequestRefused, SpotifyError
from songswap.fetch import call_counts
from songswap.models import Metadata
from songswap.settings import Settings
from songswap.side_by_side import side_by_side
from songswap.spotify.client import (
    ARTISTS_PER_CALL,
    FEATURES_PER_CALL,
    TRACKS_PER_CALL,
    Answer,
    Client,
    open_client,
    utc_now,
)
from songswap.transform import metadata as transform
from songswap.warehouse import metadata, run
from songswap.warehouse.connection import connect

log = logging.getLogger(__name__)

KINDS = ("track", "artist", "features")

CALLS_AT_ONCE = 8

# An id that was not answered is not unknown; one that is refused alone is not worth an hourly call.
_UNANSWERED_FOR = timedelta(hours=6)
_FORBIDDEN_FOR = timedelta(days=1)
_REFUSED_FOR = timedelta(days=30)


class _Call(NamedTuple):
    """How one kind is asked for and read."""

    ids: int
    ask: Callable[[Client, Collection[str]], Awaitable[Answer]]
    read: Callable[[Answer, Collection[str]], Metadata]


_CALLS = {
    "track": _Call(
        TRACKS_PER_CALL,
        Client.tracks,
        lambda answer, ids: transform.tracks(answer.body, ids, answer.observed_at),
    ),
    "artist": _Call(
        ARTISTS_PER_CALL,
        Client.artists,
        lambda answer, ids: transform.artists(answer.body, ids, answer.observed_at),
    ),
    "features": _Call(
        FEATURES_PER_CALL,
        Client.audio_features,
        lambda answer, ids: transform.features(answer.body, ids),
    ),
}


def enrich(
    settings: Settings, run_id: str, kind: str, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Ask for all that is wanted of a kind, and load it.

    Args:
        kind: one of `KINDS`.

    Returns:
        Counts: ``<kind>_asked``, ``_told``, ``_unknown`` and ``_postponed``, calls.

    Raises:
        SpotifyUnavailable, RateLimited, CredentialsRefused, WarehouseUnavailable: what is wanted
            stays so and is asked for by the next run.
    """
    return uvloop.run(_enrich(settings, run_id, kind, clock))


async def _enrich(
    settings: Settings, run_id: str, kind: str, clock: Callable[[], datetime]
) -> dict[str, int]:
    call = _CALLS[kind]
    counts: Counter[str] = Counter()
    problem: str | None = "it broke off, its task log says why"
    with connect(settings.warehouse_dsn) as connection:
        async with open_client(settings.spotify, clock) as client:
            try:
                while ids := metadata.wanted(connection, kind, call.ids * CALLS_AT_ONCE, clock()):
                    counts[f"{kind}_asked"] += len(ids)
                    parts = [
                        ids[start : start + call.ids] for start in range(0, len(ids), call.ids)
                    ]
                    await side_by_side(
                        _ask(connection, client, kind, part, counts, clock) for part in parts
                    )
                    log.info("Asked for %d ids (%s) so far.", counts[f"{kind}_asked"], kind)
                problem = None
            except SpotifyError as error:
                problem = str(error)
                raise
            finally:
                counts += call_counts(client)
                step = f"enrich {kind}"
                run.end_step(connection, run_id, step, 0, counts, clock(), problem)
    return dict(counts)


async def _ask(
    connection: psycopg.Connection,
    client: Client,
    kind: str,
    ids: list[str],
    counts: Counter[str],
    clock: Callable[[], datetime],
) -> None:
    """Ask for some ids and load the answer; one id that breaks the call costs only itself."""
    call = _CALLS[kind]
    try:
        answer = await call.ask(client, ids)
    except Forbidden:
        log.warning(
            "Spotify does not give this app %s in batches (403): asked again in a day.", kind
        )
        metadata.postpone(connection, kind, ids, clock() + _FORBIDDEN_FOR)
        counts[f"{kind}_postponed"] += len(ids)
    except RequestRefused:
        if len(ids) == 1:
            metadata.postpone(connection, kind, ids, clock() + _REFUSED_FOR)
            counts[f"{kind}_postponed"] += 1
            return
        middle = len(ids) // 2
        await _ask(connection, client, kind, ids[:middle], counts, clock)
        await _ask(connection, client, kind, ids[middle:], counts, clock)
    else:
        told = call.read(answer, ids)
        metadata.load(connection, kind, ids, told, answer.observed_at, _UNANSWERED_FOR)
        counts[f"{kind}_told"] += len(told.told)
        counts[f"{kind}_unknown"] += len(told.unknown)
        counts[f"{kind}_postponed"] += len(ids) - len(told.told) - len(told.unknown)
        counts["features"] += len(told.features)
