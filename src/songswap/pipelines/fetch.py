"""Fetch a batch of users: ask Spotify for each one's recent plays and keep the raw answers.

    users ──▶ many asked at once ──▶ spool (disk) ──▶ S3
                    └─ access tokens refreshed where they end or are refused

An answer is on the local disk before anything else happens to it. One user's trouble costs only
that user. Trouble that is everybody's (no budget left, Spotify down, no disk), and a signal, stop
the batch: no further user is asked for, but exchanges of tokens that are under way are brought to
their end and stored, because a token that Spotify has rotated and nobody has stored is a user lost.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice, takewhile

import psycopg

from songswap.clock import utc_now
from songswap.errors import (
    Forbidden,
    Interrupted,
    InvalidClient,
    InvalidGrant,
    RateLimited,
    SongSwapError,
    SpoolError,
    SpotifyError,
    SpotifyUnavailable,
    TokenLost,
    Unauthorized,
    UnexpectedFailure,
)
from songswap.parallel import event_loop
from songswap.parallel.tasks import run_concurrently
from songswap.pipelines.spooled_tokens import put_back, store_waiting
from songswap.pipelines.tokens import TokenExchanger
from songswap.settings import Settings
from songswap.spotify.client import Client, Response, open_client
from songswap.storage import keys
from songswap.storage.archive import Archive
from songswap.storage.records import RawResponse, pack
from songswap.storage.spool import Spool
from songswap.transform import recent_plays
from songswap.warehouse import grants as grant
from songswap.warehouse import polls, runs
from songswap.warehouse.connection import connect
from songswap.warehouse.connection import pool as connection_pool
from songswap.warehouse.grants import EXPIRES_SOON, Credentials
from songswap.warehouse.limits import pauses
from songswap.warehouse.limits.budgets import Priority, open_budget
from songswap.warehouse.retry import retried

SPOOL_BATCH = 64
"""Answers that go to the disk in one transaction, and to S3 side by side."""

_CLAIMED_AT_ONCE = 32

_STOPS_WITHIN_S = 15.0
"""How long exchanges that are under way may take when a signal stops the batch."""


def fetch(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Fetch a batch of a run and note what came; the answers wait in the spool to be loaded.

    Users whose answer of this batch is in the spool already are not asked for again.

    Returns:
        Counts: users, asked, answers kept, unchanged (told nothing new), archived, failed, refused,
        forbidden, resting (not asked for: dead or forbidden grants), calls (also by kind),
        tokens_put_back (users of whom the warehouse had older tokens), where there are any.

    Raises:
        RateLimited: Spotify asked for a long pause, in this attempt or in an earlier one that is
            not over; the rest of the batch was not asked for.
        SpotifyUnavailable: so many failed in a row that the rest was not asked for.
        InvalidClient: the app itself may not ask.
        SpoolError: the disk failed, or the spool is full; the rest was not asked for.
        WarehouseUnavailable: the database failed.
        Interrupted, TimedOut: a signal, or the time limit of an Airflow task; the rest was not
            asked for.
    """

    def start(stop: asyncio.Event) -> Coroutine[None, None, dict[str, int]]:
        return _fetch(settings, run_id, batch, clock, stop)

    return event_loop.run(start)


async def _fetch(
    settings: Settings,
    run_id: str,
    number: int,
    clock: Callable[[], datetime],
    stop: asyncio.Event,
) -> dict[str, int]:
    with (
        Spool(settings.spool, settings.spool_max_bytes, settings.keep_tokens) as spool,
        connect(settings.warehouse_dsn) as connection,
    ):
        # What Spotify gave last is what is sent next.
        waiting = await store_waiting(settings.warehouse_dsn, spool, clock())
        users = runs.users_of(connection, run_id, number)
        returned = await put_back(settings.warehouse_dsn, spool, users, clock())
        grants = grant.load_credentials(connection, users, clock())
        unusable = waiting.left | returned.left
        there = spool.users_of(run_id, number) | unusable
        to_ask = [one for one in grants if not one.paused and one.user_id not in there]
        async with (
            open_budget(settings, Priority.PLAYS, clock) as budget,
            open_client(settings.spotify, clock, budget) as client,
            connection_pool(settings.warehouse_dsn) as pool,
        ):
            in_flight = settings.spotify.in_flight
            batch = _Batch(
                run_id,
                number,
                client,
                TokenExchanger(pool, client.refresh, spool, clock, in_flight),
                spool,
                Archive(settings.archive),
                clock,
                stop,
            )
            batch.counts["users"] = len(grants)
            if returned.users:
                batch.counts["tokens_put_back"] = returned.users
            batch.counts["paused"] = sum(one.paused for one in grants)
            for user_id in unusable.intersection(one.user_id for one in grants):
                batch.outcomes[user_id] = "failed"
                batch.polled[user_id] = "the tokens wait in the spool for the warehouse"
            problem: str | SongSwapError | None = "it broke off, its task log says why"
            app = settings.spotify.client_id
            batch.stopped_by = pauses.find(connection, app, clock()) or spool.full()
            try:
                await batch.ask_all(to_ask, in_flight)
                # Also where nobody was left to be asked when it was found.
                batch.stopped_by = batch.stopped_by or client.watch.wrong
                problem = batch.stopped_by
            finally:
                if isinstance(batch.stopped_by, RateLimited):
                    pauses.record(connection, app, batch.stopped_by, client.watch.now())
                batch.note(connection, problem)
    if batch.stopped_by:
        raise batch.stopped_by
    return dict(batch.counts)


_Polled = tuple[int, bytes | None, Response]
"""A user, the fingerprint of the response, and the response."""


@dataclass(slots=True)
class _Batch:
    """A batch while it is fetched: what it is done with, and what has happened so far.

    ``polled`` holds the users who were asked for without news, with what went wrong or None;
    ``outcomes`` what came of each user; ``recovered`` who was answered although something was held
    against the grant.
    """

    run_id: str
    number: int
    client: Client
    exchanger: TokenExchanger
    spool: Spool
    archive: Archive
    clock: Callable[[], datetime]
    stop: asyncio.Event
    answers: asyncio.Queue[_Polled | None] = field(
        default_factory=lambda: asyncio.Queue(maxsize=2 * SPOOL_BATCH)
    )
    counts: Counter[str] = field(default_factory=Counter)
    polled: dict[int, str | None] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)
    refused: dict[int, datetime | None] = field(default_factory=dict)
    recovered: list[int] = field(default_factory=list)
    failures_in_a_row: int = 0
    stopped_by: SongSwapError | None = None

    async def ask_all(self, grants: list[Credentials], in_flight: int) -> None:
        """Ask with all grants, ``in_flight`` at a time, and keep what is answered."""

        async def ask_and_end() -> None:
            try:
                await event_loop.until(self.stop, self._poll_concurrently(grants, in_flight))
            finally:
                if self.stop.is_set():
                    self.stopped_by = self.stopped_by or Interrupted(
                        "It was stopped: the rest was not asked for, the next run asks again."
                    )
                await self.exchanger.finish(_STOPS_WITHIN_S if self.stop.is_set() else None)
                await self.answers.put(None)

        await run_concurrently((ask_and_end(), self._keep()))

    async def _poll_concurrently(self, grants: list[Credentials], in_flight: int) -> None:
        """Refresh access tokens in groups ahead of the asking; a slow one holds up no other."""
        enough = max(20, in_flight)
        waiting = takewhile(lambda _: self._goes_on(enough), grants)
        ready: asyncio.Queue[Credentials | None] = asyncio.Queue(in_flight)
        exchanging = asyncio.Semaphore(in_flight)

        async def refresh(group: list[Credentials]) -> None:
            async for one in self._refreshed(group):
                exchanging.release()
                if one is not None:
                    await ready.put(one)

        async def make_ready(tasks: asyncio.TaskGroup) -> None:
            while group := list(islice(waiting, min(_CLAIMED_AT_ONCE, in_flight))):
                soon = self.clock() + EXPIRES_SOON
                old = [one for one in group if one.expires_at and one.expires_at <= soon]
                for _ in old:
                    await exchanging.acquire()
                if old:
                    tasks.create_task(refresh(old))
                for one in group:
                    if one not in old:
                        await ready.put(one)

        async def make_all_ready() -> None:
            async with asyncio.TaskGroup() as tasks:
                await make_ready(tasks)
            for _ in range(in_flight):
                await ready.put(None)

        async def ask_in_turn() -> None:
            while (one := await ready.get()) is not None:
                if self._goes_on(enough):
                    await self._ask(one)

        await run_concurrently((make_all_ready(), *(ask_in_turn() for _ in range(in_flight))))

    def note(self, connection: psycopg.Connection, problem: str | SongSwapError | None) -> None:
        """Note what happened, in one transaction."""
        counts, now = self.counts, self.client.watch.now()
        found = Counter(self.outcomes.values())
        counts["polled"] = len(self.outcomes)
        for name in ("failed", "refused", "forbidden", "unchanged"):
            counts[name] = found[name]
        counts.update(call_counts(self.client))
        forbidden = [user for user, outcome in self.outcomes.items() if outcome == "forbidden"]

        @retried
        def write(connection: psycopg.Connection) -> None:
            with connection.transaction():
                grant.record_refused(connection, self.refused, self.run_id)
                grant.record_forbidden(connection, forbidden, self.run_id)
                grant.record_recovered(connection, self.recovered)
                polls.record_polls(connection, self.polled, now)
                runs.end_step(
                    connection,
                    self.run_id,
                    "fetch",
                    self.number,
                    counts,
                    now,
                    problem,
                    self.outcomes,
                )

        write(connection)

    def _goes_on(self, enough: int) -> bool:
        """Whether there is sense in asking on; not when something is everybody's trouble."""
        if self.stopped_by is None and self.failures_in_a_row >= enough:
            self.stopped_by = SpotifyUnavailable(
                f"Spotify failed for {self.failures_in_a_row} users in a row; the rest of the"
                " batch was not asked for. What was answered is kept; the next run asks again."
            )
        return self.stopped_by is None

    async def _refreshed(self, group: list[Credentials]) -> AsyncIterator[Credentials | None]:
        """Each of a group with a new access token, or None for who could get none."""
        by_user = {one.user_id: one for one in group}
        known = {one.user_id: one.access_token for one in group}
        async with aclosing(self.exchanger.exchange(known)) as results:
            async for user_id, token in results:
                if isinstance(token, str):
                    yield by_user[user_id]._replace(access_token=token)
                    continue
                if token is not None:
                    self._failed(user_id, token)
                yield None

    async def _ask(self, one: Credentials) -> None:
        """Ask for one user; what goes wrong is noted for that user, or stops the batch."""
        try:
            told = await self._told_of(one)
        except SongSwapError as error:
            self._failed(one.user_id, error)
        except Exception as error:  # noqa: BLE001 - of one user, whatever it is; it is counted
            self._failed(one.user_id, UnexpectedFailure.of(error))
        else:
            self.failures_in_a_row = 0
            if told is None:
                self.outcomes[one.user_id] = "deleted"
            else:
                await self._take(one, told)

    async def _told_of(self, one: Credentials) -> Response | None:
        """What Spotify tells of a user, None when the user is gone."""
        try:
            return await self.client.recently_played(one.access_token)
        except Unauthorized:
            known = {one.user_id: one.access_token}
            async with aclosing(self.exchanger.exchange(known)) as results:
                _, token = await anext(results)
        if isinstance(token, SongSwapError):
            raise token
        return None if token is None else await self.client.recently_played(token)

    def _failed(self, user_id: int, error: SongSwapError) -> None:
        match error:
            case InvalidGrant():
                unanswered_at = error.unanswered_at if isinstance(error, TokenLost) else None
                self.refused[user_id] = unanswered_at
                self.outcomes[user_id] = "refused"
                self.polled[user_id] = str(error) if unanswered_at else "grant refused"
            case Forbidden():
                self.outcomes[user_id] = self.polled[user_id] = "forbidden"
            case SpotifyError() if not isinstance(error, RateLimited | InvalidClient):
                self.failures_in_a_row += 1
                self.outcomes[user_id] = "failed"
                self.polled[user_id] = str(error)
            case _:
                self.stopped_by = self.stopped_by or error
                if not isinstance(error, Interrupted):
                    self.polled[user_id] = type(error).__name__

    async def _take(self, one: Credentials, told: Response) -> None:
        if not one.settled:
            self.recovered.append(one.user_id)
        fingerprint = recent_plays.fingerprint(told.body)
        if fingerprint is not None and fingerprint == one.fingerprint:
            self.outcomes[one.user_id] = "unchanged"
            self.polled[one.user_id] = None
        else:
            await self.answers.put((one.user_id, fingerprint, told))
            self.outcomes[one.user_id] = "answered"

    async def _keep(self) -> None:
        """Write answers to the disk as they come, then to S3 for as long as S3 takes them."""
        s3_takes = True
        more = True
        while more:
            group: list[_Polled] = []
            while more and len(group) < SPOOL_BATCH and not (group and self.answers.empty()):
                answer = await self.answers.get()
                more = answer is not None
                if answer is not None:
                    group.append(answer)
            if not group:
                continue
            try:
                kept = await asyncio.to_thread(self._spool, group)
            except SpoolError as error:
                self.stopped_by = self.stopped_by or error
                self.counts["dropped"] += len(group)
                continue
            self.counts["responses"] += len(kept)
            if s3_takes:
                # Where it takes none, the rest would only wait for its timeouts.
                s3_takes = bool(await event_loop.until(self.stop, self._archive(kept)))

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
        return self.spool.add(self.run_id, self.number, raw)

    async def _archive(self, kept: list[RawResponse]) -> bool:
        """Put answers into S3; False when it took none."""
        outcome = await self.archive.put_all(kept)
        await asyncio.to_thread(self.spool.mark_archived, outcome.archived)
        await asyncio.to_thread(self.spool.mark_failed, outcome.problems)
        self.counts["archived"] += len(outcome.archived)
        return bool(outcome.archived)


def call_counts(client: Client) -> Counter[str]:
    """The requests of a client: all, and each kind by its outcome."""
    counts = Counter({f"calls {kind}": number for kind, number in client.calls.items()})
    counts["calls"] = client.calls.total()
    return counts
