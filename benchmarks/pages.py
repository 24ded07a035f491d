"""The data of the benchmarks: what Spotify answers for listeners of a large world, seeded.

200,000 tracks of 40,000 artists, played with a Zipf-like popularity; answers are in the API's true
shape, with ``available_markets``.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import NamedTuple

from benchmarks.size import size
from songswap.dev.simulator.gzip_join import joined, stored
from songswap.dev.simulator.play import SimulatedPlay
from songswap.dev.simulator.world import AnyListener, SimulatedWorld
from songswap.storage.records import pack

SEED = 5
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
FULL = 50
LISTENERS = size(20_000, 100)
"""The world has ten tracks for each of them, and a fifth as many artists as tracks."""
LIVED = timedelta(days=60)
_SETTLED = timedelta(days=10)
"""After so long most have played 50 tracks."""
_HOUR = timedelta(hours=1)


class Page(NamedTuple):
    """An answer with 50 plays, as it is and as a gzip file; ``user_id`` counts from 1.

    The simulator joins its gzip files of parts, which makes them large; ``packed`` ones are as
    small as a server's that packs whole answers.
    """

    user_id: int
    body: bytes
    gzipped: bytes


@cache
def world() -> SimulatedWorld:
    """Everybody and everything."""
    return SimulatedWorld(SEED, LISTENERS, _ms(NOW - LIVED))


def pages(users: int, at: datetime = NOW, *, packed: bool = False) -> list[Page]:
    """The answers of as many listeners who have played 50 tracks or more by ``at``."""
    found: list[Page] = []
    for listener in world().listeners.values():
        newest = listener.newest(_ms(at))
        if len(newest) < FULL:
            continue
        body, gzipped = _answer(listener, newest[:FULL])
        found.append(Page(len(found) + 1, body, gzip.compress(body) if packed else gzipped))
        if len(found) == users:
            return found
    raise ValueError(f"only {len(found)} of {users} listeners have played so much")


def hourly(users: range, objects: int) -> Iterator[tuple[datetime, Page]]:
    """Answers as the archive holds them, packed: only where they tell something new of a user.

    Hour after hour of the listeners with these ids, from 1 on, until there are so many answers.
    """
    listeners = list(islice(world().listeners.values(), users.start - 1, users.stop - 1))
    told: dict[int, SimulatedPlay] = {}
    given = 0
    for hour in range((LIVED - _SETTLED) // _HOUR):
        at = NOW - LIVED + _SETTLED + hour * _HOUR
        for user_id, listener in enumerate(listeners, users.start):
            newest = listener.newest(_ms(at))
            if not newest or told.get(user_id) == newest[0]:
                continue
            told[user_id] = newest[0]
            body, _ = _answer(listener, newest[:FULL])
            yield at, Page(user_id, body, pack(body))
            given += 1
            if given == objects:
                return
    raise ValueError(f"{len(users)} listeners have no {objects} answers in {LIVED.days} days")


def _answer(listener: AnyListener, newest: Sequence[SimulatedPlay]) -> tuple[bytes, bytes]:
    """The page that tells of these plays: as it is, and as the simulator's gzip file."""
    cursors = {"after": str(newest[0].played_at), "before": str(newest[-1].played_at)}
    href = "https://api.spotify.com/v1/me/player/recently-played"
    rest = {"next": f"{href}?before={cursors['before']}", "cursors": cursors}
    tail = json.dumps({**rest, "limit": FULL, "href": f"{href}?limit={FULL}"}).encode()
    items = world().items(listener, newest, "extended")
    return joined([stored(b'{"items":['), *items, stored(b"]," + tail[1:])])


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
