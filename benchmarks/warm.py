"""A warm hour: all tracks and artists are known, and some users have new plays.

    Spotify ──▶ spool ──▶ S3
                  └─────▶ PostgreSQL

The CPU time of a whole batch, in the process that does it, against bare GETs of the same responses.
The hours follow each other as the listeners lived them.
"""

import gc
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import psycopg
import uvloop

from benchmarks import canned
from benchmarks.canned import Seconds
from benchmarks.measurement import Measurement, OnProgress, cost, value
from benchmarks.pages import NOW, Page, with_new_plays, world
from benchmarks.polled import Platform, measured
from benchmarks.size import size
from songswap.models import Catalogue
from songswap.pipelines import hourly_load
from songswap.pipelines.batch import run_batch
from songswap.transform import recent_plays
from songswap.warehouse import catalogue
from songswap.warehouse.catalogue import Times
from songswap.warehouse.connection import connect

_USERS = size(500, 10)
_HOURS = size(5, 1)
_FIRST = NOW - timedelta(hours=_HOURS + 1)
"""The hour before the measured ones, on the same day: its plays are loaded beforehand."""
_MINUTE = timedelta(minutes=1)


class _Hour(NamedTuple):
    """What an hour cost per user: ours, a bare GET, and PostgreSQL; and how many had new plays."""

    ours: Seconds
    bare: Seconds
    server_cpu: float
    with_new_plays: int


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare the hours with bare GETs of the same bodies."""
    on_progress(f"making pages of {_USERS} users, then {_HOURS} hours")
    hours = measured(folder, _USERS, _bodies, _measure)
    yield cost(
        "a warm hour, CPU per user, against a bare GET",
        1000 * median(hour.ours.cpu for hour in hours),
        1000 * median(hour.bare.cpu for hour in hours),
        "ms",
        at_most=2,
    )
    share = median(hour.with_new_plays for hour in hours) / _USERS
    yield value("share of the users with new plays in it", share, "")
    per_user = 1000 * median(hour.server_cpu for hour in hours)
    yield value("CPU of PostgreSQL per user in it", per_user, "ms")


def _bodies() -> canned.Bodies:
    """Return the responses of each hour; without new plays they are those of the hour before."""
    hours: list[dict[int, bytes]] = [{}]
    for new in _new_pages():
        hours.append(hours[-1] | {page.user_id: page.gzipped for page in new})
    return hours[1:]


def _new_pages() -> Iterator[list[Page]]:
    hours = with_new_plays(range(1, _USERS + 1), _FIRST)
    for _, new in islice(hours, _HOURS + 1):
        yield list(new)


def _measure(platform: Platform) -> list[_Hour]:
    """Load the first hour and all tracks of the others, then measure these."""
    _load_hour(platform, 0)
    dsn = platform.settings.warehouse_dsn
    _load_tracks(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        # As they have long been; autovacuum would do the second.
        connection.execute(
            "UPDATE songswap.enrichment_queue SET queued_at = NULL, known = true, answered_at = %s",
            [_FIRST],
        )
        connection.execute("VACUUM ANALYZE")
    return [_load_hour(platform, hour) for hour in range(1, _HOURS + 1)]


def _load_tracks(dsn: str) -> None:
    """Load the tracks and artists of all hours, as at the beginning of their day."""
    rows, day = Catalogue(), NOW.replace(hour=0)
    for new in _new_pages():
        for page in new:
            recent_plays.transform(page.body, page.user_id, day, rows)
    with connect(dsn) as connection:
        catalogue.load(connection, rows, Times(day, day), Counter())
    # A worker has no world in its memory, for which its garbage collector would look through it.
    world.cache_clear()
    gc.collect()


def _load_hour(platform: Platform, hour: int) -> _Hour:
    pipeline = platform.at(hour)
    run_id, at = f"hour {hour}", _FIRST + timedelta(hours=hour) + _MINUTE
    batch, *_ = hourly_load.plan(pipeline, run_id, lambda: at)
    counts: dict[str, int] = {}
    before = _cpu_of(platform.postmaster)
    ours = Seconds.of(lambda: counts.update(run_batch(pipeline, run_id, batch, lambda: at)), _USERS)
    server_cpu = (_cpu_of(platform.postmaster) - before) / _USERS
    if counts["responses"] + counts.get("unchanged", 0) != _USERS:
        raise RuntimeError(f"Not all users were polled: {counts}")
    get = partial(canned.bare_gets, pipeline.spotify, _USERS)
    bare = Seconds.of(lambda: uvloop.run(get()), _USERS)
    return _Hour(ours, bare, server_cpu, counts["responses"])


def _cpu_of(postmaster: int) -> float:
    """Return the CPU seconds of a PostgreSQL server, with those of its sessions that have ended."""
    server = psutil.Process(postmaster)
    while True:
        try:
            running = [process.cpu_times() for process in (server, *server.children())]
        except psutil.NoSuchProcess:
            continue  # a session has ended meanwhile, and counts among the server's children
        ended = running[0].children_user + running[0].children_system
        return float(ended + sum(times.user + times.system for times in running))
