"""Poll a batch of users for their recent plays, many at once.

credentials ──▶ access token expires soon? ──yes──▶ exchange ──▶ ready ──▶ poll ──▶ spooler
                             └────────no────────────────────────▶┘          └─ 401: exchange
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from songswap.errors import Interrupted, SongSwapError, Unauthorized, UnexpectedFailure
from songswap.parallel import event_loop
from songswap.parallel.tasks import run_concurrently
from songswap.pipelines.fetch_outcomes import Outcomes
from songswap.pipelines.spooling import Spooler
from songswap.pipelines.tokens import TokenExchanger
from songswap.spotify.client import Client, Response
from songswap.transform import recent_plays
from songswap.warehouse.grants import EXPIRES_SOON, Credentials

_CLAIMED_AT_ONCE = 32
"""Tokens that are claimed for their exchange in one transaction."""

_FINISHES_WITHIN_S = 15.0
"""How long token exchanges in progress may take when a signal stops the batch."""


@dataclass(slots=True)
class Poller:
    """Polls users, ``in_flight`` at a time; one user's failure costs only that user.

    The responses with new plays go to ``spooler``; ``outcomes`` says when to stop.
    """

    client: Client
    exchanger: TokenExchanger
    spooler: Spooler
    outcomes: Outcomes
    clock: Callable[[], datetime]
    in_flight: int
    _ready: asyncio.Queue[Credentials | None] = field(init=False)
    _exchanging: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._ready = asyncio.Queue(self.in_flight)
        self._exchanging = asyncio.Semaphore(self.in_flight)

    async def run(self, users: Sequence[Credentials], stop: asyncio.Event) -> None:
        """Poll users until all are done, a failure affects all, or the event is set.

        However it ends, token exchanges in progress are finished.
        """
        try:
            await event_loop.until(stop, self._poll_all(users))
        finally:
            if stop.is_set():
                self.outcomes.stop(
                    Interrupted("It was stopped: the rest was not polled, the next run does it.")
                )
            await self.exchanger.finish(_FINISHES_WITHIN_S if stop.is_set() else None)
            await self.spooler.end()

    async def _poll_all(self, users: Sequence[Credentials]) -> None:
        """Refresh tokens ahead, and poll ``in_flight`` users at a time."""
        workers = (self._poll_ready() for _ in range(self.in_flight))
        await run_concurrently((self._make_ready(users), *workers))

    async def _make_ready(self, users: Sequence[Credentials]) -> None:
        """Queue users with a fresh access token; a slow exchange holds up no other user."""
        size = min(_CLAIMED_AT_ONCE, self.in_flight)
        async with asyncio.TaskGroup() as exchanges:
            for start in range(0, len(users), size):
                if not self.outcomes.goes_on():
                    break
                group = users[start : start + size]
                soon = self.clock() + EXPIRES_SOON
                expiring = [user for user in group if user.expires_at and user.expires_at <= soon]
                for _ in expiring:
                    await self._exchanging.acquire()
                if expiring:
                    exchanges.create_task(self._refresh(expiring))
                for user in group:
                    if user not in expiring:
                        await self._ready.put(user)
        for _ in range(self.in_flight):
            await self._ready.put(None)

    async def _refresh(self, users: Sequence[Credentials]) -> None:
        """Queue users whose tokens expire, each as soon as its new access token is received."""
        by_id = {user.user_id: user for user in users}
        old_tokens = {user.user_id: user.access_token for user in users}
        async with aclosing(self.exchanger.exchange(old_tokens)) as results:
            async for user_id, result in results:
                self._exchanging.release()
                if isinstance(result, str):
                    await self._ready.put(by_id[user_id]._replace(access_token=result))
                elif result is not None:
                    self.outcomes.failed(user_id, result)

    async def _poll_ready(self) -> None:
        """Poll one ready user after the other, until all are done."""
        while (user := await self._ready.get()) is not None:
            if self.outcomes.goes_on():
                await self._poll(user)

    async def _poll(self, user: Credentials) -> None:
        """Poll one user; an error is recorded, not raised."""
        try:
            response = await self._recent_plays(user)
        except SongSwapError as error:
            self.outcomes.failed(user.user_id, error)
        except Exception as error:  # noqa: BLE001 - of one user, whatever it is; it is counted
            self.outcomes.failed(user.user_id, UnexpectedFailure.of(error))
        else:
            self.outcomes.responded()
            if response is None:
                self.outcomes.by_user[user.user_id] = "deleted"
            else:
                await self._take(user, response)

    async def _recent_plays(self, user: Credentials) -> Response | None:
        """Spotify's response, after a token exchange where it says 401; None: the user is gone."""
        try:
            return await self.client.recently_played(user.access_token)
        except Unauthorized:
            old_token = {user.user_id: user.access_token}
            async with aclosing(self.exchanger.exchange(old_token)) as results:
                _, token = await anext(results)
        if isinstance(token, SongSwapError):
            raise token
        return None if token is None else await self.client.recently_played(token)

    async def _take(self, user: Credentials, response: Response) -> None:
        """Pass on a response that has new plays."""
        if not user.settled:
            self.outcomes.recovered.append(user.user_id)
        fingerprint = recent_plays.fingerprint(response.body)
        if fingerprint is not None and fingerprint == user.fingerprint:
            self.outcomes.unchanged(user.user_id)
            return
        await self.spooler.put(user.user_id, fingerprint, response)
        self.outcomes.by_user[user.user_id] = "answered"
