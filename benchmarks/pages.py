"""The data of the benchmarks: what Spotify answers for listeners of a large world, seeded.

200,000 tracks of 40,000 artists, played with a Zipf-like popularity; answers are in the API's true
shape, with ``available_markets``.
"""

import gzip
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from songswap.simulator.gzip_join import joined, stored
from songswap.simulator.world import World

SEED = 5
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
FULL = 50
LISTENERS = 20_000
"""The world has ten tracks for each of them, and a fifth as many artists as tracks."""
LIVED = timedelta(days=60)


class Page(NamedTuple):
    """An answer with 50 plays, as it is and as a gzip file; ``user_id`` counts from 1.

    The simulator joins its gzip files of parts, which makes them large; ``packed`` ones are as
    small as a server's that packs whole answers.
    """

    user_id: int
    body: bytes
    gzipped: bytes


@cache
def world() -> World:
    """Everybody and everything."""
    return World(SEED, LISTENERS, _ms(NOW - LIVED))


def pages(users: int, at: datetime = NOW, *, packed: bool = False) -> list[Page]:
    """The answers of as many listeners who have played 50 tracks or more by ``at``."""
    found: list[Page] = []
    for listener in world().listeners.values():
        newest = listener.newest(_ms(at))
        if len(newest) < FULL:
            continue
        newest = newest[:FULL]
        cursors = {"after": str(newest[0].played_at), "before": str(newest[-1].played_at)}
        href = "https://api.spotify.com/v1/me/player/recently-played"
        rest = {"next": f"{href}?before={cursors['before']}", "cursors": cursors}
        tail = json.dumps({**rest, "limit": FULL, "href": f"{href}?limit={FULL}"}).encode()
        items = world().items(listener, newest, "extended")
        body, gzipped = joined([stored(b'{"items":['), *items, stored(b"]," + tail[1:])])
        found.append(Page(len(found) + 1, body, gzip.compress(body) if packed else gzipped))
        if len(found) == users:
            return found
    raise ValueError(f"only {len(found)} of {users} listeners have played so much")


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
