"""Which database, schema and rights do: found, or refused in a sentence that says what to run."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from factories import MakePlatform
from psycopg import sql
from psycopg.conninfo import make_conninfo

from songswap.checks.sanity.context import from_environment
from songswap.checks.sanity.run import CHECKS, run_check, run_step
from songswap.clock import utc_now
from songswap.dev.stack.postgres import Postgres
from songswap.errors import RunFailed, WarehouseRefused
from songswap.warehouse.connection import connect, connect_async
from songswap.warehouse.contract import TABLES
from songswap.warehouse.migrate import OLDEST, migrate

_numbers = itertools.count(1)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The DSN of an empty database, and none of the roles that a test may have made in it."""
    name = f"database_{next(_numbers)}"
    postgres.create_database(name)
    yield postgres.dsn(name)
    with psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
        for role in ("me", "web"):
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                # Both: what the role owns and what it was granted, here and of the database.
                connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    postgres.drop_database(name)


def execute(dsn: str, *statements: str) -> None:
    """Run statements."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def as_role(dsn: str, role: str) -> str:
    """The DSN for a role that a test has made."""
    return make_conninfo(dsn, user=role, password="secret")


def schemas_with_tables(dsn: str) -> dict[str, int]:
    """By schema, how many tables of the contract are in it."""
    with psycopg.connect(dsn) as connection:
        return dict(
            connection.execute(
                "SELECT schemaname::text, count(*) FROM pg_tables WHERE tablename = ANY (%s)"
                " GROUP BY 1",
                [list(TABLES)],
            ).fetchall()
        )


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252"])
def test_database_in_another_encoding_is_refused_by_every_command(
    postgres: Postgres, encoding: str
) -> None:
    """Nothing is created."""
    name = f"encoded_{encoding.lower()}"
    create = (
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        " TEMPLATE template0"
    )
    execute(postgres.dsn(), create)
    try:
        dsn = postgres.dsn(name)
        with pytest.raises(WarehouseRefused, match=f"{name}.*its encoding is {encoding}"):
            migrate(dsn)
        with pytest.raises(WarehouseRefused, match="UTF8 is needed"), connect(dsn):
            pass
        assert schemas_with_tables(dsn) == {}
        part = psycopg.conninfo.conninfo_to_dict(dsn)
        environment = {
            "AIRFLOW_CONN_SONGSWAP_RDS": f"postgres://{part['user']}:{part['password']}@"
            f"{part['host']}:{part['port']}/{name}"
        }
        results = list(
            run_check(CHECKS["postgres"], from_environment(environment, "a run", utc_now))
        )
        (red,) = [result for result in results if result.ok is False]
        assert red.step == "query"
        assert f"its encoding is {encoding}" in red.message
    finally:
        postgres.drop_database(name)


@pytest.mark.parametrize("path", ["", "music, public", "public"])
def test_tables_in_another_schema(make_platform: MakePlatform, path: str) -> None:
    """They are found and used, no second set is made, and everything runs on them."""
    platform = make_platform(users=3)
    dsn = platform.settings.warehouse_dsn
    platform.execute('CREATE SCHEMA "music"')
    for table in TABLES:
        platform.execute(f'ALTER TABLE "{table}" SET SCHEMA music')
    platform.execute("DROP SCHEMA songswap CASCADE")
    if path:
        settings = make_conninfo(dsn, options=f"-c search_path={path.replace(' ', '')}")
        platform.settings = replace(platform.settings, warehouse_dsn=settings)
    assert migrate(platform.settings.warehouse_dsn).platform == "music"
    assert schemas_with_tables(dsn) == {"music": 14}
    context = from_environment(platform.environment(), "a run", platform.clock)
    assert "in schema music." in run_step("postgres", "tables", context)
    platform.load()
    platform.advance(hours=1)
    platform.load()
    assert migrate(platform.settings.warehouse_dsn, OLDEST).platform == "music"
    assert migrate(platform.settings.warehouse_dsn).platform == "music"
    platform.advance(hours=1)
    platform.load()
    # The tests' own statements know no other way to it.
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    platform.execute(f"ALTER ROLE songswap IN DATABASE {name} SET search_path = music")
    platform.settings = replace(platform.settings, warehouse_dsn=dsn)
    assert platform.history() == platform.reachable()
    assert platform.history()


async def test_coroutines_use_the_same_schema(database: str) -> None:
    """A connection for coroutines sees the tables that the others see."""
    execute(database, 'CREATE SCHEMA "Odd, name"')
    for table in ("Users", "History"):
        execute(database, f'CREATE TABLE "Odd, name"."{table}" (id int)')
    connection = await connect_async(database)
    try:
        cursor = await connection.execute("SELECT '\"Users\"'::regclass::text, current_schema()")
        assert await cursor.fetchone() == ('"Users"', "Odd, name")
    finally:
        await connection.close()


def test_schema_outside_the_search_path_is_not_guessed(database: str) -> None:
    """With several candidates, the configured path decides."""
    for name in ("one", "two"):
        execute(database, f"CREATE SCHEMA {name}")
        for table in ("Users", "History"):
            execute(database, f'CREATE TABLE {name}."{table}" (id int PRIMARY KEY)')
    with pytest.raises(WarehouseRefused, match=r"several schemas \(one, two\).*SET search_path"):
        migrate(database)
    with pytest.raises(WarehouseRefused, match="nothing was read"), connect(database):
        pass
    assert schemas_with_tables(database) == {"one": 2, "two": 2}
    chosen = make_conninfo(database, options="-c search_path=two,public")
    assert migrate(chosen).platform == "two"
    assert schemas_with_tables(database) == {"one": 2, "two": 14}


def test_an_empty_database_with_a_chosen_schema(database: str) -> None:
    """The tables are made where the login's search path says, and are found there later."""
    execute(database, "CREATE SCHEMA music")
    assert migrate(make_conninfo(database, options="-c search_path=music")).platform == "music"
    assert migrate(database).platform == "music", "the only schema that has them"
    assert schemas_with_tables(database) == {"music": 14}


def test_our_tables_were_made_for_another_schema(make_platform: MakePlatform) -> None:
    """A second set that comes first in the path is not loaded: ours belong to the other one."""
    platform = make_platform(users=2)
    dsn = platform.settings.warehouse_dsn
    platform.execute("CREATE SCHEMA other")
    for table in TABLES:
        platform.execute(f'CREATE TABLE other."{table}" (LIKE public."{table}" INCLUDING ALL)')
    context = from_environment(platform.environment(), "a run", platform.clock)
    assert "Such tables in schema other are not used." in run_step("postgres", "tables", context)
    platform.load()
    there = make_conninfo(dsn, options="-c search_path=other,public")
    platform.settings = replace(platform.settings, warehouse_dsn=there)
    platform.execute('INSERT INTO other."Users" SELECT * FROM public."Users"')
    platform.execute('INSERT INTO other."SpotifyTokens" SELECT * FROM public."SpotifyTokens"')
    with pytest.raises(RunFailed, match="the pipeline's own refer to those in public"):
        platform.load()


def test_statements_that_migrate_names_are_enough(database: str) -> None:
    execute(database, "CREATE ROLE me LOGIN PASSWORD 'secret'")
    me = as_role(database, "me")
    with pytest.raises(WarehouseRefused) as refused:
        migrate(me)
    text = str(refused.value)
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    assert f"GRANT CREATE ON DATABASE {name} TO me; GRANT CREATE ON SCHEMA public TO me." in text
    assert text.count(". ") <= 3
    assert "Traceback" not in text
    execute(database, *named(text))
    assert migrate(me).platform == "public"
    assert schemas_with_tables(database) == {"public": 14}


def named(value: str) -> list[str]:
    """The statements that a refusal names."""
    return value.partition("run: ")[2].partition(". Then")[0].split("; ")


def test_tables_of_the_web_app(database: str) -> None:
    """On tables of another owner REFERENCES is asked for, CREATE only where some are missing."""
    execute(
        database,
        "CREATE ROLE me LOGIN PASSWORD 'secret'",
        "CREATE ROLE web LOGIN PASSWORD 'secret'",
        "CREATE SCHEMA music AUTHORIZATION web",
    )
    assert migrate(make_conninfo(database, options="-c search_path=music")).platform == "music"
    execute(database, "DROP SCHEMA songswap CASCADE")
    for table in TABLES:
        execute(database, f'ALTER TABLE music."{table}" OWNER TO web')
    with pytest.raises(WarehouseRefused) as refused:
        migrate(as_role(database, "me"))
    statements = named(str(refused.value))
    assert statements[1:] == [
        "GRANT USAGE ON SCHEMA music TO me",
        'GRANT REFERENCES ON music."Users" TO me',
    ]
    with psycopg.connect(database) as connection:
        made = connection.execute("SELECT FROM pg_namespace WHERE nspname = 'songswap'").rowcount
    assert made == 0, "nothing is half made"
    execute(database, *statements)
    migrated = migrate(as_role(database, "me"))
    assert migrated.platform == "music"
    text = migrated.advice
    assert 'GRANT SELECT, INSERT, UPDATE, DELETE ON music."History" TO me' in text
    execute(database, *text.partition("run: ")[2].rstrip(".").split("; "))
    assert migrate(as_role(database, "me")).advice == ""


def test_migrate_names_only_the_rights_it_needs(database: str) -> None:
    """On parents of missing tables; a right to another column is none."""
    execute(
        database,
        "CREATE ROLE me LOGIN PASSWORD 'secret'",
        'CREATE TABLE "Users" (id serial PRIMARY KEY, username varchar(20) NOT NULL,'
        " email varchar(120) NOT NULL UNIQUE, spotify_id varchar(120) NOT NULL UNIQUE)",
        'CREATE TABLE "Artists" (id varchar(24) PRIMARY KEY, name varchar(120) NOT NULL)',
        "GRANT CREATE ON SCHEMA public TO me",
        'GRANT REFERENCES (email) ON "Users" TO me',
    )
    with pytest.raises(WarehouseRefused) as refused:
        migrate(as_role(database, "me"))
    statements = named(str(refused.value))
    assert statements[1:] == [
        'GRANT REFERENCES ON public."Users" TO me',
        'GRANT REFERENCES ON public."Artists" TO me',
    ]
    for left_out in statements:
        execute(database, *(statement for statement in statements if statement != left_out))
        with pytest.raises(WarehouseRefused) as refused:
            migrate(as_role(database, "me"))
        assert named(str(refused.value)) == [left_out]
        for statement in statements:
            execute(database, statement.replace("GRANT", "REVOKE", 1).replace(" TO me", " FROM me"))
        execute(database, 'GRANT REFERENCES (email) ON "Users" TO me')
    execute(database, *statements)
    migrate(as_role(database, "me"))


def test_downgrade_writes_the_platforms_tokens(database: str) -> None:
    """An upgrade writes nothing of the platform's tables."""
    execute(database, "CREATE ROLE me LOGIN PASSWORD 'secret'")
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    execute(database, f"GRANT CREATE ON DATABASE {name} TO me", "GRANT ALL ON SCHEMA public TO me")
    me = as_role(database, "me")
    migrate(me)
    for table in TABLES:
        execute(database, f'ALTER TABLE public."{table}" OWNER TO songswap')
    with pytest.raises(WarehouseRefused) as refused:
        migrate(me, "0005")
    assert named(str(refused.value)) == [
        'GRANT SELECT, UPDATE ON public."SpotifyTokens" TO me',
    ]
    migrate(me, "0012")
    migrate(me, "0007")
    execute(database, *named(str(refused.value)))
    migrate(me, "0005")
    with pytest.raises(WarehouseRefused, match="GRANT REFERENCES"):
        migrate(me)


def test_login_that_does_not_own_our_tables_learns_who_does(database: str) -> None:
    """Unless all is up to date; a member of the owner may migrate."""
    execute(
        database,
        "CREATE ROLE me LOGIN PASSWORD 'secret'",
        "CREATE ROLE web LOGIN PASSWORD 'secret'",
    )
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    execute(
        database, f"GRANT CREATE ON DATABASE {name} TO web", "GRANT ALL ON SCHEMA public TO web"
    )
    migrate(as_role(database, "web"))
    me = as_role(database, "me")
    with pytest.raises(WarehouseRefused, match="owned by web"):
        migrate(me)
    execute(
        database,
        "GRANT USAGE ON SCHEMA songswap TO me",
        "GRANT SELECT ON songswap.schema_version TO me",
    )
    assert migrate(me).platform == "public", "there is nothing to do"
    with pytest.raises(WarehouseRefused, match="owned by web"):
        migrate(me, OLDEST)
    execute(database, "GRANT web TO me")
    migrate(me, OLDEST)
    with psycopg.connect(database) as connection:
        version = connection.execute("SELECT version_num FROM songswap.alembic_version").fetchone()
    assert version == (OLDEST,)
    migrate(me)


def test_without_the_schema_public(database: str) -> None:
    """A database without it is told how to have one, or another."""
    execute(database, "DROP SCHEMA public")
    with pytest.raises(WarehouseRefused, match="CREATE SCHEMA public AUTHORIZATION") as refused:
        migrate(database)
    execute(database, *named(str(refused.value)))
    assert migrate(database).platform == "public"


def test_a_run_without_users_is_not_green(make_platform: MakePlatform) -> None:
    """Fewer users than before are told in yellow, none at all in red until they are back."""
    platform = make_platform(users=6)
    assert "missing_users" not in platform.load()
    platform.execute('CREATE TABLE away AS SELECT * FROM "SpotifyTokens" ORDER BY id LIMIT 3')
    platform.execute('DELETE FROM "SpotifyTokens" WHERE id IN (SELECT id FROM away)')
    platform.advance(hours=1)
    counts = platform.load()
    assert counts["missing_users"] == 3
    assert counts["users"] == 3
    platform.advance(hours=1)
    assert "missing_users" not in platform.load(), "it is told once"
    platform.execute('INSERT INTO away SELECT * FROM "SpotifyTokens"')
    platform.execute('DELETE FROM "SpotifyTokens"')
    for _ in range(2):
        platform.advance(hours=1)
        with pytest.raises(RunFailed, match="None of the 3 users of an earlier run"):
            platform.load()
    platform.execute('INSERT INTO "SpotifyTokens" SELECT * FROM away')
    platform.advance(hours=1)
    platform.load()
    assert platform.history() == platform.reachable()
