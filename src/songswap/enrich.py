"""Ask Spotify about the tracks and artists that came by and are unknown or stale.

    songswap.metadata (wanted) ──▶ /tracks 50, /artists 50, /audio-features 100 ──▶ the tables

What is wanted stays wanted until it is answered, so this can be stopped at any point.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
import uvloop

from songswap.errors import Forbidden, RequestRefused, SongSwapError
from songswap.fetch import call_counts
from songswap.models import Metadata
from songswap.settings import Settings
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
        LoadIncomplete: rows were not there after their load; as above.
    """
    return uvloop.run(_enrich(settings, run_id, kind, clock))


async def _enrich(
    settings: Settings, run_id: str, kind: str, clock: Callable[[], datetime]
) -> dict[str, int]:
    counts: Counter[str] = Counter()
    problem: str | None = "it broke off, its task log says why"
    with connect(settings.warehouse_dsn) as connection:
        async with open_client(settings.spotify, clock) as client:
            asking = Asking(connection, client, kind, counts, clock)
            limit = asking.ids_per_call * CALLS_AT_ONCE
            try:
                while ids := metadata.wanted(connection, kind, limit, clock()):
                    await asking.ask(ids)
                    log.info("Asked for %d ids (%s) so far.", counts[f"{kind}_asked"], kind)
                problem = None
            except SongSwapError as error:
                problem = str(error)
                raise
            finally:
                counts += call_counts(client)
                step = f"enrich {kind}"
                run.end_step(connection, run_id, step, 0, counts, clock(), problem)
    return dict(counts)


@dataclass(frozen=True, slots=True)
class Asking:
    """What ids of one kind are asked for and loaded with, and the counts of what came of it."""

    connection: psycopg.Connection
    client: Client
    kind: str
    counts: Counter[str]
    clock: Callable[[], datetime]

    @property
    def ids_per_call(self) -> int:
        """How many ids one call asks for at most."""
        return _CALLS[self.kind].ids

    async def ask(self, ids: Sequence[str]) -> None:
        """Ask for ids, in as many calls side by side as they need, and load each answer.

        Each id is answered or postponed then: it is not asked for again at once.

        Raises:
            SpotifyError, LoadIncomplete: ids that had no answer, or whose answer was not loaded,
                are as they were.
        """
        self.counts[f"{self.kind}_asked"] += len(ids)
        size = self.ids_per_call
        parts = [ids[start : start + size] for start in range(0, len(ids), size)]
        # When one fails, the others go on to their end: what was answered is not asked for twice.
        ends = await asyncio.gather(*map(self._call, parts), return_exceptions=True)
        for error in filter(None, ends):
            raise error

    async def _call(self, ids: Sequence[str]) -> None:
        """Ask once and load the answer; one id that breaks the call costs only itself."""
        try:
            answer = await _CALLS[self.kind].ask(self.client, ids)
        except Forbidden:
            log.warning(
                "Spotify does not give this app %s in batches (403): asked again in a day.",
                self.kind,
            )
            self._postpone(ids, _FORBIDDEN_FOR)
        except RequestRefused:
            if len(ids) == 1:
                self._postpone(ids, _REFUSED_FOR)
                return
            middle = len(ids) // 2
            await self._call(ids[:middle])
            await self._call(ids[middle:])
        else:
            self._load(answer, ids)

    def _load(self, answer: Answer, ids: Sequence[str]) -> None:
        told = _CALLS[self.kind].read(answer, ids)
        metadata.load(self.connection, self.kind, ids, told, answer.observed_at, _UNANSWERED_FOR)
        unanswered = len(ids) - len(told.told) - len(told.unknown)
        self.counts[f"{self.kind}_told"] += len(told.told)
        self.counts[f"{self.kind}_unknown"] += len(told.unknown)
        self.counts[f"{self.kind}_postponed"] += unanswered
        self.counts["features"] += len(told.features)

    def _postpone(self, ids: Sequence[str], pause: timedelta) -> None:
        metadata.postpone(self.connection, self.kind, ids, self.clock() + pause)
        self.counts[f"{self.kind}_postponed"] += len(ids)
