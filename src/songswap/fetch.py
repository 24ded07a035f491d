"""Fetch a batch of users: ask Spotify for each one's recent plays and keep the raw answers.

    users ──▶ many asked at once ──▶ spool (disk) ──▶ S3
                    └─ access tokens refreshed where they end or are refused

An answer is on the local disk before anything else happens to it. One user's trouble costs only
that user. Trouble that is everybody's (no budget left, Spotify down, no disk) stops the batch: no
further user is asked for, but what is under way is brought to its end and kept. It is not
cancelled, because a token that Spotify has rotated and nobody has stored is a user lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice, takewhile

import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool

from songswap.errors import (
    CredentialsRefused,
    Forbidden,
    GrantRefused,
    RateLimited,
    SongSwapError,
    SpoolError,
    SpotifyError,
    SpotifyUnavailable,
    Unauthorized,
    WarehouseUnavailable,
)
from songswap.raw import key
from songswap.raw.archive import Archive
from songswap.raw.kept import Answer, Kept
from songswap.raw.spool import Spool
from songswap.settings import Settings
from songswap.side_by_side import side_by_side
from songswap.spotify.client import Answer as Told
from songswap.spotify.client import Client, open_client, utc_now
from songswap.transform import history
from songswap.warehouse import grant, pause, run
from songswap.warehouse.budget import Rank, open_budget
from songswap.warehouse.connection import connect, session
from songswap.warehouse.grant import EXPIRES_SOON, Grant

KEPT_AT_ONCE = 64
"""Answers that go to the disk in one transaction, and to S3 side by side."""

_REFRESHED_AT_ONCE = 32
_GROUPS = 2
"""Two groups, so that one is answered while the other is stored."""


def fetch(
    settings: Settings, run_id: str, batch: int, clock: Callable[[], datetime] = utc_now
) -> dict[str, int]:
    """Fetch a batch of a run and note what came; the answers wait in the spool to be loaded.

    Users whose answer of this batch is in the spool already are not asked for again.

    Returns:
        Counts: users, asked, answers kept, unchanged (told nothing new), archived, failed, refused,
        forbidden, resting (not asked for: dead or forbidden grants), calls (also by kind).

    Raises:
        RateLimited: Spotify asked for a long pause, in this attempt or in an earlier one that is
            not over; the rest of the batch was not asked for.
        SpotifyUnavailable: so many failed in a row that the rest was not asked for.
        CredentialsRefused: the app itself may not ask.
        SpoolError: the disk failed, or the spool is full; the rest was not asked for.
        WarehouseUnavailable: the database failed.
    """
    return uvloop.run(_fetch(settings, run_id, batch, clock))


async def _fetch(
    settings: Settings, run_id: str, number: int, clock: Callable[[], datetime]
) -> dict[str, int]:
    with (
        Spool(settings.spool, settings.spool_max_bytes) as spool,
        connect(settings.warehouse_dsn) as connection,
    ):
        users = run.users_of(connection, run_id, number)
        grants = grant.askable(connection, users, clock())
        there = spool.users_of(run_id, number)
        to_ask = [one for one in grants if not one.resting and one.user_id not in there]
        async with (
            open_budget(settings, Rank.PLAYS, clock) as budget,
            open_client(settings.spotify, clock, budget) as client,
            AsyncConnectionPool(
                session(settings.warehouse_dsn), min_size=0, max_size=8, timeout=10, open=False
            ) as pool,
        ):
            archive = Archive(settings.archive)
            batch = _Batch(run_id, number, client, pool, spool, archive, clock)
            batch.counts["users"] = len(grants)
            batch.counts["resting"] = sum(one.resting for one in grants)
            problem: str | None = "it broke off, its task log says why"
            app = settings.spotify.client_id
            batch.stopped_by = pause.find(connection, app, clock()) or spool.full()
            try:
                await batch.ask_all(to_ask, settings.spotify.in_flight)
                problem = str(batch.stopped_by) if batch.stopped_by else None
            finally:
                if isinstance(batch.stopped_by, RateLimited):
                    pause.note(connection, app, batch.stopped_by, clock())
                batch.note(connection, problem)
    if batch.stopped_by:
        raise batch.stopped_by
    return dict(batch.counts)


@dataclass(slots=True)
class _Batch:
    """A batch while it is fetched: what it is done with, and what has happened so far.

    ``asked`` holds the users who were asked for without news, with what went wrong or None.
    """

    run_id: str
    number: int
    client: Client
    pool: AsyncConnectionPool
    spool: Spool
    archive: Archive
    clock: Callable[[], datetime]
    answers: asyncio.Queue[Answer | None] = field(
        default_factory=lambda: asyncio.Queue(maxsize=2 * KEPT_AT_ONCE)
    )
    counts: Counter[str] = field(default_factory=Counter)
    asked: dict[int, str | None] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    forbidden: list[int] = field(default_factory=list)
    failures_in_a_row: int = 0
    stopped_by: SongSwapError | None = None

    async def ask_all(self, grants: list[Grant], in_flight: int) -> None:
        """Ask with all grants, ``in_flight`` at a time, and keep what is answered.

        Access tokens are refreshed in groups ahead of the asking: a group is one transaction.
        """
        enough = max(20, in_flight)
        waiting = takewhile(lambda _: self._goes_on(enough), grants)
        askers = min(in_flight, len(grants))
        ready: asyncio.Queue[Grant | None] = asyncio.Queue(in_flight)

        async def make_ready() -> None:
            while group := list(islice(waiting, min(_REFRESHED_AT_ONCE, in_flight))):
                for one in await self._with_good_tokens(group):
                    await ready.put(one)

        async def make_all_ready() -> None:
            await side_by_side(make_ready() for _ in range(_GROUPS))
            for _ in range(askers):
                await ready.put(None)

        async def ask_in_turn() -> None:
            while (one := await ready.get()) is not None:
                if self._goes_on(enough):
                    await self._ask(one)

        async def ask_side_by_side() -> None:
            await side_by_side((make_all_ready(), *(ask_in_turn() for _ in range(askers))))
            await self.answers.put(None)

        await side_by_side((ask_side_by_side(), self._keep()))

    def note(self, connection: psycopg.Connection, problem: str | None) -> None:
        """Note what happened, in one transaction."""
        counts, now = self.counts, self.clock()
        counts["refused"] = len(self.refused)
        counts["forbidden"] = len(self.forbidden)
        counts.update(call_counts(self.client))
        with connection.transaction():
            grant.note_refused(connection, self.refused, self.run_id)
            grant.note_forbidden(connection, self.forbidden, self.run_id, now)
            run.note_asked(connection, self.asked, now)
            run.end_step(connection, self.run_id, "fetch", self.number, counts, now, problem)

    def _goes_on(self, enough: int) -> bool:
        """Whether there is sense in asking on; not when something is everybody's trouble."""
        if self.stopped_by is None and self.failures_in_a_row >= enough:
            self.stopped_by = SpotifyUnavailable(
                f"Spotify failed for {self.failures_in_a_row} users in a row; the rest of the"
                " batch was not asked for. What was answered is kept; the next run asks again."
            )
        return self.stopped_by is None

    async def _with_good_tokens(self, group: list[Grant]) -> list[Grant]:
        """A group with access tokens that do not end soon, without those who could get none."""
        soon = self.clock() + EXPIRES_SOON
        got = await self._exchange(
            [one for one in group if one.expires_at is not None and one.expires_at <= soon]
        )
        good = []
        for one in group:
            token = got.get(one.user_id, one.access_token)
            if isinstance(token, str):
                good.append(one._replace(access_token=token))
            elif token is not None:
                self._failed(one.user_id, token)
        return good

    async def _exchange(self, grants: list[Grant]) -> dict[int, str | SongSwapError | None]:
        """By user: a new access token, why there is none, or None when the user is gone."""
        if not grants:
            return {}
        try:
            return dict(
                await grant.exchange(
                    self.pool, self.client.refresh, grants, self.spool, self.clock()
                )
            )
        except (WarehouseUnavailable, SpoolError) as error:
            return dict.fromkeys((one.user_id for one in grants), error)

    async def _ask(self, one: Grant) -> None:
        """Ask for one user; what goes wrong is noted for that user, or stops the batch."""
        try:
            told = await self._told_of(one)
        except SongSwapError as error:
            self._failed(one.user_id, error)
        else:
            self.counts["asked"] += 1
            self.failures_in_a_row = 0
            if told is not None:
                await self._take(one, told)

    async def _told_of(self, one: Grant) -> Told | None:
        """What Spotify tells of a user, None when the user is gone."""
        try:
            return await self.client.recently_played(one.access_token)
        except Unauthorized:
            token = (await self._exchange([one]))[one.user_id]
        if isinstance(token, SongSwapError):
            raise token
        return None if token is None else await self.client.recently_played(token)

    def _failed(self, user_id: int, error: SongSwapError) -> None:
        self.counts["asked"] += 1
        match error:
            case GrantRefused():
                self.refused.append(user_id)
                self.asked[user_id] = "grant refused"
            case Forbidden():
                self.forbidden.append(user_id)
                self.asked[user_id] = "forbidden"
            case SpotifyError() if not isinstance(error, RateLimited | CredentialsRefused):
                self.counts["failed"] += 1
                self.failures_in_a_row += 1
                self.asked[user_id] = str(error)
            case _:
                self.stopped_by = self.stopped_by or error
                self.asked[user_id] = type(error).__name__

    async def _take(self, one: Grant, told: Told) -> None:
        fingerprint = history.fingerprint(told.body)
        if fingerprint is not None and fingerprint == one.fingerprint:
            self.counts["unchanged"] += 1
            self.asked[one.user_id] = None
        else:
            where = key.for_hour(one.user_id, told.observed_at)
            answer = Answer(one.user_id, where, told.observed_at, fingerprint, told.body)
            await self.answers.put(answer)

    async def _keep(self) -> None:
        """Write answers to the disk as they come, then to S3 for as long as S3 takes them."""
        s3_takes = True
        more = True
        while more:
            group: list[Answer] = []
            while more and len(group) < KEPT_AT_ONCE and not (group and self.answers.empty()):
                answer = await self.answers.get()
                more = answer is not None
                if answer is not None:
                    group.append(answer)
            if not group:
                continue
            try:
                kept = await asyncio.to_thread(self.spool.keep, self.run_id, self.number, group)
            except SpoolError as error:
                self.stopped_by = self.stopped_by or error
                self.counts["dropped"] += len(group)
                continue
            self.counts["answers"] += len(kept)
            if s3_takes:
                # Where it takes none, the rest would only wait for its timeouts.
                s3_takes = await self._archive(kept)

    async def _archive(self, kept: list[Kept]) -> bool:
        """Put answers into S3; False when it took none."""
        outcome = await self.archive.put_all(kept)
        await asyncio.to_thread(self.spool.archived, outcome.archived)
        await asyncio.to_thread(self.spool.failed, outcome.problems)
        self.counts["archived"] += len(outcome.archived)
        return bool(outcome.archived)


def call_counts(client: Client) -> Counter[str]:
    """The requests of a client: all, and each kind by its outcome."""
    counts = Counter({f"calls {kind}": number for kind, number in client.calls.items()})
    counts["calls"] = client.calls.total()
    return counts
