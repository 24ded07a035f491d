"""Exchange users' refresh tokens for access tokens, so that no token that Spotify gives is lost.

    claim (short transaction) ──▶ Spotify ──▶ spool (disk) ──▶ store (short transaction)

A refresh token that Spotify has rotated is worthless, and a successor that nobody has stored is a
user lost. So which token is sent is recorded before, no transaction is open while Spotify takes its
time, and an exchange that was begun is finished whatever happens to its caller.
"""

import asyncio
import logging
import secrets
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg_pool import AsyncConnectionPool

from songswap.errors import (
    Interrupted,
    InvalidClient,
    InvalidGrant,
    RateLimited,
    SongSwapError,
    SpoolError,
    TokenLost,
    UnexpectedFailure,
    UnusableToken,
)
from songswap.models import RotatedToken, Tokens
from songswap.storage.spool import Spool
from songswap.warehouse import tokens
from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.tokens import Claimed

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=15)
"""How long a claim holds without being renewed: the most that a killed process holds up others."""

_BUSY_POLL_S = 0.2

Result = str | SongSwapError | None
"""An access token, the error why there is none, or None for a user who is gone."""


class _Exchanged(NamedTuple):
    """The end of one exchange."""

    user_id: int
    token: RotatedToken | None
    error: SongSwapError | None

    @property
    def result(self) -> Result:
        return self.error or (self.token.access_token if self.token else None)


class TokenExchanger:
    """Exchanges the tokens of many users at once.

    Args:
        pool: to the warehouse.
        refresh: requests tokens, see `songswap.spotify.client.Client.refresh`.
        spool: holds rotated tokens until the warehouse has them.
        clock: gives the time (aware, UTC).
        at_once: how many requests are sent at once.
        lease: how long a claim holds without being renewed.
        holder: the number of this process, see `songswap.storage.spool.Spool.working`.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        refresh: Callable[[str], Awaitable[Tokens]],
        spool: Spool,
        clock: Callable[[], datetime],
        at_once: int,
        lease: timedelta = LEASE,
        holder: int = 0,
    ) -> None:
        self._pool = pool
        self._refresh = refresh
        self._spool = spool
        self._clock = clock
        self._slots = asyncio.Semaphore(at_once)
        self._lease = lease
        self._holder = holder or secrets.randbits(63)
        self._spool_id = spool.id
        self._in_progress: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def exchange(self, known: Mapping[int, str]) -> AsyncGenerator[tuple[int, Result], None]:
        """Yield new access tokens, each user's as soon as it is received.

        Of two who exchange a user's token at once, one waits and takes the other's result.

        Args:
            known: by user id, the access token that has expired or was refused.
        """
        results: asyncio.Queue[tuple[int, Result]] = asyncio.Queue()
        # A task of its own: its end does not depend on who waits for it.
        task = asyncio.create_task(self._exchange(dict(known), results))
        self._in_progress.add(task)
        task.add_done_callback(self._in_progress.discard)
        for _ in known:
            yield await results.get()

    async def finish(self, within_s: float | None = None) -> None:
        """Begin no more exchanges, and wait until those in progress are stored.

        Args:
            within_s: seconds after which the rest is abandoned; which they are stays recorded.
        """
        self._stopping = True
        if not self._in_progress:
            return
        _, late = await asyncio.wait(self._in_progress, timeout=within_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _exchange(
        self, known: Mapping[int, str], results: "asyncio.Queue[tuple[int, Result]]"
    ) -> None:
        left = dict(known)

        def give(user_id: int, result: Result) -> None:
            if left.pop(user_id, None) is not None:
                results.put_nowait((user_id, result))

        error: SongSwapError = UnexpectedFailure("The exchange of a token broke off.")
        try:
            while left:
                await self._exchange_some(left, give)
                if left:
                    await asyncio.sleep(_BUSY_POLL_S)
        except SongSwapError as failure:
            error = failure
        finally:
            for user_id in list(left):
                give(user_id, error)

    async def _exchange_some(
        self, known: Mapping[int, str], give: Callable[[int, Result], None]
    ) -> None:
        """Exchange the tokens that no other process is exchanging."""
        if self._stopping:
            raise Interrupted("No more tokens are exchanged: the run is being stopped.")
        with translate_errors():
            async with self._pool.connection() as connection:
                claim = await tokens.claim(
                    connection,
                    known,
                    self._holder,
                    self._spool_id,
                    self._lease,
                    self._clock(),
                )
        for user_id, access_token in claim.current.items():
            give(user_id, access_token)
        for user_id in claim.gone:
            give(user_id, None)
        await self._exchange_claimed(claim.mine, give)

    async def _exchange_claimed(
        self, claimed: Mapping[int, Claimed], give: Callable[[int, Result], None]
    ) -> None:
        """Send claimed tokens concurrently; each result is stored, then given."""
        tasks = {
            asyncio.create_task(self._send(user_id, token)): user_id
            for user_id, token in claimed.items()
        }
        # A task: also while a result waits for a lock to be stored.
        renewing = asyncio.create_task(self._renew(tasks.values()))
        try:
            while tasks:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                ended = [task.result() for task in done]
                await self._settle(ended)
                for task in done:
                    del tasks[task]
                for exchanged in ended:
                    give(exchanged.user_id, exchanged.result)
        finally:
            renewing.cancel()
            for task in tasks:
                task.cancel()

    async def _renew(self, users: Collection[int]) -> None:
        """Renew the claims of those left in ``users`` until this is cancelled."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                async with self._pool.connection() as connection:
                    await tokens.renew(connection, list(users), self._holder, self._lease)
            except psycopg.Error as error:
                self._warn_of_claims(error)

    async def _settle(self, ended: Collection[_Exchanged]) -> None:
        """Store results; a failure does not keep the other exchanges from ending."""
        try:
            await self._store([exchanged.token for exchanged in ended if exchanged.token])
            await self._end_claims(ended)
        except Exception as error:  # noqa: BLE001 - see above; its text may quote a token
            log.error("%d token exchanges were not stored: %s.", len(ended), type(error).__name__)  # noqa: TRY400

    async def _send(self, user_id: int, claimed: Claimed) -> _Exchanged:
        """Exchange one user's token; whatever is raised is that user's own failure."""
        old_token = claimed.refresh_token
        async with self._slots:
            if self._stopping:
                stopped = Interrupted("The run was stopped before this user's token was exchanged.")
                return _Exchanged(user_id, None, stopped)
            try:
                new = await self._refresh(old_token)
            except InvalidGrant as error:
                lost = claimed.unanswered_at and TokenLost.since(claimed.unanswered_at)
                return _Exchanged(user_id, None, lost or error)
            except SongSwapError as error:
                return _Exchanged(user_id, None, error)
            except Exception as error:  # noqa: BLE001 - of one user, whatever it is; it is counted
                return _Exchanged(user_id, None, UnexpectedFailure.of(error))
        token = RotatedToken(
            user_id,
            old_token,
            new.access_token or "",
            new.refresh_token or old_token,
            new.expires_at,
        )
        unusable = None if new.access_token else UnusableToken("Spotify gave no access token.")
        return _Exchanged(user_id, token, unusable)

    async def _store(self, rotated: Sequence[RotatedToken]) -> None:
        if not rotated:
            return
        await self._spool_tokens(
            [token for token in rotated if token.refresh_token != token.old_refresh_token]
        )
        try:
            async with self._pool.connection() as connection:
                await tokens.store(connection, rotated, self._clock())
        except psycopg.Error as error:
            log.warning(
                "The tokens of %d users could not be stored (%s, SQLSTATE %s): they wait in the"
                " spool for the next run.",
                len(rotated),
                type(error).__name__,
                error.sqlstate,
            )
            await self._spool_tokens(rotated)
            return
        try:
            await asyncio.to_thread(self._spool.drop_tokens, rotated, self._clock())
        except SpoolError as error:
            # They stay in the spool; storing them again changes nothing.
            log.warning("%s", error)

    async def _spool_tokens(self, rotated: Collection[RotatedToken]) -> None:
        try:
            await asyncio.to_thread(self._spool.add_tokens, rotated)
        except SpoolError as error:
            # The warehouse may still take them; a full disk is reported when responses are spooled.
            log.warning("%s", error)

    async def _end_claims(self, ended: Iterable[_Exchanged]) -> None:
        """End the claims of exchanges without a token."""
        failed = [
            (exchanged.user_id, exchanged.error) for exchanged in ended if exchanged.token is None
        ]
        harmless = (InvalidGrant, RateLimited, InvalidClient, Interrupted)
        if not failed:
            return
        try:
            async with self._pool.connection() as connection:
                await tokens.end(
                    connection,
                    [user for user, error in failed if isinstance(error, harmless)],
                    [user for user, error in failed if not isinstance(error, harmless)],
                    self._holder,
                )
        except psycopg.Error as error:
            self._warn_of_claims(error)

    def _warn_of_claims(self, error: psycopg.Error) -> None:
        log.warning(
            "Claims of token exchanges could not be renewed or ended (%s): others may exchange the"
            " same tokens in %d s.",
            type(error).__name__,
            self._lease.total_seconds(),
        )
