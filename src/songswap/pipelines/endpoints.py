"""The ways to ask for each kind of metadata: in batches, or as an app may that is refused these.

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
from songswap.transform import metadata as transform
from songswap.warehouse.limits.budgets import Priority, open_budget

SPOTIFY = "spotify"
RECCOBEATS = "reccobeats"


class Clients(NamedTuple):
    """Those who can be asked."""

    spotify: Client
    reccobeats: ReccoBeats


@asynccontextmanager
async def open_clients(
    read: Settings, priority: Priority, clock: Callable[[], datetime]
) -> AsyncIterator[Clients]:
    """The clients with sessions of their own, closed at the end; ``rank`` is how urgent it is."""
    where = read.spotify
    async with (
        open_budget(read, priority, clock) as budget,
        open_client(where, clock, budget) as spotify,
        open_reccobeats(where, clock) as other,
    ):
        yield Clients(spotify, other)


class Endpoint(NamedTuple):
    """A way to ask for a kind.

    Args:
        name: its name in ``songswap.blocked_endpoints``.
        ids: how many one call takes.
        ask: asks for so many ids.
        read: reads the answer about these ids.
        source: who is asked.
        ask_again_after: when to ask again for ids that were not answered.
    """

    name: str
    ids: int
    ask: Callable[[Clients, Sequence[str]], Awaitable[Response]]
    read: Callable[[Response, Collection[str]], Metadata]
    source: str = SPOTIFY
    # An id that was not answered is not unknown.
    ask_again_after: timedelta = timedelta(hours=6)


def _tracks(answer: Response, ids: Collection[str]) -> Metadata:
    return transform.tracks(answer.body, ids, answer.observed_at)


def _artists(answer: Response, ids: Collection[str]) -> Metadata:
    return transform.artists(answer.body, ids, answer.observed_at)


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
            lambda answer, ids: transform.features(answer.body, ids),
        ),
        Endpoint(
            "reccobeats",
            reccobeats.FEATURES_PER_CALL,
            lambda to, ids: to.reccobeats.audio_features(ids),
            lambda answer, ids: transform.reccobeats_features(answer.body, ids),
            RECCOBEATS,
            timedelta(days=30),
        ),
    ),
}
"""By kind: the way that is tried first, and the way that is left where that is refused (403)."""
