"""The endpoints for each kind of metadata: in batches, and the fallback where these are forbidden.

track      /tracks 50           403 ──▶ /tracks/ID
artist     /artists 50          403 ──▶ /artists/ID
features   /audio-features 100  403 ──▶ ReccoBeats 40
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from songswap.models import Metadata
from songswap.settings import Settings
from songswap.spotify import reccobeats
from songswap.spotify.client import (
    ARTISTS_PER_CALL,
    FEATURES_PER_CALL,
    TRACKS_PER_CALL,
    Client,
    Response,
    open_client,
)
from songswap.spotify.reccobeats import ReccoBeats, open_reccobeats
from songswap.transform import metadata
from songswap.warehouse.limits.budgets import Priority, open_budget

SPOTIFY = "spotify"
RECCOBEATS = "reccobeats"


class Clients(NamedTuple):
    """A client of each service."""

    spotify: Client
    reccobeats: ReccoBeats


@asynccontextmanager
async def open_clients(
    settings: Settings, priority: Priority, clock: Callable[[], datetime]
) -> AsyncIterator[Clients]:
    """Yield clients with sessions of their own, closed at the end."""
    async with (
        open_budget(settings, priority, clock) as budget,
        open_client(settings.spotify, clock, budget) as spotify,
        open_reccobeats(settings.spotify, clock) as other,
    ):
        yield Clients(spotify, other)


class Endpoint(NamedTuple):
    """An endpoint for a kind of metadata.

    Args:
        name: its name in ``songswap.blocked_endpoints``.
        ids: how many one call takes.
        request: requests so many ids.
        parse: parses the response to a request for these ids.
        source: the service.
        retry_after: when to look up again ids that the response does not mention.
    """

    name: str
    ids: int
    request: Callable[[Clients, Sequence[str]], Awaitable[Response]]
    parse: Callable[[Response, Collection[str]], Metadata]
    source: str = SPOTIFY
    # An id that is not mentioned is not unknown.
    retry_after: timedelta = timedelta(hours=6)


def _tracks(response: Response, ids: Collection[str]) -> Metadata:
    return metadata.tracks(response.body, ids, response.observed_at)


def _artists(response: Response, ids: Collection[str]) -> Metadata:
    return metadata.artists(response.body, ids, response.observed_at)


ENDPOINTS = {
    "track": (
        Endpoint("tracks", TRACKS_PER_CALL, lambda to, ids: to.spotify.tracks(ids), _tracks),
        Endpoint("track", 1, lambda to, ids: to.spotify.track(ids[0]), _tracks),
    ),
    "artist": (
        Endpoint("artists", ARTISTS_PER_CALL, lambda to, ids: to.spotify.artists(ids), _artists),
        Endpoint("artist", 1, lambda to, ids: to.spotify.artist(ids[0]), _artists),
    ),
    "features": (
        Endpoint(
            "audio-features",
            FEATURES_PER_CALL,
            lambda to, ids: to.spotify.audio_features(ids),
            lambda response, ids: metadata.features(response.body, ids),
        ),
        Endpoint(
            "reccobeats",
            reccobeats.FEATURES_PER_CALL,
            lambda to, ids: to.reccobeats.audio_features(ids),
            lambda response, ids: metadata.reccobeats_features(response.body, ids),
            RECCOBEATS,
            timedelta(days=30),
        ),
    ),
}
"""By kind: the primary endpoint, and the fallback where that is forbidden (403)."""
