"""The web app's own migrations beside ours, in both orders, on the tables of the contract.

The web app has models of SQLAlchemy and migrations of Alembic, as Flask-Migrate runs them; its role
may be named like the pipeline's schema.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from psycopg.conninfo import make_conninfo

from songswap.errors import SchemaOutdated, WarehouseRefused
from songswap.local.postgres import Postgres
from songswap.warehouse import version
from songswap.warehouse.connection import connect
from songswap.warehouse.contract import TABLES
from songswap.warehouse.migrate import OLDEST, VERSION, migrate, require_schema

_TYPES = {"integer": sa.Integer, "float": sa.Float, "boolean": sa.Boolean, "timestamp": sa.DateTime}
_TOKENS = {"access_token": sa.String(256), "refresh_token": sa.String(256)}
_UNIQUE = {"email", "spotify_id", *_TOKENS}

_ENV = """
from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["models"],
)
with context.begin_transaction():
    context.run_migrations()
"""


def models() -> sa.MetaData:
    """The web app's models: the tables of the contract, and no index beside their keys."""
    metadata = sa.MetaData()
    for name, table in TABLES.items():
        columns = []
        for column, kind in table.columns.items():
            size = kind.contract.partition("(")[2].rstrip(")")
            type_ = sa.String(int(size)) if size else _TYPES.get(kind.contract, _TOKENS.get(column))
            parent = table.parents.get(column)
            cascades = {"ondelete": "CASCADE", "onupdate": "CASCADE"}
            columns.append(
                sa.Column(
                    column,
                    type_,
                    *([sa.ForeignKey(f"{parent}.id", **cascades)] if parent else []),
                    primary_key=column in table.key,
                    nullable=False,
                    unique=column in _UNIQUE or None,
                )
            )
        sa.Table(name, metadata, *columns)
    return metadata


def leave_ours(
    _object: object, name: str | None, kind: str, reflected: bool, compare_to: object
) -> bool:
    """What docs/deployment.md has the web app's env.py say: our indexes are none of its own."""
    ours = kind == "index" and (name or "").startswith("songswap_")
    return not (ours and reflected and compare_to is None)


class WebApp:
    """The web app's migrations, in a folder, run with the login of ``dsn``."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.engine = sa.create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=sa.NullPool
        )
        self.config = Config()
        self.config.set_main_option("script_location", str(folder))
        self.models = models()

    def run(self, what: Callable[..., Any], *words: Any, **options: Any) -> None:
        """Run a command of Alembic, as ``flask db`` does."""
        with self.engine.connect() as connection:
            self.config.attributes["connection"] = connection
            self.config.attributes["models"] = self.models
            what(self.config, *words, **options)
            connection.commit()

    def upgrade(self) -> None:
        """``flask db upgrade``."""
        self.run(command.upgrade, "head")

    def stamp(self) -> None:
        """``flask db stamp head``."""
        self.run(command.stamp, "head")

    def differences(self, include_object: Callable[..., bool] | None = None) -> list[str]:
        """What its next migration would change: ``flask db migrate``, each change in words."""
        with self.engine.connect() as connection:
            options = {"include_object": include_object} if include_object else {}
            context = MigrationContext.configure(connection, opts=options)
            found = compare_metadata(context, self.models)
        return sorted(f"{kind} {getattr(what, 'name', what)}" for kind, what, *_ in found)


@pytest.fixture(params=["songswap", "web"])
def database(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[str]:
    """The DSN of an empty database, for a role named like our schema and for another.

    Each has PostgreSQL's default search path.
    """
    postgres.create_database("shared")
    dsn = postgres.dsn("shared")
    other = request.param != "songswap"
    with psycopg.connect(dsn, autocommit=True) as connection:
        if other:
            connection.execute("CREATE ROLE web LOGIN SUPERUSER PASSWORD 'secret'")
    yield make_conninfo(dsn, user="web", password="secret") if other else dsn
    postgres.drop_database("shared")
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        if other:
            connection.execute("DROP ROLE web")


@pytest.fixture
def web_app(database: str, tmp_path: Path, postgres: Postgres) -> WebApp:
    """The web app, with the migration that makes its tables, as it was written elsewhere."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(_ENV)
    template = Path(command.__file__).parent / "templates" / "generic" / "script.py.mako"
    (folder / "script.py.mako").write_text(template.read_text())
    postgres.create_database("elsewhere")
    try:
        elsewhere = WebApp(postgres.dsn("elsewhere"), folder)
        elsewhere.run(command.revision, message="tables", autogenerate=True)
    finally:
        postgres.drop_database("elsewhere")
    return WebApp(database, folder)


def where(dsn: str) -> dict[str, str]:
    """By table of the contract or of Alembic, the schemas that have it."""
    names = [*TABLES, "alembic_version", "schema_version"]
    with psycopg.connect(dsn) as connection:
        return dict(
            connection.execute(
                "SELECT tablename::text, string_agg(schemaname, ' ' ORDER BY schemaname)"
                " FROM pg_tables WHERE tablename = ANY (%s) GROUP BY 1",
                [names],
            ).fetchall()
        )


_BESIDE = dict.fromkeys([*TABLES, "alembic_version"], "public") | {"schema_version": "songswap"}


def test_web_app_first(database: str, web_app: WebApp) -> None:
    """After the web app's migration ours adds nothing to its tables, and both go on."""
    web_app.upgrade()
    migrate(database)
    assert where(database) == _BESIDE
    assert web_app.differences() == []
    web_app.upgrade()
    migrate(database)
    sa.Table("Playlists", web_app.models, sa.Column("id", sa.Integer, primary_key=True))
    web_app.run(command.revision, message="more", autogenerate=True)
    web_app.upgrade()
    with psycopg.connect(database) as connection:
        made = connection.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'Playlists'"
        ).fetchall()
    assert made == [("public",)]
    with connect(database) as connection:
        require_schema(connection)


def test_ours_first(database: str, web_app: WebApp) -> None:
    """After ours, the web app's first migration is refused as a whole; stamped, it goes on."""
    migrate(database)
    with pytest.raises(sa.exc.ProgrammingError, match="already exists"):
        web_app.upgrade()
    assert where(database) == {k: v for k, v in _BESIDE.items() if k != "alembic_version"}
    web_app.stamp()
    web_app.upgrade()
    migrate(database)
    assert where(database) == _BESIDE
    assert web_app.differences(leave_ours) == []


def test_earlier_version_table_is_moved(database: str, web_app: WebApp) -> None:
    """Who has our version under Alembic's name, as it was, keeps it; the web app finds its own."""
    web_app.upgrade()
    migrate(database)
    migrate(database, OLDEST)
    with connect(database) as connection:
        assert version.read(connection) == ("alembic_version", OLDEST)
        with pytest.raises(SchemaOutdated, match=f"at version {OLDEST} and {VERSION} is needed"):
            require_schema(connection)
    migrate(database)
    assert where(database) == _BESIDE
    web_app.upgrade()
    with connect(database) as connection:
        assert version.read(connection) == ("schema_version", VERSION)
        rows = connection.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'songswap.schema_version'::regclass"
            " AND contype = 'p'"
        ).fetchall()
    assert rows == [("schema_version_pkc",)]


def test_many_move_it_at_once(database: str) -> None:
    """Those who migrate, and those who look meanwhile, never find it gone or half moved."""
    migrate(database)
    migrate(database, OLDEST)
    done = False

    def look() -> int:
        looks = 0
        with connect(database) as connection:
            while not done:
                with suppress(SchemaOutdated):
                    require_schema(connection)
                assert version.read(connection).number in (OLDEST, VERSION)
                looks += 1
        return looks

    with ThreadPoolExecutor(5) as pool:
        looking = [pool.submit(look) for _ in range(2)]
        moving = [pool.submit(migrate, database) for _ in range(3)]
        try:
            for one in moving:
                one.result()
        finally:
            done = True
        assert all(one.result() for one in looking)
    with connect(database) as connection:
        require_schema(connection)


def test_web_app_that_wrote_into_our_schema(database: str, web_app: WebApp) -> None:
    """Tables that a role of our schema's name made in it are named, with what moves them."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA songswap")
        connection.execute("SET search_path = songswap")
        connection.execute('CREATE TABLE "Users" (id serial PRIMARY KEY)')
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
    with pytest.raises(WarehouseRefused) as refused:
        migrate(database)
    told = str(refused.value)
    assert "Tables of the web app (Users, alembic_version) are in schema songswap" in told
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in told.partition("run: ")[2].partition(". Then")[0].split("; "):
            if not statement.startswith("ALTER ROLE"):
                connection.execute(statement.encode())
    assert where(database) == {"Users": "public", "alembic_version": "public"}


def test_search_path_of_a_role_of_our_name(database: str, postgres: Postgres) -> None:
    """Such a role makes no tables in our schema; another login can only say what to run."""
    told = migrate(database).advice
    assert "its search path in this database is public" in told
    assert migrate(database).advice == ""
    with psycopg.connect(postgres.dsn("shared"), autocommit=True) as connection:
        assert connection.execute("SELECT current_schema").fetchone() == ("public",)
        connection.execute("ALTER ROLE songswap IN DATABASE shared RESET search_path")
        connection.execute("CREATE ROLE little LOGIN PASSWORD 'secret'")
        connection.execute("GRANT USAGE ON SCHEMA songswap TO little")
        connection.execute("GRANT SELECT ON songswap.schema_version TO little")
        try:
            login = make_conninfo(database, user="little", password="secret")
            told = migrate(login).advice
            statement = told.partition("run: ")[2].rstrip(".")
            connection.execute(statement.encode())
            assert migrate(login).advice == ""
        finally:
            connection.execute("DROP OWNED BY little; DROP ROLE little")


def test_no_table_of_ours_has_a_name_of_theirs(database: str) -> None:
    """By their names alone nobody takes our tables for those of the contract, or of Flask's."""
    migrate(database)
    theirs = {name.casefold() for name in TABLES} | {"alembic_version", "sessions"}
    with psycopg.connect(database) as connection:
        ours = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'songswap'::regnamespace"
        ).fetchall()
    assert len(ours) > 20
    assert [name for (name,) in ours if name.casefold() in theirs] == []
