"""Write the responses of a batch to the disk as they come, then to S3."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from songswap.errors import SpoolError
from songswap.parallel import event_loop
from songswap.pipelines.fetch_outcomes import Outcomes
from songswap.spotify.client import Response
from songswap.storage import keys
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse, pack
from songswap.storage.spool import Spool

SPOOL_BATCH = 64
"""Responses that are written to the disk in one transaction, and put into S3 concurrently."""


_Polled = tuple[int, bytes | None, Response]
"""A user, the fingerprint of the response, and the response."""


@dataclass(slots=True)
class Spooler:
    """Writes the responses of a batch: `put` fills its queue, `run` empties it until `end`.

    ``on_spooled`` receives the number of responses each time that some are on the disk. Once
    ``stop`` is set, S3 is not waited for.
    """

    spool: Spool
    archive: Archive
    run_id: str
    batch: int
    outcomes: Outcomes
    stop: asyncio.Event
    on_spooled: Callable[[int], None]
    _queue: asyncio.Queue[_Polled | None] = field(
        default_factory=lambda: asyncio.Queue(2 * SPOOL_BATCH)
    )
    _ended: bool = False

    async def put(self, user_id: int, fingerprint: bytes | None, response: Response) -> None:
        """Queue a user's response; waits while the disk is behind."""
        await self._queue.put((user_id, fingerprint, response))

    async def end(self) -> None:
        """Let `run` end once all that is queued is written."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Write responses until `end`: to the disk, and to S3 for as long as S3 takes them."""
        s3_takes = True
        while group := await self._next_group():
            try:
                spooled = await asyncio.to_thread(self._spool, group)
            except SpoolError as error:
                self.outcomes.stop(error)
                self.outcomes.counts["dropped"] += len(group)
                continue
            self.outcomes.counts["responses"] += len(spooled)
            self.on_spooled(len(spooled))
            if s3_takes:
                # Where S3 takes none, the rest would only wait for its timeouts.
                s3_takes = bool(await event_loop.until(self.stop, self._put_into_s3(spooled)))

    def _spool(self, group: list[_Polled]) -> list[RawResponse]:
        """Pack responses and write them to the disk; in a thread, as both take time."""
        raw = [
            RawResponse(
                user_id,
                keys.for_hour(user_id, response.observed_at),
                response.observed_at,
                pack(response.body),
                fingerprint,
            )
            for user_id, fingerprint, response in group
        ]
        return self.spool.add(self.run_id, self.batch, raw)

    async def _next_group(self) -> list[_Polled]:
        """Wait for responses, and return those that are queued; none at the end."""
        group: list[_Polled] = []
        while not self._ended and len(group) < SPOOL_BATCH and not (group and self._queue.empty()):
            response = await self._queue.get()
            if response is None:
                self._ended = True
            else:
                group.append(response)
        return group

    async def _put_into_s3(self, spooled: list[RawResponse]) -> bool:
        """Put responses into S3; false when it took none."""
        outcome = await self.archive.put_all(spooled)
        await asyncio.to_thread(self.spool.mark_archived, outcome.archived)
        if outcome.problems:
            await asyncio.to_thread(self.spool.mark_failed, outcome.problems)
        self.outcomes.counts["archived"] += len(outcome.archived)
        return bool(outcome.archived)
