"""Migrations: what is missing is made, what is there is left alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from factories import MakePlatform

from songswap.dev.stack.postgres import Postgres
from songswap.errors import (
    CodeOutdated,
    SchemaOutdated,
    SettingsError,
    WarehouseRefused,
    WarehouseUnavailable,
)
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import OLDEST, VERSION, migrate, require_schema

PLATFORM = {
    "Users",
    "SpotifyTokens",
    "Artists",
    "Tracks",
    "ArtistTracks",
    "History",
    "TrackPopularity",
    "TrackFeatures",
    "TrackImages",
    "TrackPreviews",
    "ArtistImages",
    "ArtistPopularity",
    "ArtistGenres",
    "ArtistFollowers",
}


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """The DSN of an empty database."""
    postgres.create_database("empty")
    yield postgres.dsn("empty")
    postgres.drop_database("empty")


def tables(connection: psycopg.Connection, schema: str) -> set[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
    return {row[0] for row in rows}


def test_empty_database_gets_all_tables(empty: str) -> None:
    """Those of the platform, and the pipeline's own schema."""
    with connect(empty) as connection, pytest.raises(SchemaOutdated, match="songswap migrate"):
        require_schema(connection)
    migrate(empty)
    migrate(empty)
    with connect(empty) as connection:
        require_schema(connection)
        assert tables(connection, "public") == PLATFORM
        nullable = connection.execute(
            "SELECT count(*) FROM information_schema.columns"
            " WHERE table_schema = 'public' AND is_nullable = 'YES'"
        ).fetchone()
        assert nullable == (0,)
        cascades = connection.execute(
            "SELECT count(*) FILTER (WHERE confdeltype = 'c' AND confupdtype = 'c'), count(*)"
            " FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
        ).fetchone()
        assert cascades == (13, 13)


def test_widest_image_of_a_track_is_found_without_sorting(warehouse_dsn: str) -> None:
    """As the platform's query of a user's top tracks asks for it."""
    with connect(warehouse_dsn) as connection, connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL enable_seqscan = off")
        connection.execute("SET LOCAL enable_bitmapscan = off")
        rows = connection.execute(
            "EXPLAIN SELECT url FROM \"TrackImages\" WHERE id = 't' ORDER BY width DESC LIMIT 1"
        )
        plan = " ".join(line for (line,) in rows)
    assert "songswap_track_images_id_width" in plan
    assert "Sort" not in plan


def test_tables_of_the_web_app_are_left_alone(empty: str) -> None:
    """A table that the web app has made keeps its columns, its rows and its indexes."""
    with connect(empty) as connection:
        connection.execute(
            'CREATE TABLE "Users" (id serial PRIMARY KEY, username varchar(20) NOT NULL,'
            " email varchar(120) NOT NULL, spotify_id varchar(120) NOT NULL, theirs text)"
        )
        connection.execute('CREATE TABLE "Tracks" (id varchar(24) PRIMARY KEY, name text)')
        connection.execute(
            'CREATE TABLE "History" (user_id int, played_at timestamp, track_id varchar(24),'
            " PRIMARY KEY (user_id, played_at))"
        )
        connection.execute("INSERT INTO \"Users\" VALUES (1, 'u', 'e', 's', 'kept')")
        catalogue = (
            "SELECT c.relname, a.attname, a.atttypid, a.attnotnull FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relname IN"
            " ('Users', 'Tracks', 'History') OR c.oid IN (SELECT indexrelid FROM pg_index WHERE"
            " indrelid IN ('\"Users\"'::regclass, '\"History\"'::regclass)) ORDER BY 1, 2"
        )
        before = connection.execute(catalogue.encode()).fetchall()
        migrate(empty)
        assert connection.execute(catalogue.encode()).fetchall() == before
        assert connection.execute('SELECT theirs FROM "Users"').fetchone() == ("kept",)
        assert tables(connection, "public") == PLATFORM


def test_grants_refused_before_counting_are_polled_again(empty: str) -> None:
    """Unless they have expired."""
    migrate(empty)
    migrate(empty, "0005")
    with connect(empty) as connection:
        connection.execute(
            "DROP TABLE songswap.export_tracks, songswap.streams, songswap.imports;"
            " ALTER TABLE songswap.budgets DROP COLUMN window_learned_at;"
            " ALTER TABLE songswap.polls DROP COLUMN first_answered_at"
        )
        connection.execute("UPDATE songswap.alembic_version SET version_num = '0003'")
        for user, (state, months) in enumerate((("revoked", 1), ("revoked", 7), ("active", 1))):
            connection.execute(
                'INSERT INTO "Users" (id, username, email, spotify_id) VALUES (%s, %s, %s, %s)',
                [user, str(user), str(user), str(user)],
            )
            connection.execute(
                "INSERT INTO songswap.grants (user_id, state, refresh_digest, authorized_at)"
                " VALUES (%s, %s, '', now() - %s * interval '1 month')",
                [user, state, months],
            )
        migrate(empty)
        again = connection.execute(
            "SELECT user_id, refusals FROM songswap.grants WHERE ask_again_at <= now()"
        ).fetchall()
    assert again == [(0, 1)]


def test_schema_of_a_later_version_is_left_alone(empty: str) -> None:
    """Every command asks for the newer code."""
    migrate(empty)
    with connect(empty) as connection:
        connection.execute("UPDATE songswap.schema_version SET version_num = '0099'")
        with pytest.raises(CodeOutdated, match=r"0099, which is newer.*install the newer version"):
            require_schema(connection)
        for to in (VERSION, OLDEST):
            with pytest.raises(CodeOutdated, match="install the newer version"):
                migrate(empty, to)
        shown = connection.execute("SELECT version_num FROM songswap.schema_version").fetchone()
    assert shown == ("0099",)


def test_back_and_forth(make_platform: MakePlatform) -> None:
    """The schema goes back to the version before with all that is in it, and up again; loads go on,
    and a token that is in no other place is not lost."""
    platform = make_platform(users=3)
    platform.load()
    dsn = platform.settings.warehouse_dsn
    with connect(dsn) as connection:
        connection.execute(
            "INSERT INTO songswap.tokens SELECT id, 'new access', 'new refresh', now(),"
            " sha256(convert_to(refresh_token, 'UTF8')), now(), 'too small'"
            ' FROM "SpotifyTokens" ORDER BY id LIMIT 1'
        )
        connection.execute("UPDATE songswap.runs SET state = 'died'")
        tables = ('"History"', '"Tracks"', "songswap.polls", "songswap.steps")
        count = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in tables)  # noqa: S608
        before = connection.execute(count.encode()).fetchall()
        migrate(dsn, OLDEST)
        with pytest.raises(SchemaOutdated, match=OLDEST):
            require_schema(connection)
        assert connection.execute(count.encode()).fetchall() == before
        tokens = connection.execute(
            'SELECT access_token, refresh_token FROM "SpotifyTokens" ORDER BY id LIMIT 1'
        ).fetchone()
        assert tokens == ("new access", "new refresh")
        states = connection.execute("SELECT DISTINCT state FROM songswap.grant_states()").fetchall()
        assert states == [("active",)]
    migrate(dsn)
    platform.execute('DELETE FROM "SpotifyTokens" WHERE refresh_token = %s', "new refresh")
    platform.advance(hours=1)
    platform.load()
    assert platform.history().total() >= before[0][0]


def test_back_where_a_token_would_be_lost(make_platform: MakePlatform) -> None:
    """Where the platform's table is too small for a token, nothing is taken back."""
    platform = make_platform(users=1)
    platform.load()
    platform.execute(
        "INSERT INTO songswap.tokens SELECT id, 'a', repeat('r', 600)::bytea, now(),"
        " sha256(convert_to(refresh_token, 'UTF8')), now(), 'too small' FROM \"SpotifyTokens\""
    )
    with pytest.raises(WarehouseRefused, match="SQLSTATE 22001") as refused:
        migrate(platform.settings.warehouse_dsn, OLDEST)
    assert "rrr" not in str(refused.value)
    assert platform.rows("SELECT version_num FROM songswap.schema_version") == [(VERSION,)]
    assert platform.rows("SELECT count(*) FROM songswap.tokens") == [(1,)]


def test_downgrade_that_loses_erasures_is_refused(empty: str) -> None:
    """Older code would load the users again; an erasure that is over is no reason to stay."""
    migrate(empty)
    with connect(empty) as connection:
        connection.execute(
            "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account, ended_at)"
            " VALUES (17, now(), 'request', false, now())"
        )
        with pytest.raises(WarehouseRefused, match=r"Erasures are in force \(1\)"):
            migrate(empty, "0013")
        require_schema(connection)
        assert connection.execute("SELECT user_id FROM songswap.erasures").fetchall() == [(17,)]
        connection.execute("UPDATE songswap.erasures SET renewed_at = now()")
        migrate(empty, "0013")
        assert "erasures" not in tables(connection, "songswap")


def test_downgrade_that_loses_imports_is_refused(empty: str) -> None:
    """As is an unknown version."""
    for to in ("0001", "0004", "7", "head"):
        with pytest.raises(SettingsError, match="Nothing was changed"):
            migrate(empty, to)


def test_login_without_rights_is_named_without_the_statement(empty: str) -> None:
    with connect(empty) as connection:
        connection.execute("CREATE ROLE maker LOGIN PASSWORD 'maker'")
        try:
            dsn = psycopg.conninfo.make_conninfo(empty, user="maker", password="maker")
            with pytest.raises(
                WarehouseRefused, match="GRANT CREATE ON SCHEMA public TO maker"
            ) as refused:
                migrate(dsn)
            assert "CREATE TABLE" not in str(refused.value)
        finally:
            connection.execute("DROP ROLE maker")


def test_two_at_once(empty: str) -> None:
    """Two that migrate at once wait for each other, and both succeed."""
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate, empty) for _ in range(4)]:
            done.result()
    with connect(empty) as connection:
        require_schema(connection)


def test_unreachable_server_is_named_without_the_password(free_port: object) -> None:
    """By the connection's name."""
    with pytest.raises(WarehouseUnavailable, match="SongSwap_RDS") as refused:
        migrate("postgresql://me:hush@127.0.0.1:1/songswap")
    assert "hush" not in str(refused.value)
