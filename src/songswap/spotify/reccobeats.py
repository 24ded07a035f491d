"""The client of ReccoBeats, which tells audio features to anybody, by Spotify's ids.

It has a caller of its own: a pause that ReccoBeats asks for is never one of Spotify's.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp

from songswap import settings
from songswap.clock import utc_now
from songswap.spotify.client import Response
from songswap.spotify.http import Caller, open_session, whole
from songswap.spotify.refusals import RECCOBEATS

FEATURES_PER_CALL = 40


class ReccoBeats:
    """The client; ``calls`` counts every request sent, by outcome.

    Args:
        session: the open HTTP session.
        where: its address, and how patient to be.
        clock: gives the time of an answer (aware, UTC).
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        where: settings.Spotify,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self._caller = Caller(session, RECCOBEATS, where, clock, self.calls)
        self._url = f"{where.reccobeats_url}/v1/audio-features"
        self._clock = clock

    async def audio_features(self, ids: Collection[str]) -> Response:
        """The features of up to 40 tracks, of those that it knows and in an order of its own.

        Raises:
            RateLimited: it asked for a long pause.
            ReccoBeatsUnavailable: no usable answer after several tries.
            Forbidden, RequestRefused: it refused the caller, or the request.
        """
        query = {"ids": ",".join(ids)}
        body = await self._caller.send("reccobeats", "GET", self._url, whole, params=query)
        return Response(body, self._clock())


@asynccontextmanager
async def open_reccobeats(
    where: settings.Spotify, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[ReccoBeats]:
    """A client with a session of its own, closed at the end."""
    async with open_session(where) as session:
        yield ReccoBeats(session, where, clock)
