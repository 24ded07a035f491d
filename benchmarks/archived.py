"""An archive of responses, as the hours of some listeners have left it."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from benchmarks.pages import Page, hourly
from songswap import settings
from songswap.storage import keys
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse

_PUT_BATCH = 500


def archive(bucket: settings.Archive, objects: int, users: range) -> None:
    """Archive so many responses of these users."""
    asyncio.run(_put(Archive(bucket), hourly(users, objects)))


async def _put(archive: Archive, responses: Iterator[tuple[datetime, Page]]) -> None:
    while batch := list(islice(responses, _PUT_BATCH)):
        spooled = [
            RawResponse(page.user_id, keys.for_hour(page.user_id, at), at, page.gzipped, id=number)
            for number, (at, page) in enumerate(batch)
        ]
        outcome = await archive.put_all(spooled)
        if outcome.problems:
            raise RuntimeError(f"S3 did not accept all: {next(iter(outcome.problems.values()))}")
