"""Ask Spotify about the tracks and artists that came by and are unknown or stale.

    songswap.enrichment_queue (wanted) ──▶ calls side by side, see `endpoints` ──▶ the tables

What is wanted stays wanted until it is answered, so this can be stopped at any point.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

import psycopg

from songswap.clock import utc_now
from songswap.errors import Forbidden, QuotaReserved, RateLimited, RequestRefused, SongSwapError
from songswap.parallel import event_loop
from songswap.pipelines.endpoints import ENDPOINTS, SPOTIFY, Clients, Endpoint, open_clients
from songswap.pipelines.fetch import call_counts
from songswap.pipelines.load import REFUSED, reason
from songswap.settings import Settings
from songswap.spotify.client import Response
from songswap.warehouse import enrichment, runs
from songswap.warehouse.connection import connect
from songswap.warehouse.contract import METADATA
from songswap.warehouse.deviations import require_fit
from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.limits import blocked_endpoints, pauses
from songswap.warehouse.limits.budgets import Priority

log = logging.getLogger(__name__)

KINDS = ("track", "artist", "features")

_CALLS_IN_TURN = 8
"""How many calls follow each other at each of the places side by side, without a wait for all."""

CALLS_AT_ONCE = {Priority.ENRICHMENT: 8, Priority.BACKFILL: 4}

# An id that is refused alone is not worth an hourly call.
_FORBIDDEN_FOR = timedelta(days=1)
_REFUSED_FOR = timedelta(days=30)

_TOO_MANY_REFUSED = 20
"""Ids whose rows are refused one after the other: the trouble is not theirs."""


def enrich(
    settings: Settings, run_id: str, kind: str, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Ask for all that is wanted of a kind, and load it.

    Args:
        kind: one of `KINDS`.

    Returns:
        Counts: ``<kind>_requested``, ``_received``, ``_unknown``, ``_postponed`` and, of these,
        ``_not_loaded`` (PostgreSQL refused the rows), calls; and ``_held_back``: 1 when the rest
        waits because the day's quota is kept for plays.

    Raises:
        SpotifyUnavailable, ReccoBeatsUnavailable, RateLimited, InvalidClient,
            WarehouseUnavailable: what is wanted stays so and is asked for by the next run.
        WarehouseRefused, LoadIncomplete: PostgreSQL refuses what is told, not of one id alone; as
            above.
        RunFailed: the run was never planned.
    """
    return event_loop.run_cancellable(_enrich(settings, run_id, kind, clock))


async def _enrich(
    settings: Settings, run_id: str, kind: str, clock: Callable[[], datetime]
) -> dict[str, int]:
    counts: Counter[str] = Counter()
    problem: str | SongSwapError | None = "it broke off, its task log says why"
    with connect(settings.warehouse_dsn) as connection:
        runs.require_plan(connection, run_id)
        try:
            with translate_errors():
                require_fit(connection, METADATA)
                await _ask_for_all(settings, connection, kind, counts, clock)
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
                runs.end_step(connection, run_id, f"enrich {kind}", 0, counts, clock(), problem)
    return dict(counts)


async def _ask_for_all(
    settings: Settings,
    connection: psycopg.Connection,
    kind: str,
    counts: Counter[str],
    clock: Callable[[], datetime],
) -> None:
    async with open_fetcher(
        settings, connection, kind, Priority.ENRICHMENT, counts, clock
    ) as fetcher:
        at_once = fetcher.ids_at_once * _CALLS_IN_TURN
        while ids := enrichment.queued_ids(connection, kind, at_once, fetcher.clock()):
            await fetcher.fetch(ids)
            log.info("Asked for %d ids (%s) so far.", counts[f"{kind}_requested"], kind)
        # Also where nothing was left to be asked for when it was found.
        if fetcher.clients.spotify.watch.wrong:
            raise fetcher.clients.spotify.watch.wrong


def not_loaded(kind: str, counts: Mapping[str, int]) -> str | None:
    """What of the answers is not in the tables, in a sentence; None where all is."""
    number = counts.get(f"{kind}_not_loaded", 0)
    if not number:
        return None
    return (
        f"PostgreSQL refused the rows of {number} ids; the log of the step names them. They are"
        " asked for again in a day; all others are loaded"
    )


@dataclass(frozen=True, slots=True)
class MetadataFetcher:
    """What ids of one kind are asked for and loaded with, and the counts of what came of it.

    ``tried`` are the ways that were taken already, ``refused`` the ids whose rows PostgreSQL
    refused one after the other.
    """

    connection: psycopg.Connection
    clients: Clients
    kind: str
    calls_at_once: int
    counts: Counter[str]
    clock: Callable[[], datetime]
    tried: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    @property
    def ids_at_once(self) -> int:
        """How many ids are worth being asked for together."""
        return ENDPOINTS[self.kind][0].ids * self.calls_at_once

    async def fetch(self, ids: Sequence[str]) -> None:
        """Ask for ids, in as many calls as they need, some side by side, and load each answer.

        Each id is answered or postponed then: it is not asked for again at once.

        Raises:
            SongSwapError: ids that had no answer, or whose answer was not loaded, are as they were.
        """
        left = list(ids)
        while left:
            endpoint = self._endpoint()
            # The first call goes alone: if Spotify refuses a way, it is asked for it once.
            number = len(left) if endpoint.name in self.tried else endpoint.ids
            left = await self._call_concurrently(endpoint, left[:number]) + left[number:]
            self.tried.add(endpoint.name)

    async def _call_concurrently(self, endpoint: Endpoint, ids: list[str]) -> list[str]:
        """Ask for ids, some calls at once, and return those to be asked for in another way."""
        parts = iter(
            [ids[start : start + endpoint.ids] for start in range(0, len(ids), endpoint.ids)]
        )
        left: list[str] = []

        async def ask_in_turn() -> None:
            for part in parts:
                try:
                    refused = await self._call(endpoint, part)
                except BaseException:
                    deque(parts, maxlen=0)  # nobody begins another
                    raise
                if refused:
                    left.extend(chain(refused, *parts))

        app = self.clients.spotify.app
        with pauses.respecting_pause(
            self.connection, app if endpoint.source == SPOTIFY else endpoint.source, self.clock
        ):
            # When one fails, the others go on to their end: what was answered is not asked twice.
            askers = (ask_in_turn() for _ in range(self.calls_at_once))
            ends = await asyncio.gather(*askers, return_exceptions=True)
            errors = [end for end in ends if end is not None]
            if errors:
                # A pause is everybody's: of several errors it is the one to be known.
                raise next((one for one in errors if isinstance(one, RateLimited)), errors[0])
        return left

    def _endpoint(self) -> Endpoint:
        first, second = ENDPOINTS[self.kind]
        app, now = self.clients.spotify.app, self.clock()
        return (
            second if blocked_endpoints.is_blocked(self.connection, app, first.name, now) else first
        )

    async def _call(self, endpoint: Endpoint, ids: list[str]) -> list[str]:
        """Ask once and load the answer; one id that breaks the call costs only itself.

        Returns the ids if they have to be asked for in another way.
        """
        try:
            answer = await endpoint.ask(self.clients, ids)
        except Forbidden:
            if endpoint is ENDPOINTS[self.kind][0]:
                self._refused(endpoint)
                return ids
            self._postpone(ids, _FORBIDDEN_FOR)
        except RequestRefused:
            if len(ids) == 1:
                self._postpone(ids, _REFUSED_FOR)
                return []
            middle = len(ids) // 2
            return await self._call(endpoint, ids[:middle]) + await self._call(
                endpoint, ids[middle:]
            )
        else:
            self._load(endpoint, answer, ids)
        return []

    def _refused(self, endpoint: Endpoint) -> None:
        app = self.clients.spotify.app
        again = blocked_endpoints.block(self.connection, app, endpoint.name, self.clock())
        log.warning(
            "Spotify does not give %s to this app (403): asked for otherwise until %s UTC.",
            endpoint.name,
            f"{again:%Y-%m-%d %H:%M:%S}",
        )

    def _load(self, endpoint: Endpoint, answer: Response, ids: Sequence[str]) -> None:
        """Load an answer; an id whose rows PostgreSQL refuses costs only itself.

        Raises:
            WarehouseRefused, LoadIncomplete: so many were refused one after the other that the
                trouble is not theirs.
        """
        told = endpoint.read(answer, ids)
        not_loaded: set[str] = set()
        for part, refused in self._loaded(endpoint, answer, ids, told.unknown):
            if refused is None:
                self.refused.clear()
                continue
            self.refused.extend(part)
            if len(self.refused) >= _TOO_MANY_REFUSED:
                raise refused
            log.warning(
                "%s of %s %s, which is asked for again in a day.", reason(refused), self.kind, *part
            )
            enrichment.postpone(self.connection, self.kind, part, self.clock() + _FORBIDDEN_FOR)
            not_loaded.update(part)
        told_of, unknown = told.received - not_loaded, told.unknown - not_loaded
        self.counts[f"{self.kind}_requested"] += len(ids)
        self.counts[f"{self.kind}_received"] += len(told_of)
        self.counts[f"{self.kind}_unknown"] += len(unknown)
        self.counts[f"{self.kind}_postponed"] += len(ids) - len(told_of) - len(unknown)
        self.counts[f"{self.kind}_not_loaded"] += len(not_loaded)
        self.counts["features"] += sum(row.id in told_of for row in told.features)

    def _loaded(
        self, endpoint: Endpoint, answer: Response, ids: Sequence[str], unknown: Collection[str]
    ) -> Iterator[tuple[Sequence[str], Exception | None]]:
        """Load an answer, in halves where it is refused; gives the parts, and why not loaded."""
        told = endpoint.read(answer, ids)
        # Of a part the answer's nulls do not tell whose they are.
        told.unknown = set(unknown).intersection(ids)
        after = endpoint.ask_again_after
        try:
            enrichment.load(
                self.connection, self.kind, ids, told, answer.observed_at, after, endpoint.source
            )
        except REFUSED as error:
            if len(ids) == 1:
                yield ids, error
                return
        else:
            yield ids, None
            return
        middle = len(ids) // 2
        yield from self._loaded(endpoint, answer, ids[:middle], unknown)
        yield from self._loaded(endpoint, answer, ids[middle:], unknown)

    def _postpone(self, ids: Sequence[str], wait: timedelta) -> None:
        enrichment.postpone(self.connection, self.kind, ids, self.clock() + wait)
        self.counts[f"{self.kind}_requested"] += len(ids)
        self.counts[f"{self.kind}_postponed"] += len(ids)


@asynccontextmanager
async def open_fetcher(
    settings: Settings,
    connection: psycopg.Connection,
    kind: str,
    priority: Priority,
    counts: Counter[str],
    clock: Callable[[], datetime],
) -> AsyncIterator[MetadataFetcher]:
    """Yield a `MetadataFetcher` with its own clients; adds their calls to ``counts`` at the end."""
    async with open_clients(settings, priority, clock) as clients:
        try:
            now = clients.spotify.watch.now
            yield MetadataFetcher(connection, clients, kind, CALLS_AT_ONCE[priority], counts, now)
        finally:
            counts += call_counts(clients.spotify)
            others = clients.reccobeats.calls
            counts += Counter({f"calls {outcome}": number for outcome, number in others.items()})
