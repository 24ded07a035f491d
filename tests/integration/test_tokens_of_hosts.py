"""No user is given up while a host may have the newest token, in any order of what hosts do.

Three hosts exchange the token of one user, as `TokenExchanger` does, step by step. Each exchange is
finished, killed or frozen before any step, and a frozen one goes on later or is killed. In between
hosts drain their spools, and runs are summarised on any of them.
"""

import asyncio
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from songswap.models import RotatedToken
from songswap.pipelines.drain import report
from songswap.settings import Archive, Settings, Spotify
from songswap.storage.spool import Spool
from songswap.warehouse import grants, tokens
from songswap.warehouse.connection import connect, connect_async

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
AT_ONCE = timedelta(0)
"""The lease of claims: others take them over at once, as after a long time."""

Exchange = Generator[str, None, None]


@dataclass
class World:
    """Spotify, the warehouse, and the hosts with their disks.

    Attributes:
        valid: the refresh token that Spotify accepts.
        given: its predecessor, where Spotify repeats a response that may have been lost.
        in_hand: processes that have received a token and not ended.
    """

    folder: Path
    dsn: str
    connection: psycopg.Connection
    repeats: bool
    valid: str = "token 0"
    given: str = ""
    rotations: int = 0
    runs: int = 0
    in_hand: int = 0
    frozen: list[Exchange] = field(default_factory=list)

    def refresh(self, token: str) -> str | None:
        """Spotify's response: a new refresh token; None where it refuses the old one."""
        if token == self.valid:
            self.rotations += 1
            self.given, self.valid = token, f"token {self.rotations}"
            return self.valid
        return self.valid if self.repeats and token == self.given else None

    def settings(self, host: int) -> Settings:
        return Settings(
            self.dsn,
            Spotify("id", "secret"),
            Archive("bucket", "http://127.0.0.1:9", "us-east-1", "key", "secret"),
            self.folder / f"host {host}",
            keep_tokens=timedelta(days=2),
            host=f"host {host}",
        )

    def spool(self, host: int) -> Spool:
        return Spool(self.folder / f"host {host}", remembers=timedelta(days=2))

    def drain(self, host: int) -> None:
        with self.spool(host) as spool:
            report(self.settings(host), self.connection, spool, lambda: NOW)

    def summarise(self, host: int) -> None:
        """Report, then settle what the run was refused; the next run begins."""
        self.drain(host)
        grants.settle_refused(self.connection, f"run {self.runs}", 100, 0.05, 10, NOW)
        self.runs += 1

    def stored(self) -> tuple[str, str]:
        """The access and the refresh token in the warehouse."""
        query = "SELECT access_token, refresh_token FROM songswap.current_tokens()"
        ((access, refresh),) = self.connection.execute(query).fetchall()
        return tokens.decode(access), tokens.decode(refresh)

    def state(self) -> str:
        ((state,),) = self.connection.execute("SELECT state FROM songswap.grants").fetchall()
        return str(state)

    def on_a_host(self) -> bool:
        """Whether a disk or a process has Spotify's newest token, which the warehouse lacks."""
        return self.stored()[1] != self.valid and (self.in_hand > 0 or self.on_a_disk())

    def on_a_disk(self) -> bool:
        """Whether a disk has Spotify's newest token."""
        for folder in self.folder.iterdir():
            with Spool(folder) as spool:
                if any(token.refresh_token == self.valid for token in spool.tokens()):
                    return True
        return False

    def exchange(self, host: int) -> Exchange:
        """An exchange that stops before each of its steps."""
        with self.spool(host) as spool, spool.working("run", 0) as me:
            report(self.settings(host), self.connection, spool, lambda: NOW, me)
            yield "claim"
            access, _ = self.stored()
            claim = self._async(
                lambda session: tokens.claim(session, {1: access}, me, spool.id, AT_ONCE, NOW)
            )
            if 1 not in claim.mine:
                return
            old = claim.mine[1]
            yield "send"
            new = self.refresh(old.refresh_token)
            self.in_hand += 1
            try:
                yield "receive"
                if new is None:
                    self._async(lambda session: tokens.end(session, [1], [], me))
                    refused = {1: old.unanswered_at}
                    grants.record_refused(self.connection, refused, f"run {self.runs}")
                    return
                token = RotatedToken(1, old.refresh_token, f"access to {new}", new, NOW)
                spool.add_tokens([token])
                yield "store"
                self._async(lambda session: tokens.store(session, [token], NOW))
                yield "drop"
                spool.drop_tokens([token], NOW)
            finally:
                self.in_hand -= 1

    def _async(self, statement: Callable[[psycopg.AsyncConnection], Any]) -> Any:
        async def run() -> Any:
            session = await connect_async(self.dsn)
            try:
                return await statement(session)
            finally:
                await session.close()

        return asyncio.run(run())


Step = tuple[str, int, int]

HOSTS = st.integers(0, 2)
EXCHANGES = st.sampled_from(["finished", "killed", "frozen"])
OTHERS = st.sampled_from(["drain", "summarise", "thaw", "kill frozen"])
STEPS = st.lists(
    st.tuples(EXCHANGES, HOSTS, st.integers(1, 5)) | st.tuples(OTHERS, HOSTS, st.just(0)),
    max_size=3,
)


@st.composite
def cut_off(draw: st.DrawFn) -> list[Step]:
    """Anything, around an exchange that is cut off and another host that is refused then."""
    first, other = draw(st.permutations(range(3)))[:2]
    cut = (draw(st.sampled_from(["killed", "frozen"])), first, draw(st.integers(3, 4)))
    refused: list[Step] = [("finished", other, 0), ("summarise", other, 0)]
    return [*draw(STEPS), cut, *draw(STEPS), *refused, *draw(STEPS)]


def do(world: World, what: str, host: int, steps: int) -> None:
    """One thing that happens."""
    match what:
        case "drain":
            world.drain(host)
        case "summarise":
            world.summarise(host)
        case "thaw" | "kill frozen" if world.frozen:
            exchange = world.frozen.pop(0)
            if what == "thaw":
                list(exchange)
            exchange.close()
        case "finished" | "killed" | "frozen":
            exchange = world.exchange(host)
            for _ in range(steps if what != "finished" else 9):
                next(exchange, None)
            if what == "frozen":
                world.frozen.append(exchange)
            else:
                exchange.close()


def reset(connection: psycopg.Connection) -> None:
    """Have one user, with the first token."""
    connection.execute('TRUNCATE "Users" CASCADE')
    connection.execute("DELETE FROM songswap.spools")
    connection.execute("INSERT INTO \"Users\" VALUES (1, 'one', 'one', 'one')")
    connection.execute("INSERT INTO \"SpotifyTokens\" VALUES (1, 'access', 'token 0')")
    grants.record_authorized(connection, NOW)


@pytest.fixture
def connection(warehouse_dsn: str) -> Any:
    with connect(warehouse_dsn) as opened:
        yield opened


@given(cut_off(), st.booleans())
@settings(max_examples=examples(0.4), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nobody_is_given_up_while_a_host_may_have_the_token(
    connection: psycopg.Connection,
    warehouse_dsn: str,
    tmp_path: Path,
    steps: list[Step],
    repeats: bool,
) -> None:
    """When all hosts have drained, the warehouse has every token that a disk had."""
    reset(connection)
    shutil.rmtree(tmp_path / "disks", ignore_errors=True)
    (tmp_path / "disks").mkdir()
    world = World(tmp_path / "disks", warehouse_dsn, connection, repeats)
    for step in steps:
        do(world, *step)
        if step[0] == "summarise" and world.on_a_host():
            assert world.state() == "active", "given up while a host has the token"
    for exchange in world.frozen:
        exchange.close()
    had = world.on_a_disk() or world.stored()[1] == world.valid
    for host in range(3):
        world.drain(host)
    assert (world.stored()[1] == world.valid) == had
    # Nobody stays undecided: the next exchange either succeeds, or settles the user.
    with closing(world.exchange(0)) as last:
        list(last)
    world.summarise(0)
    assert (world.state() == "active") == (world.stored()[1] == world.valid)
