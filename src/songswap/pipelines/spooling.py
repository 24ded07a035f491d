"""Write the responses of a batch to the disk as they come, then to S3."""

import asyncio
from dataclasses import dataclass, field

from songswap.errors import SpoolError
from songswap.parallel import event_loop
from songswap.pipelines.fetch_outcomes import Outcomes
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse, SpooledResponse
from songswap.storage.spool import Spool

SPOOL_BATCH = 64
"""Responses that are written to the disk in one transaction, and put into S3 concurrently."""


@dataclass(slots=True)
class Spooler:
    """Writes the responses of a batch: `put` fills its queue, `run` empties it until `end`.

    Once ``stop`` is set, S3 is not waited for.
    """

    spool: Spool
    archive: Archive
    run_id: str
    batch: int
    outcomes: Outcomes
    stop: asyncio.Event
    _queue: asyncio.Queue[RawResponse | None] = field(
        default_factory=lambda: asyncio.Queue(2 * SPOOL_BATCH)
    )
    _ended: bool = False

    async def put(self, response: RawResponse) -> None:
        """Queue a response; waits while the disk is behind."""
        await self._queue.put(response)

    async def end(self) -> None:
        """Let `run` end once all that is queued is written."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Write responses until `end`: to the disk, and to S3 for as long as S3 takes them."""
        s3_takes = True
        while group := await self._next_group():
            try:
                spooled = await asyncio.to_thread(self.spool.keep, self.run_id, self.batch, group)
            except SpoolError as error:
                self.outcomes.stop(error)
                self.outcomes.counts["dropped"] += len(group)
                continue
            self.outcomes.counts["responses"] += len(spooled)
            if s3_takes:
                # Where S3 takes none, the rest would only wait for its timeouts.
                s3_takes = bool(await event_loop.until(self.stop, self._put_into_s3(spooled)))

    async def _next_group(self) -> list[RawResponse]:
        """Wait for responses, and return those that are queued; none at the end."""
        group: list[RawResponse] = []
        while not self._ended and len(group) < SPOOL_BATCH and not (group and self._queue.empty()):
            response = await self._queue.get()
            if response is None:
                self._ended = True
            else:
                group.append(response)
        return group

    async def _put_into_s3(self, spooled: list[SpooledResponse]) -> bool:
        """Put responses into S3; false when it took none."""
        outcome = await self.archive.put_all(spooled)
        await asyncio.to_thread(self.spool.archived, outcome.archived)
        await asyncio.to_thread(self.spool.failed, outcome.problems)
        self.outcomes.counts["archived"] += len(outcome.archived)
        return bool(outcome.archived)
