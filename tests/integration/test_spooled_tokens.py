"""A warehouse that goes back in time, by a failover or from a dump, costs no user and no play."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.postgres import Postgres
from songswap.models import RotatedToken, token_digest
from songswap.pipelines import replay
from songswap.pipelines.spooled_tokens import put_back
from songswap.storage.spool import Spool
from songswap.warehouse import tokens
from songswap.warehouse.connection import connect, connect_async
from songswap.warehouse.runs import Users

ROTATED = ("--rotate-refresh-tokens", "1")
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DAYS = timedelta(days=2)
ALL = Users(0, 2**31 - 1, None)


class Dump:
    """A copy of a database, which can take its place again."""

    def __init__(self, postgres: Postgres, dsn: str) -> None:
        self._postgres = postgres
        self._name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
        self._copy = f"{self._name}_dump"
        postgres.create_database(self._copy, template=self._name)

    def restore(self) -> None:
        """Have the database as it was when it was copied."""
        self._postgres.drop_database(self._name)
        self._postgres.create_database(self._name, template=self._copy)
        self._postgres.drop_database(self._copy)


def states(platform: Platform) -> dict[str, int]:
    """How many grants are in which state."""
    return dict(platform.rows("SELECT state, count(*) FROM songswap.grants GROUP BY 1"))


def test_restored_from_a_dump(
    make_platform: MakePlatform, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is lost with the hours since the dump, and a replay of them restores the plays."""
    platform = make_platform(*ROTATED, users=6)
    platform.load()
    platform.advance(hours=2)
    platform.load()
    since = platform.clock()
    dump = Dump(postgres, platform.settings.warehouse_dsn)
    for _ in range(2):
        platform.advance(hours=12)
        platform.load()
    before, given = platform.history(), held(platform.settings.warehouse_dsn).values()
    dump.restore()
    assert len(platform.history()) < len(before)
    platform.advance(hours=1)
    counts = platform.load()
    assert counts["tokens_put_back"] == 6
    assert "it held older tokens of 6 users" in caplog.text
    assert f"`songswap replay --from {since:%Y-%m-%dT%H}` restores the plays" in caplog.text
    assert not any(token in caplog.text for token in given)
    assert (counts.get("refused", 0), counts.get("failed", 0)) == (0, 0)
    assert states(platform) == {"active": 6}
    for unit in replay.plan(platform.settings, since=since):
        replay.replay(platform.settings, "a replay", unit)
    assert platform.history() == platform.reachable()
    assert len(platform.history()) >= len(before)
    platform.advance(hours=1)
    counts = platform.load()
    assert "tokens_put_back" not in counts
    assert (counts.get("refused", 0), counts.get("failed", 0)) == (0, 0)
    assert platform.history() == platform.reachable()


def test_without_stored_tokens_their_users_are_refused(
    make_platform: MakePlatform, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is restored: those of the hours since the backup are lost."""
    platform = make_platform(*ROTATED, users=2)
    platform.settings = replace(platform.settings, keep_tokens=timedelta(0))
    platform.load()
    platform.advance(hours=1)
    dump = Dump(postgres, platform.settings.warehouse_dsn)
    platform.load()
    dump.restore()
    platform.advance(hours=1)
    counts = platform.load()
    assert (counts["refused"], counts.get("tokens_put_back")) == (2, None)
    assert "went back in time" not in caplog.text


def held(dsn: str) -> dict[int, str]:
    """The refresh tokens to ask with."""
    with connect(dsn) as connection:
        rows = connection.execute("SELECT user_id, refresh_token FROM songswap.current_tokens()")
        return {user: tokens.decode(token) for user, token in rows}


@pytest.fixture
def spool(tmp_path: Path) -> Any:
    """A spool that remembers tokens for two days."""
    with Spool(tmp_path / "spool", remembers=DAYS) as opened:
        yield opened


def rotate(spool: Spool, user: int, *chain: str, at: datetime = NOW) -> None:
    """Have tokens take each other's place, as the warehouse was told."""
    for spent, given in pairwise(chain):
        token = RotatedToken(user, spent, f"access {given}", given, LATER)
        spool.add_tokens([token])
        spool.drop_tokens([token], at)


def write(dsn: str, **given: str) -> None:
    """Have users with these refresh tokens, as the web app writes them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, token in given.items():
            user = int(name.removeprefix("user"))
            connection.execute('INSERT INTO "Users" VALUES (%s, %s, %s, %s)', [user, *[user] * 3])
            connection.execute(
                'INSERT INTO "SpotifyTokens" VALUES (%s, %s, %s)', [user, f"a{user}", token]
            )


async def test_newer_spooled_tokens_replace_older_ones(warehouse_dsn: str, spool: Spool) -> None:
    """Only where the warehouse holds a token that was exchanged since."""
    write(
        warehouse_dsn,
        user1="A1",  # the first of three
        user2="B2",  # the second of three
        user3="C3",  # up to date
        user4="X4",  # of a login
        user5="A5",  # never rotated
        user6="A6",  # before a login whose tokens were rotated too
        user7="A8",  # another's
    )
    for user in (1, 2, 3, 4):
        rotate(spool, user, f"A{user}", f"B{user}", f"C{user}")
    rotate(spool, 6, "A6", "B6")
    rotate(spool, 6, "X6", "Y6")
    rotate(spool, 8, "A8", "B8")
    assert await put_back(warehouse_dsn, spool, ALL, NOW) == (3, set())
    expected = {1: "C1", 2: "C2", 3: "C3", 4: "X4", 5: "A5", 6: "B6", 7: "A8"}
    assert held(warehouse_dsn) == expected
    assert await put_back(warehouse_dsn, spool, ALL, NOW) == (0, set())
    with psycopg.connect(warehouse_dsn) as connection:
        rows = connection.execute('SELECT id, refresh_token FROM "SpotifyTokens"').fetchall()
        assert dict(rows) == expected, "they are mirrored"
        rows = connection.execute("SELECT user_id, state FROM songswap.grants").fetchall()
        assert dict(rows) == {1: "active", 2: "active", 6: "active"}


async def test_users_of_a_batch_alone(warehouse_dsn: str, spool: Spool) -> None:
    """A batch puts back what its own users lack."""
    write(warehouse_dsn, **{f"user{user}": f"A{user}" for user in range(1, 7)})
    for user in range(1, 7):
        rotate(spool, user, f"A{user}", f"B{user}")
    assert await put_back(warehouse_dsn, spool, Users(2, 4, [2, 4]), NOW) == (2, set())
    assert await put_back(warehouse_dsn, spool, Users(5, 6, None), NOW) == (2, set())
    assert held(warehouse_dsn) == {1: "A1", 2: "B2", 3: "A3", 4: "B4", 5: "B5", 6: "B6"}


async def test_grant_of_a_restored_warehouse_is_active_again(
    warehouse_dsn: str, spool: Spool
) -> None:
    """A run had taken it for dead."""
    write(warehouse_dsn, user1="A")
    rotate(spool, 1, "A", "B")
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO songswap.grants (user_id, state, refresh_digest, authorized_at, refusals)"
            " VALUES (1, 'revoked', %s, %s, 1)",
            [token_digest("A"), NOW - 30 * DAYS],
        )
        assert await put_back(warehouse_dsn, spool, ALL, NOW) == (1, set())
        row = connection.execute("SELECT state, authorized_at, refusals FROM songswap.grants")
        assert row.fetchone() == ("active", NOW - 30 * DAYS, 0)


async def test_login_during_a_restore_is_not_overwritten(warehouse_dsn: str, spool: Spool) -> None:
    write(warehouse_dsn, user1="A1", user2="A2")
    rotate(spool, 1, "A1", "B1")
    rotate(spool, 2, "A2", "B2")
    successors = spool.successors([(user, token_digest(f"A{user}")) for user in (1, 2)])
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute("UPDATE \"SpotifyTokens\" SET refresh_token = 'X' WHERE id = 1")
    async with await connect_async(warehouse_dsn) as connection:
        assert await tokens.store(connection, successors, NOW) == [2]
    assert held(warehouse_dsn) == {1: "X", 2: "B2"}


async def test_locked_row_is_put_back(warehouse_dsn: str, spool: Spool) -> None:
    """A row of "SpotifyTokens" that somebody locks keeps no token from coming back."""
    write(warehouse_dsn, user1="A1", user2="A2")
    for user in (1, 2):
        rotate(spool, user, f"A{user}", f"B{user}")
    with psycopg.connect(warehouse_dsn) as stranger:
        stranger.execute('SELECT FROM "SpotifyTokens" WHERE id = 1 FOR UPDATE')
        assert await put_back(warehouse_dsn, spool, ALL, NOW) == (2, set())
        assert held(warehouse_dsn) == {1: "B1", 2: "B2"}


async def test_refused_token_is_named_and_others_restored(warehouse_dsn: str, spool: Spool) -> None:
    write(warehouse_dsn, user1="A1", user2="A2", user3="A3")
    for user in (1, 2, 3):
        rotate(spool, user, f"A{user}", f"B{user}")
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE songswap.tokens ADD CHECK (user_id <> 2)")
    assert await put_back(warehouse_dsn, spool, ALL, NOW) == (2, {2})
    assert held(warehouse_dsn) == {1: "B1", 2: "A2", 3: "B3"}


async def test_costs_nothing_without_rotations(spool: Spool) -> None:
    """Where no token was rotated, and after the time for which they are kept, nobody is asked."""
    nowhere = "host=127.0.0.1 port=1"
    spool.add_tokens([RotatedToken(1, "A", "access", "A", LATER)])
    spool.drop_tokens([RotatedToken(1, "A", "access", "A", LATER)], NOW)
    assert await put_back(nowhere, spool, ALL, NOW) == (0, set())
    rotate(spool, 1, "A", "B", "C")
    rotate(spool, 1, "C", "D", at=NOW + timedelta(hours=1))
    spool.forget_rotations(NOW + DAYS)
    assert spool.successors([(1, token_digest("A"))]) == []
    (left,) = spool.successors([(1, token_digest("C"))])
    assert (left.refresh_token, left.expires_at) == ("D", LATER)
    spool.forget_rotations(NOW + DAYS + timedelta(hours=1))
    assert await put_back(nowhere, spool, ALL, NOW) == (0, set())
    assert b"access D" not in spool.path.read_bytes(), "what is forgotten is not on the disk"


def test_they_stop_no_load(tmp_path: Path) -> None:
    """However many rotated tokens are kept, the room for answers is what it was."""
    with Spool(tmp_path / "small", most_bytes=2**17, remembers=DAYS) as spool:
        for user in range(100):
            chain = [f"{user} {number} {'x' * 180}" for number in range(13)]
            pairs = pairwise(chain)
            spool.drop_tokens([RotatedToken(user, a, "a" * 220, b, LATER) for a, b in pairs], NOW)
        assert spool.size() > 2**17
        assert spool.full() is None


def test_damaged_row_is_no_token(spool: Spool) -> None:
    """What the disk damaged of a chain is not believed; another user's chain is."""
    for user in (1, 2, 3):
        rotate(spool, user, "A", "B", f"C{user}")
    for damage in (
        "UPDATE rotations SET successor = x'61' WHERE user_id = 1",
        "UPDATE rotations SET refresh_token = x'61' WHERE user_id = 2 AND access_token NOT NULL",
    ):
        spool.file.run(partial(spool.file.db.execute, damage), "BEGIN IMMEDIATE")
    found = spool.successors([(user, token_digest("A")) for user in (1, 2, 3)])
    assert [(one.user_id, one.refresh_token) for one in found] == [(3, "C3")]


def test_broken_file_is_no_loss(spool: Spool, tmp_path: Path) -> None:
    """A spool file that is put aside as broken hands on what it remembers of tokens."""
    for user in range(1, 50):
        rotate(spool, user, "A", f"B{user}", f"C{user}")
    spool.__exit__()
    with spool.path.open("r+b") as file:
        file.write(b"no database")
    with Spool(tmp_path / "spool", remembers=DAYS) as opened:
        assert len(opened.recoveries()) == 1
        found = opened.successors([(user, token_digest("A")) for user in range(1, 50)])
        assert [one.refresh_token for one in found] == [f"C{user}" for user in range(1, 50)]
        assert Counter(user for user, _ in opened.latest_tokens(0, 100, 99)) == Counter(
            range(1, 50)
        )


def test_file_of_the_version_before(tmp_path: Path, spool: Spool) -> None:
    """A file without the table is taken over as it is, with what waits in it."""
    waiting = RotatedToken(1, "spent", "access", "refresh", LATER)
    spool.add_tokens([waiting])
    spool.file.run(partial(spool.file.db.execute, "DROP TABLE rotations"), "BEGIN IMMEDIATE")
    spool.__exit__()
    with Spool(tmp_path / "spool", remembers=DAYS) as opened:
        assert opened.tokens() == [waiting]
        opened.drop_tokens([waiting], NOW)
        assert opened.tokens() == []
        (found,) = opened.successors([(1, token_digest("spent"))])
        assert found.refresh_token == "refresh"
        assert opened.recoveries() == []
