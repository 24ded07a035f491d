"""The client of ReccoBeats, a public service of audio features by Spotify's ids.

It has an HTTP client of its own: a pause that ReccoBeats asks for is never one of Spotify's.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp

from songswap import settings
from songswap.clock import utc_now
from songswap.spotify.client import Response
from songswap.spotify.http import HttpClient, open_session, whole
from songswap.spotify.refusals import RECCOBEATS

FEATURES_PER_CALL = 40


class ReccoBeats:
    """The client; ``calls`` counts every request sent, by outcome.

    Args:
        session: the open HTTP session.
        where: its address, and how patient to be.
        clock: gives the time of a response (aware, UTC).
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        where: settings.Spotify,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self._http = HttpClient(session, RECCOBEATS, where, clock, self.calls)
        self._url = f"{where.reccobeats_url}/v1/audio-features"
        self._clock = clock

    async def audio_features(self, ids: Collection[str]) -> Response:
        """Request the features of up to 40 tracks; it returns those it knows, in its own order.

        Raises:
            RateLimited: it asked for a long pause.
            ReccoBeatsUnavailable: no usable response after several tries.
            Forbidden, RequestRefused: it refused the client, or the request.
        """
        query = {"ids": ",".join(ids)}
        body = await self._http.send("reccobeats", "GET", self._url, whole, params=query)
        return Response(body, self._clock())


@asynccontextmanager
async def open_reccobeats(
    where: settings.Spotify, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[ReccoBeats]:
    """Yield a client with a session of its own, closed at the end."""
    async with open_session(where) as session:
        yield ReccoBeats(session, where, clock)
