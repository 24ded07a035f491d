"""Tokens of any length and character are kept, exchanged once at a time, and never lost."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from crashing import killed, loading
from examples import examples
from factories import MakePlatform, Platform
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from songswap.checks.sanity.context import CheckContext
from songswap.checks.sanity.run import run_step
from songswap.errors import InvalidGrant, TimedOut, UnexpectedFailure
from songswap.models import RotatedToken, Tokens
from songswap.pipelines import heavy_listeners, hourly_load
from songswap.pipelines.fetch import fetch
from songswap.pipelines.tokens import TokenExchanger
from songswap.settings.airflow_connection import Connection, parse_connection
from songswap.storage.spool import Spool
from songswap.warehouse import grants, tokens
from songswap.warehouse.connection import connect, connect_async, pool
from songswap.warehouse.runs import Users

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
AFTER_EXCHANGE = ("after", "songswap.spotify.client:Client.refresh", "1")
ROTATED = ("--rotate-refresh-tokens", "1")


def states(platform: Platform) -> dict[str, int]:
    """How many grants are in which state."""
    return dict(platform.rows("SELECT state, count(*) FROM songswap.grants GROUP BY 1"))


def checked(platform: Platform) -> CheckContext:
    """What a sanity check is given in a terminal."""
    variables = platform.environment()

    def connection(name: str) -> Connection:
        return parse_connection(name, variables[f"AIRFLOW_CONN_{name.upper()}"])

    return CheckContext(connection, variables.get, variables, "run", platform.clock)


@pytest.mark.parametrize("name", ["refresh_suffix", "access_suffix"])
def test_long_tokens_for_hours(make_platform: MakePlatform, name: str) -> None:
    """Tokens longer than their columns are used as Spotify gave them last, and cost nobody."""
    platform = make_platform(*ROTATED, users=6)
    platform.load()
    before = platform.rows('SELECT id, refresh_token FROM "SpotifyTokens" ORDER BY 1')
    platform.fault(path="/api/token", **{name: "x" * 326})
    for _ in range(5):
        platform.advance(hours=1)
        counts = platform.load()
        assert (counts.get("refused", 0), counts.get("failed", 0)) == (0, 0)
    assert platform.history() == platform.reachable()
    assert states(platform) == {"active": 6}
    platforms = platform.rows('SELECT id, refresh_token FROM "SpotifyTokens" ORDER BY 1')
    assert (platforms == before) == (name == "refresh_suffix"), "a token that fits is mirrored"
    with connect(platform.settings.warehouse_dsn) as connection:
        (column,) = tokens.narrow_columns(connection)
        assert (column.name, column.size, column.users) == (name.replace("suffix", "token"), 256, 6)
        assert column.longest > 326
        assert column.remedy in run_step("postgres", "tables", checked(platform))
        rows = platform.rows(
            "SELECT count(*) FROM songswap.notices WHERE subject LIKE '%%'||%s", column.name
        )
        assert rows == [(1,)]
        connection.execute(column.remedy.encode())
        platform.advance(hours=1)
        platform.load()
        assert tokens.narrow_columns(connection) == []
    assert platform.rows(
        'SELECT count(*) FROM "SpotifyTokens" t JOIN songswap.tokens k ON k.user_id = t.id'
        " WHERE convert_to(t.refresh_token, 'UTF8') = k.refresh_token"
        " AND convert_to(t.access_token, 'UTF8') = k.access_token AND k.problem IS NULL"
    ) == [(6,)]


@pytest.mark.parametrize("suffix", ["\n", "\x00", "\U0001f3b5", "\x7f", "é", " "])
def test_odd_characters_cost_their_user_alone(make_platform: MakePlatform, suffix: str) -> None:
    """What a header cannot carry is one user's failure; the refresh token is stored even so."""
    platform = make_platform(*ROTATED, users=4)
    platform.load()
    platform.advance(hours=1)
    platform.fault(
        path="/api/token", user="listener-0002", access_suffix=suffix, refresh_suffix=suffix
    )
    counts = platform.load()
    assert counts.get("failed", 0) <= 1
    assert counts.get("refused", 0) == 0
    others = {key for key in platform.reachable() if key[0] != "listener-0002"}
    assert others <= platform.history().keys()
    platform.mend()
    for _ in range(2):
        platform.advance(hours=1)
        counts = platform.load()
        assert (counts.get("failed", 0), counts.get("refused", 0)) == (0, 0)
    assert platform.history() == platform.reachable()
    assert states(platform) == {"active": 4}


def test_later_login_wins(make_platform: MakePlatform) -> None:
    """A token that the web app writes takes the place of ours, which it did not hold."""
    platform = make_platform(*ROTATED, users=1)
    platform.load()
    platform.advance(hours=1)
    platform.fault(path="/api/token", refresh_suffix="x" * 300)
    platform.load()
    platform.mend()
    platform.execute(
        "UPDATE \"SpotifyTokens\" SET access_token = 'a', refresh_token = 'of the web app'"
    )
    assert platform.rows("SELECT refresh_token, expires_at FROM songswap.current_tokens()") == [
        (b"of the web app", None)
    ]
    hourly_load.plan(platform.settings, "r", platform.clock)
    assert platform.rows("SELECT authorized_at FROM songswap.grants") == [(platform.clock(),)]


@contextmanager
def users(dsn: str, count: int) -> Iterator[list[int]]:
    """Users with the tokens ``access N`` and ``refresh N``."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, %s) n', [count]
        )
        connection.execute(
            "INSERT INTO \"SpotifyTokens\" SELECT id, 'access ' || id, 'refresh ' || id"
            ' FROM "Users"'
        )
    yield list(range(1, count + 1))


@asynccontextmanager
async def exchanging(
    dsn: str, folder: Path, refresh: Any, lease: timedelta = timedelta(seconds=30)
) -> AsyncIterator[TokenExchanger]:
    """An exchanger whose Spotify is ``refresh``."""
    with Spool(folder) as spool:
        async with pool(dsn) as connections:
            yield TokenExchanger(connections, refresh, spool, lambda: NOW, 64, lease)


def current(dsn: str) -> dict[int, str]:
    """The refresh tokens to ask with."""
    with connect(dsn) as connection:
        rows = connection.execute("SELECT user_id, refresh_token FROM songswap.current_tokens()")
        return {user: tokens.decode(token) for user, token in rows}


async def test_unforeseen_error_of_one_user_stops_only_that_user(
    warehouse_dsn: str, tmp_path: Path
) -> None:
    async def refresh(token: str) -> Tokens:
        if token.endswith("2"):
            raise RuntimeError(token)
        return Tokens(f"new {token}", f"next {token}", LATER)

    with users(warehouse_dsn, 3) as ids:
        async with exchanging(warehouse_dsn, tmp_path, refresh) as exchanger:
            known = {user: f"access {user}" for user in ids}
            got = {user: result async for user, result in exchanger.exchange(known)}
    assert (got[1], got[3]) == ("new refresh 1", "new refresh 3")
    assert isinstance(got[2], UnexpectedFailure)
    assert str(got[2]) == "an unexpected RuntimeError"
    assert current(warehouse_dsn) == {1: "next refresh 1", 2: "refresh 2", 3: "next refresh 3"}


async def test_exchange_ends_without_its_caller(warehouse_dsn: str, tmp_path: Path) -> None:
    """Who waits for an exchange may go: it is brought to its end and stored."""
    sent, answer = asyncio.Event(), asyncio.Event()

    async def refresh(token: str) -> Tokens:
        sent.set()
        await answer.wait()
        return Tokens("new", f"next {token}", LATER)

    with users(warehouse_dsn, 1):
        async with exchanging(warehouse_dsn, tmp_path, refresh) as exchanger:
            waiting = asyncio.ensure_future(anext(exchanger.exchange({1: "access 1"})))
            await sent.wait()
            waiting.cancel()
            answer.set()
            await exchanger.finish()
    assert current(warehouse_dsn) == {1: "next refresh 1"}


async def test_locked_row_holds_up_nobody(warehouse_dsn: str, tmp_path: Path) -> None:
    """A row of "SpotifyTokens" that somebody locks is mirrored later; its token is used at once."""

    async def refresh(token: str) -> Tokens:
        return Tokens(f"new {token}", f"next {token}", LATER)

    with users(warehouse_dsn, 2) as ids, psycopg.connect(warehouse_dsn) as stranger:
        stranger.execute('SELECT FROM "SpotifyTokens" WHERE id = 1 FOR UPDATE')
        async with exchanging(warehouse_dsn, tmp_path, refresh) as exchanger:
            known = {user: f"access {user}" for user in ids}
            got = {user: result async for user, result in exchanger.exchange(known)}
            assert got == {1: "new refresh 1", 2: "new refresh 2"}
            assert current(warehouse_dsn) == {1: "next refresh 1", 2: "next refresh 2"}
            stranger.rollback()
            async for _, token in exchanger.exchange({1: "new refresh 1"}):
                assert token == "new next refresh 1"
    with connect(warehouse_dsn) as connection:
        rows = connection.execute('SELECT refresh_token FROM "SpotifyTokens" ORDER BY id')
        assert rows.fetchall() == [("next next refresh 1",), ("next refresh 2",)]


async def test_login_during_an_exchange_wins(warehouse_dsn: str, tmp_path: Path) -> None:
    """What the web app writes while Spotify is asked stays; the other user's token is stored."""

    async def refresh(token: str) -> Tokens:
        if token == "refresh 1":
            platform.execute("UPDATE \"SpotifyTokens\" SET refresh_token = 'login' WHERE id = 1")
        return Tokens(f"new {token}", f"next {token}", LATER)

    with (
        users(warehouse_dsn, 2) as ids,
        psycopg.connect(warehouse_dsn, autocommit=True) as platform,
    ):
        async with exchanging(warehouse_dsn, tmp_path, refresh) as exchanger:
            known = {user: f"access {user}" for user in ids}
            assert len([one async for one in exchanger.exchange(known)]) == 2
        assert current(warehouse_dsn) == {1: "login", 2: "next refresh 2"}
        rows = platform.execute('SELECT refresh_token FROM "SpotifyTokens" ORDER BY id').fetchall()
        assert rows == [("login",), ("next refresh 2",)]


async def test_claims_hold_while_a_store_waits(warehouse_dsn: str, tmp_path: Path) -> None:
    """A store that waits for a lock longer than a lease keeps others from sending the tokens."""
    sent: list[str] = []
    lease = timedelta(milliseconds=600)

    async def refresh(token: str) -> Tokens:
        sent.append(token)
        return Tokens(f"new {token}", f"next {token}", LATER)

    async def got(exchanger: TokenExchanger, known: dict[int, str]) -> dict[int, Any]:
        return {user: result async for user, result in exchanger.exchange(known)}

    with users(warehouse_dsn, 2) as ids, psycopg.connect(warehouse_dsn) as stranger:
        known = {user: f"access {user}" for user in ids}
        async with (
            exchanging(warehouse_dsn, tmp_path / "a", refresh, lease) as one,
            exchanging(warehouse_dsn, tmp_path / "b", refresh, lease) as other,
        ):
            stranger.execute("LOCK TABLE songswap.tokens IN SHARE MODE")
            first = asyncio.ensure_future(got(one, known))
            while len(sent) < 2:
                await asyncio.sleep(0.01)
            second = asyncio.ensure_future(got(other, known))
            done, _ = await asyncio.wait([first, second], timeout=2.5)
            assert not done
            stranger.rollback()
            tokens = {user: f"new refresh {user}" for user in ids}
            assert await first == await second == tokens
    assert sorted(sent) == ["refresh 1", "refresh 2"]


async def test_claim_of_a_killed_process_ends(warehouse_dsn: str, tmp_path: Path) -> None:
    """A claim that is not renewed holds up nobody; a refusal then tells that a token was lost."""
    hanging, lease = asyncio.Event(), timedelta(milliseconds=300)

    async def hang(token: str) -> Tokens:
        hanging.set()
        await asyncio.Event().wait()
        raise AssertionError(token)

    async def refuse(token: str) -> Tokens:
        raise InvalidGrant(token)

    with users(warehouse_dsn, 1):
        async with exchanging(warehouse_dsn, tmp_path / "a", hang, lease) as killed:
            task = asyncio.ensure_future(anext(killed.exchange({1: "access 1"})))
            await hanging.wait()
            async with exchanging(warehouse_dsn, tmp_path / "b", refuse, lease) as other:
                # While it is renewed nobody else sends the token.
                result = asyncio.ensure_future(anext(other.exchange({1: "access 1"})))
                done, _ = await asyncio.wait([result], timeout=1.0)
                assert not done
                await killed.finish(0)
                _, error = await result
        await asyncio.gather(task, return_exceptions=True)
    assert str(error) == (
        "lost in a crash, or on the way, at 2026-11-22 18:00:00 UTC: has to authorize again"
    )


TOKENS = st.text(st.characters(exclude_categories=[]))  # lone surrogates too, as JSON can have


@settings(
    max_examples=examples(0.5),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(TOKENS, TOKENS)
def test_token_of_any_characters_is_stored(
    warehouse_dsn: str, access_token: str, refresh_token: str
) -> None:
    """Whatever a JSON string can hold."""

    async def store() -> None:
        async with await connect_async(warehouse_dsn) as connection:
            spent = current(warehouse_dsn)[1]
            token = RotatedToken(1, spent, access_token, refresh_token, LATER)
            await tokens.store(connection, [token], NOW)

    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO \"Users\" VALUES (1, 'u', 'e', 's') ON CONFLICT DO NOTHING")
        connection.execute(
            "INSERT INTO \"SpotifyTokens\" VALUES (1, 'a', 'r') ON CONFLICT DO NOTHING"
        )
    asyncio.run(store())
    assert current(warehouse_dsn) == {1: refresh_token}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_the_middle_of_exchanges(
    make_platform: MakePlatform, number: signal.Signals
) -> None:
    """A signal ends a load within 20 s; every exchange that was begun is stored, nobody is lost."""
    platform = make_platform(*ROTATED, users=60)
    platform.load()
    platform.advance(hours=1)
    platform.fault(path="/api/token", delay_ms=500)
    with loading(platform, SONGSWAP_IN_FLIGHT="20") as process:
        while platform.calls().get("token", 0) < 25:
            assert process.poll() is None
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode != 0
    platform.mend()
    assert platform.calls()["token"] < 120, "the signal came too late to stop anything"
    # What was rotated is worthless by now.
    platform.advance(minutes=30)
    counts = platform.load()
    assert (counts.get("refused", 0), counts.get("failed", 0)) == (0, 0)
    assert platform.history() == platform.reachable()
    assert states(platform) == {"active": 60}


def test_token_lost_with_its_process_is_reported_as_lost(make_platform: MakePlatform) -> None:
    """With the time; not as revoked."""
    platform = make_platform(*ROTATED, users=1)
    platform.load()
    platform.advance(hours=1)
    sent_at = platform.clock()
    killed(platform, *AFTER_EXCHANGE)
    platform.execute("UPDATE songswap.token_exchanges SET claimed_until = now()")
    platform.advance(minutes=30)
    counts = platform.load()
    assert (counts["refused"], counts["lost_tokens"]) == (1, 1)
    assert platform.rows("SELECT state, problem FROM songswap.grants") == [
        (
            "lost",
            f"lost in a crash, or on the way, at {sent_at:%Y-%m-%d %H:%M:%S} UTC:"
            " the user has to authorize",
        )
    ]


def test_interrupted_exchange_is_repeated_first(make_platform: MakePlatform) -> None:
    """Before anybody's feed is read."""
    platform = make_platform(*ROTATED, users=3)
    platform.fault(path="/v1/me/*", user="listener-0003", status=401)
    killed(platform, *AFTER_EXCHANGE)
    with connect(platform.settings.warehouse_dsn) as connection:
        first, *others = grants.load_credentials(
            connection, Users(0, 2**31 - 1, None), platform.clock()
        )
    assert (first.user_id, first.expires_at) == (
        platform.user_id("listener-0003"),
        platform.clock(),
    )
    assert {other.expires_at for other in others} == {None}
    platform.mend()
    assert heavy_listeners.plan(platform.settings, "too early", platform.clock) == [], (
        "its claim still holds"
    )
    platform.execute("UPDATE songswap.token_exchanges SET claimed_until = now()")
    platform.advance(minutes=9)
    assert heavy_listeners.plan(platform.settings, "between", platform.clock) == [0]
    platform.fault(path="/v1/me/*", status=503)  # no feed answers until the grace is over
    fetch(platform.settings, "between", 0, platform.clock)
    platform.mend()
    platform.advance(minutes=30)
    assert platform.load().get("refused", 0) == 0
    assert platform.history() == platform.reachable()


class _Limit(BaseException):
    """What Airflow's time limit raises, which is no Exception either."""


def test_time_limit_in_the_middle_of_exchanges(make_platform: MakePlatform) -> None:
    """At a task's time limit no exchange begins, those under way are stored, then it fails."""
    platform = make_platform(*ROTATED, users=12)
    platform.load()
    platform.advance(hours=1)
    platform.fault(path="/api/token", delay_ms=400)
    hourly_load.plan(platform.settings, "r", platform.clock)

    def over(*_: object) -> None:
        raise _Limit

    one_at_a_time = replace(platform.settings.spotify, in_flight=1)
    slow = replace(platform.settings, spotify=one_at_a_time)
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, 0.8)
    try:
        with pytest.raises(TimedOut, match="time limit"):
            fetch(slow, "r", 0, platform.clock)
        assert signal.getsignal(signal.SIGALRM) is over
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    platform.mend()
    assert platform.rows("SELECT count(*) FROM songswap.token_exchanges") == [(0,)]
    platform.advance(minutes=30)
    assert platform.load().get("refused", 0) == 0
    assert states(platform) == {"active": 12}
