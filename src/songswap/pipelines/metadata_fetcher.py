"""Look up ids at the endpoints of their kind, some calls at once, and load each response."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

import psycopg

from songswap.errors import Forbidden, RateLimited, RequestRefused
from songswap.pipelines import run_counts
from songswap.pipelines.bisection import Bisection
from songswap.pipelines.endpoints import ENDPOINTS, SPOTIFY, Clients, Endpoint, open_clients
from songswap.pipelines.load import REFUSED, reason
from songswap.settings import Settings
from songswap.spotify.client import Response
from songswap.warehouse import enrichment, enrichment_queue
from songswap.warehouse.limits import blocked_endpoints, pauses
from songswap.warehouse.limits.budgets import Priority

log = logging.getLogger(__name__)

CALLS_AT_ONCE = {Priority.ENRICHMENT: 8, Priority.BACKFILL: 4}

# An id that is refused alone is not worth an hourly call.
_FORBIDDEN_FOR = timedelta(days=1)
_REFUSED_FOR = timedelta(days=30)

_MOST_REFUSED = 20
"""Ids in a row whose rows are refused, from which on it is not the ids' fault."""


@dataclass(frozen=True, slots=True)
class MetadataFetcher:
    """Looks up ids of one kind and loads the responses.

    Attributes:
        counts: what came of the ids, see `songswap.pipelines.enrich.enrich`.
        tried: names of the endpoints that were called.
        refused: ids in a row whose rows PostgreSQL refused.
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
        """How many ids make one call for each concurrent worker."""
        return self._primary.ids * self.calls_at_once

    async def fetch(self, ids: Sequence[str]) -> None:
        """Look up ids, in as many calls as they need, some at once, and load each response.

        Each id is done or postponed then: it is not looked up again at once.

        Raises:
            SongSwapError: ids without a response, or whose response was not loaded, are as they
                were.
        """
        left = list(ids)
        while left:
            endpoint = self._endpoint()
            # The first call goes alone: an endpoint that Spotify forbids is called once.
            number = len(left) if endpoint.name in self.tried else endpoint.ids
            left = await self._call_concurrently(endpoint, left[:number]) + left[number:]
            self.tried.add(endpoint.name)

    @property
    def _primary(self) -> Endpoint:
        return ENDPOINTS[self.kind][0]

    def _endpoint(self) -> Endpoint:
        """The primary endpoint, or the fallback while Spotify forbids it."""
        primary, fallback = ENDPOINTS[self.kind]
        app, now = self.clients.spotify.app, self.clock()
        blocked = blocked_endpoints.is_blocked(self.connection, app, primary.name, now)
        return fallback if blocked else primary

    async def _call_concurrently(self, endpoint: Endpoint, ids: list[str]) -> list[str]:
        """Look up ids, some calls at once, and return those to look up at the fallback."""
        starts = range(0, len(ids), endpoint.ids)
        parts = iter([ids[start : start + endpoint.ids] for start in starts])
        left: list[str] = []
        is_spotify = endpoint.source == SPOTIFY
        app = self.clients.spotify.app if is_spotify else endpoint.source
        own = endpoint.name if is_spotify else ""
        with pauses.respecting_pause(self.connection, app, self.clock, own):
            workers = (self._call_each(endpoint, parts, left) for _ in range(self.calls_at_once))
            # When one fails, the others finish their calls: no response is requested twice.
            results = await asyncio.gather(*workers, return_exceptions=True)
            errors = [error for error in results if error is not None]
            if errors:
                # A pause holds for all: of several errors it has to be the one that is noted.
                raise next((error for error in errors if isinstance(error, RateLimited)), errors[0])
        return left

    async def _call_each(
        self, endpoint: Endpoint, parts: Iterator[list[str]], left: list[str]
    ) -> None:
        """Look up one part after the other; adds to ``left`` those for the fallback."""
        for part in parts:
            try:
                forbidden = await self._call(endpoint, part)
            except BaseException:
                deque(parts, maxlen=0)  # no worker begins another
                raise
            if forbidden:
                left.extend(chain(forbidden, *parts))

    async def _call(self, endpoint: Endpoint, ids: list[str]) -> list[str]:
        """Look up ids and load the response; an id that breaks the call costs only itself.

        Returns the ids to look up at the fallback.
        """
        forbidden: list[str] = []
        parts = Bisection(ids)
        for part in parts:
            try:
                response = await endpoint.request(self.clients, part)
            except Forbidden:
                if endpoint is self._primary:
                    self._block(endpoint)
                    forbidden.extend(part)
                else:
                    self._postpone(part, _FORBIDDEN_FOR)
            except RequestRefused:
                if not parts.halve(part):
                    self._postpone(part, _REFUSED_FOR)
            else:
                self._load(endpoint, response, part)
        return forbidden

    def _block(self, endpoint: Endpoint) -> None:
        app = self.clients.spotify.app
        until = blocked_endpoints.block(self.connection, app, endpoint.name, self.clock())
        log.warning(
            "Spotify forbids %s to this app (403): the fallback is used until %s UTC.",
            endpoint.name,
            f"{until:%Y-%m-%d %H:%M:%S}",
        )

    def _load(self, endpoint: Endpoint, response: Response, ids: Sequence[str]) -> None:
        """Load a response; an id whose rows PostgreSQL refuses costs only itself.

        Raises:
            WarehouseRefused, LoadIncomplete: so many were refused in a row that it is not the ids'
                fault.
        """
        metadata = endpoint.parse(response, ids)
        not_loaded: set[str] = set()
        parts = Bisection(ids)
        for part in parts:
            rows = endpoint.parse(response, part)
            # The nulls of a response do not say which ids of a part they are for.
            rows.unknown = metadata.unknown.intersection(part)
            try:
                enrichment.load(
                    self.connection,
                    self.kind,
                    part,
                    rows,
                    response.observed_at,
                    endpoint.retry_after,
                    endpoint.source,
                )
            except REFUSED as error:
                if not parts.halve(part):
                    self._skip(part[0], error)
                    not_loaded.add(part[0])
            else:
                self.refused.clear()
        received, unknown = metadata.received - not_loaded, metadata.unknown - not_loaded
        self.counts[f"{self.kind}_requested"] += len(ids)
        self.counts[f"{self.kind}_received"] += len(received)
        self.counts[f"{self.kind}_unknown"] += len(unknown)
        self.counts[f"{self.kind}_postponed"] += len(ids) - len(received) - len(unknown)
        self.counts[f"{self.kind}_not_loaded"] += len(not_loaded)
        self.counts["features"] += sum(row.id in received for row in metadata.features)

    def _skip(self, refused_id: str, error: Exception) -> None:
        """Postpone an id whose rows are refused, or raise the error of too many in a row."""
        self.refused.append(refused_id)
        if len(self.refused) >= _MOST_REFUSED:
            raise error
        log.warning(
            "%s of %s %s, which is looked up again in a day.", reason(error), self.kind, refused_id
        )
        until = self.clock() + _FORBIDDEN_FOR
        enrichment_queue.postpone(self.connection, self.kind, [refused_id], until)

    def _postpone(self, ids: Sequence[str], wait: timedelta) -> None:
        enrichment_queue.postpone(self.connection, self.kind, ids, self.clock() + wait)
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
            counts += run_counts.of_calls(clients.spotify.calls, clients.reccobeats.calls)
