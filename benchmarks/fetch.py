"""Polling Spotify: many users at once over TLS, 80 ms away, in a process of its own.

The responses are prepared, so that only the client is measured. Spool, S3 and warehouse are real.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import canned
from benchmarks.canned import Seconds
from benchmarks.measurement import Measurement, OnProgress, cost, speedup
from benchmarks.pages import pages
from benchmarks.polled import Platform, measured
from benchmarks.size import size
from songswap import settings
from songswap.pipelines import hourly_load
from songswap.pipelines.fetch import fetch
from songswap.spotify.client import open_client
from songswap.transform import recent_plays

_USERS = size(500, 10)
_ROUNDS = size(5, 1)


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare ours with bare GETs of the same bodies."""
    on_progress(f"making pages of {_USERS} users, then {_ROUNDS} rounds")
    step, poll, bare = measured(folder, _USERS, _bodies, _measure)
    yield speedup("a poll per user, against bare GETs", poll.clock, bare.clock)
    yield cost(
        "a poll, CPU per user, against a bare GET",
        1000 * poll.cpu,
        1000 * bare.cpu,
        "ms",
        at_most=1.5,
    )
    yield cost(
        "the whole step with disk and S3, CPU per user, against a bare GET",
        1000 * step.cpu,
        1000 * bare.cpu,
        "ms",
    )


def _bodies() -> canned.Bodies:
    return [{page.user_id: page.gzipped for page in pages(_USERS, compress=True)}]


def _measure(platform: Platform) -> list[Seconds]:
    """Return the medians of the step, of the client alone and of bare GETs, taken in turns."""
    pipeline = platform.settings
    works = (
        partial(_step, pipeline),
        lambda: uvloop.run(_poll(pipeline.spotify)),
        lambda: uvloop.run(canned.bare_gets(pipeline.spotify, _USERS)),
    )
    rounds = [[Seconds.of(work, _USERS) for work in works] for _ in range(_ROUNDS)]
    return [
        Seconds(median(row.clock for row in column), median(row.cpu for row in column))
        for column in zip(*rounds, strict=True)
    ]


def _step(pipeline: settings.Settings) -> None:
    run_id = f"run {time.monotonic_ns()}"
    # Each round is another hour, so that S3 accepts every response, and each response is new.
    hour = datetime.now(UTC) + timedelta(hours=time.monotonic_ns() // 1000 % 1_000_000)
    batches = hourly_load.plan(pipeline, run_id, lambda: hour)
    counts = fetch(pipeline, run_id, batches[0], lambda: hour)
    if (counts["responses"], counts["archived"]) != (_USERS, _USERS):
        raise RuntimeError(f"Not all responses were fetched: {counts}")


async def _poll(spotify: settings.Spotify) -> None:
    async with open_client(spotify) as client:

        async def poll(user: int) -> None:
            page = await client.recently_played(canned.token(user))
            recent_plays.fingerprint(page.body)

        await asyncio.gather(*(poll(user) for user in range(1, _USERS + 1)))
