"""The seeded data of the benchmarks: Spotify's responses for the listeners of a large world.

200,000 tracks of 40,000 artists, played with a Zipf-like popularity; responses have the API's
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
from songswap.dev.simulator.play import SimulatedPlay
from songswap.dev.simulator.world import AnyListener, SimulatedWorld
from songswap.storage.records import pack

SEED = 5
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
FULL = 50
LISTENERS = size(20_000, 100)
"""The world has ten tracks for each of them, and a fifth as many artists as tracks."""
LIVED = timedelta(days=60)
_FULL_AFTER = timedelta(days=10)
"""By then most listeners have played 50 tracks."""
_HOUR = timedelta(hours=1)


class Page(NamedTuple):
    """A response with 50 plays, as it is and, where asked for, as gzip; ids count from 1."""

    user_id: int
    body: bytes
    gzipped: bytes


@cache
def world() -> SimulatedWorld:
    """Return the world with all its listeners."""
    return SimulatedWorld(SEED, LISTENERS, _ms(NOW - LIVED))


def pages(users: int, at: datetime = NOW, *, compress: bool = False) -> list[Page]:
    """Return the responses of so many listeners who have played 50 tracks or more by ``at``.

    With ``compress`` they are there as gzip too.
    """
    found: list[Page] = []
    for listener in world().listeners.values():
        newest = listener.newest(_ms(at))
        if len(newest) < FULL:
            continue
        body = _response(listener, newest[:FULL])
        found.append(Page(len(found) + 1, body, gzip.compress(body) if compress else b""))
        if len(found) == users:
            return found
    raise ValueError(f"only {len(found)} of {users} listeners have played so much")


def hourly(users: range, objects: int) -> Iterator[tuple[datetime, Page]]:
    """Yield responses as the archive holds them, compressed: only those with new plays of a user.

    They come hour after hour from the listeners with these ids, which count from 1.
    """
    yielded = 0
    for at, new in with_new_plays(users, NOW - LIVED + _FULL_AFTER):
        for page in new:
            yield at, page
            yielded += 1
            if yielded == objects:
                return
    raise ValueError(
        f"{len(users)} listeners have fewer than {objects} responses in {LIVED.days} days"
    )


def with_new_plays(users: range, first: datetime) -> Iterator[tuple[datetime, Iterator[Page]]]:
    """Yield, hour after hour, the compressed responses of those users who have new plays.

    In the first hour these are all users who have plays.
    """
    listeners = list(islice(world().listeners.values(), users.start - 1, users.stop - 1))
    last: dict[int, SimulatedPlay] = {}

    def of_hour(at: datetime) -> Iterator[Page]:
        for user_id, listener in enumerate(listeners, users.start):
            newest = listener.newest(_ms(at))
            if newest and last.get(user_id) != newest[0]:
                last[user_id] = newest[0]
                body = _response(listener, newest[:FULL])
                yield Page(user_id, body, pack(body))

    at = first
    while at < NOW:
        yield at, of_hour(at)
        at += _HOUR


def _response(listener: AnyListener, newest: Sequence[SimulatedPlay]) -> bytes:
    """Return the page with these plays."""
    cursors = {"after": str(newest[0].played_at), "before": str(newest[-1].played_at)}
    href = "https://api.spotify.com/v1/me/player/recently-played"
    rest = {"next": f"{href}?before={cursors['before']}", "cursors": cursors}
    tail = json.dumps({**rest, "limit": FULL, "href": f"{href}?limit={FULL}"}).encode()
    items = world().items(listener, newest, "extended")
    return b'{"items":[%b],%b' % (items, tail[1:])


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
