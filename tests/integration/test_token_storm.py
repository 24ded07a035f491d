"""The warehouse fails at every point around token exchanges: each time the next run asks everybody,
no grant is lost, and each token that Spotify rotated is there."""

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from typing import Any

import psycopg
import pytest
from cutting_proxy import CUT, DOWN, CuttingProxy
from factories import MakePlatform, Platform

from songswap.dev.stack.postgres import Postgres
from songswap.errors import SongSwapError
from songswap.pipelines import hourly_load
from songswap.pipelines.fetch import fetch
from songswap.storage.spool import Spool
from songswap.warehouse import runs
from songswap.warehouse.connection import connect

USERS = 4
ROTATED = ("--rotate-refresh-tokens", "1")

POOLERS = ("08P01", "26000", "42P05", "XX000", "57P01", "25P03", "53300", "0A000", "22000")
"""Errors that poolers and servers end a session with, of as many classes as psycopg has."""


class Hours:
    """A platform hour by hour: one in which the warehouse fails, then one in which all is well."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.numbers = 0
        self.broken: Counter[str] = Counter()

    def ask(self, dsn: str, *, whole: bool) -> str:
        """Ask for everybody, an hour later: all of the hourly load, or just its first half."""
        self.platform.advance(hours=1)
        self.numbers += 1
        name = f"hour {self.numbers}"
        settings = replace(self.platform.settings, warehouse_dsn=dsn)
        if whole:
            hourly_load.load_once(settings, name, lambda *_: None, self.platform.clock)
        else:
            hourly_load.plan(settings, name, self.platform.clock)
            fetch(settings, name, 0, self.platform.clock)
        return name

    def trouble(self, dsn: str, *, whole: bool = False) -> None:
        """An hour in which the warehouse fails: whatever is raised is a sentence of ours."""
        try:
            self.ask(dsn, whole=whole)
        except SongSwapError as error:
            self.broken[type(error).__name__] += 1

    def assert_all_well(self, what: object) -> None:
        """The next hour answers everybody; the tokens of the hour before work no more by then."""
        name = self.ask(self.platform.settings.warehouse_dsn, whole=False)
        with connect(self.platform.settings.warehouse_dsn) as connection:
            found = runs.outcomes(connection, name)
        assert found["answered"] + found["unchanged"] == USERS, (what, found)
        states = self.platform.rows("SELECT state, count(*) FROM songswap.grants GROUP BY 1")
        assert states == [("active", USERS)], what

    def end(self) -> None:
        """All that was answered is loaded."""
        self.ask(self.platform.settings.warehouse_dsn, whole=True)
        assert self.platform.history() == self.platform.reachable()
        assert self.platform.rows("SELECT state FROM songswap.grants") == [("active",)] * USERS


@pytest.fixture
def hours(make_platform: MakePlatform) -> Hours:
    """A platform of a few users whose refresh tokens are rotated each time."""
    made = Hours(make_platform(*ROTATED, users=USERS))
    made.ask(made.platform.settings.warehouse_dsn, whole=True)
    return made


def test_connections_cut_at_any_point_lose_no_token(
    hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At sixty points of an hour: one connection or all, or by a pooler's errors."""
    monkeypatch.setattr("songswap.warehouse.connection._POOL_WAIT_S", 1)
    with CuttingProxy(hours.platform.settings.warehouse_dsn) as way:
        for whole, cuts in ((False, 45), (True, 15)):
            way.strike(None)
            hours.ask(way.dsn, whole=whole)
            points = way.seen
            for number in range(cuts):
                at = 1 + number * points // cuts
                how = (CUT, DOWN, POOLERS[number // 3 % len(POOLERS)])[number % 3]
                way.strike(at, how)
                hours.trouble(way.dsn, whole=whole)
                way.strike(None)
                hours.assert_all_well((at, points, how))
    hours.end()
    assert hours.broken["WarehouseUnavailable"] > 20, "nearly none was hit"


def test_error_of_any_statement_loses_no_token(hours: Hours) -> None:
    """Of any class, at any table."""
    platform = hours.platform
    platform.execute(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = TG_ARGV[0]; END $$"
    )
    tables = ("songswap.tokens", "songswap.token_exchanges", "songswap.grants", '"SpotifyTokens"')
    errors = ("26000", "42P05", "XX000", "40001", "55P03", "23514", "P0001")
    for table, sqlstate in zip(cycle(tables), errors * 2, strict=False):
        platform.execute(
            f"CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON {table}"
            f" EXECUTE FUNCTION public.fail('{sqlstate}')"
        )
        hours.trouble(platform.settings.warehouse_dsn)
        platform.execute(f"DROP TRIGGER fail ON {table}")
        hours.assert_all_well((table, sqlstate))


def test_servers_own_timeouts(hours: Hours) -> None:
    """Time limits of a DBA that are shorter than Spotify's answers end nothing."""
    platform = hours.platform
    name = psycopg.conninfo.conninfo_to_dict(platform.settings.warehouse_dsn)["dbname"]
    limits = {
        "idle_in_transaction_session_timeout": "1ms",
        "idle_session_timeout": "100ms",
        "transaction_timeout": "300ms",
        "lock_timeout": "1ms",
    }
    for limit, value in limits.items():
        platform.execute(f"ALTER DATABASE {name} SET {limit} = '{value}'")
    platform.fault(path="/api/token", delay_ms=400)
    hours.assert_all_well("slow tokens")
    hours.end()


def test_restart_of_postgresql_loses_no_token(hours: Hours, postgres: Postgres) -> None:
    """While tokens are under way."""
    platform = hours.platform
    platform.fault(path="/api/token", delay_ms=1000)
    with ThreadPoolExecutor(1) as thread:
        trouble = thread.submit(hours.trouble, platform.settings.warehouse_dsn)
        struck(platform, trouble)
        postgres.stop()
        trouble.result()
    postgres.start()
    assert hours.broken["WarehouseUnavailable"] == 1
    platform.mend()
    hours.assert_all_well("a restart")
    hours.end()


def test_locked_tokens_table_loses_no_token(hours: Hours, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, or costs none."""
    platform = hours.platform
    platform.fault(path="/api/token", delay_ms=500)
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(hours.ask, platform.settings.warehouse_dsn, whole=False)
        struck(platform, asking)
        with psycopg.connect(platform.settings.warehouse_dsn) as stranger:
            stranger.execute('LOCK TABLE "SpotifyTokens" IN ACCESS EXCLUSIVE MODE')
            while not platform.rows("SELECT FROM pg_locks WHERE NOT granted"):
                assert not asking.done()
        asking.result()
    hours.assert_all_well("a short lock")
    monkeypatch.setenv("SONGSWAP_WAIT_S", "0.3")
    with ThreadPoolExecutor(1) as thread:
        before = platform.spotify.get("/admin/faults")[0]["struck"]
        trouble = thread.submit(hours.trouble, platform.settings.warehouse_dsn)
        struck(platform, trouble, before)
        with psycopg.connect(platform.settings.warehouse_dsn) as stranger:
            stranger.execute('LOCK TABLE "SpotifyTokens" IN ACCESS EXCLUSIVE MODE')
            trouble.result()
    monkeypatch.delenv("SONGSWAP_WAIT_S")
    with Spool(platform.settings.spool) as spool:
        assert len(spool.tokens()) == USERS
    hours.assert_all_well("a long lock")


def test_locked_tokens_row_costs_no_play(hours: Hours) -> None:
    """Somebody holds it for a whole load."""
    platform = hours.platform
    with psycopg.connect(platform.settings.warehouse_dsn) as stranger:
        stranger.execute('SELECT FROM "SpotifyTokens" ORDER BY id LIMIT 1 FOR UPDATE')
        hours.end()
    hours.assert_all_well("a locked row")


def test_token_that_cannot_be_stored_stops_only_its_user(hours: Hours) -> None:
    platform = hours.platform
    platform.execute(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.user_id = 2 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$"
    )
    platform.execute(
        "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON songswap.tokens"
        " FOR EACH ROW EXECUTE FUNCTION public.fail()"
    )
    for _ in range(2):
        name = hours.ask(platform.settings.warehouse_dsn, whole=False)
    with connect(platform.settings.warehouse_dsn) as connection:
        found = runs.outcomes(connection, name)
    assert found["answered"] + found["unchanged"] == USERS - 1
    assert found["failed"] == 1
    platform.execute("DROP TRIGGER fail ON songswap.tokens")
    hours.assert_all_well("one that could not be stored")
    hours.end()


def struck(platform: Platform, asking: "Future[Any]", before: int = 0) -> None:
    """Wait until all of an hour's tokens are under way."""
    while platform.spotify.get("/admin/faults")[0]["struck"] < before + USERS:
        assert not asking.done()
