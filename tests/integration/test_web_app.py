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

from songswap.dev.stack.postgres import Postgres
from songswap.errors import SchemaOutdated, WarehouseBusy, WarehouseRefused
from songswap.supervision.process import wait_until
from songswap.warehouse import version
from songswap.warehouse.connection import connect
from songswap.warehouse.contract import TABLES
from songswap.warehouse.indexes import INDEXES, build
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
            references = (
                [sa.ForeignKey(f"{parent}.id", ondelete="CASCADE", onupdate="CASCADE")]
                if parent
                else []
            )
            columns.append(
                sa.Column(
                    column,
                    type_,
                    *references,
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


def test_web_app_migrates_after_ours_once_stamped(database: str, web_app: WebApp) -> None:
    """Its first migration is refused as a whole before."""
    migrate(database)
    with pytest.raises(sa.exc.ProgrammingError, match="already exists"):
        web_app.upgrade()
    assert where(database) == {k: v for k, v in _BESIDE.items() if k != "alembic_version"}
    web_app.stamp()
    web_app.upgrade()
    migrate(database)
    assert where(database) == _BESIDE
    dropped = sorted(f"remove_index {index.name}" for index in INDEXES)
    assert web_app.differences() == dropped, "what its next migration would drop"
    assert web_app.differences(leave_ours) == []


def index_names(dsn: str, *, valid: bool = True) -> set[str]:
    """The names of our indexes on the platform's tables, valid or not."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relname LIKE 'songswap_%%'"
            " AND i.indisvalid = %s",
            [valid],
        )
        return {name for (name,) in rows}


OURS = {index.name for index in INDEXES}


def test_indexes_on_tables_of_the_web_app(database: str, web_app: WebApp) -> None:
    """They are built where no other serves, and the web app that leaves them alone keeps them."""
    web_app.upgrade()
    migrate(database)
    said: list[str] = []
    assert set(build(database, said.append)) == OURS
    assert index_names(database) == OURS
    assert [line for line in said if "built in" in line], said
    assert build(database, said.append) == [], "there is nothing to do"
    assert web_app.differences() == sorted(f"remove_index {name}" for name in OURS)
    assert web_app.differences(leave_ours) == []


def test_indexes_that_others_serve(database: str, web_app: WebApp) -> None:
    """What an index of another name serves is not built again; a partial one serves nobody."""
    web_app.upgrade()
    migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('CREATE INDEX theirs ON public."History" (track_id, played_at)')
        connection.execute(
            'CREATE INDEX partly ON public."ArtistTracks" (artist_id) WHERE is_primary'
        )
    said: list[str] = []
    assert set(build(database, said.append)) == OURS - {"songswap_history_track_id"}
    assert "History: theirs serves plays of a track." in said


def test_index_of_another_kind_has_the_name(database: str, web_app: WebApp) -> None:
    """An index of our name with other columns is not touched, and named."""
    web_app.upgrade()
    migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('CREATE INDEX songswap_history_track_id ON public."History" (user_id)')
    with pytest.raises(WarehouseRefused, match="is an index of other columns than track_id"):
        build(database, lambda _: None)
    assert index_names(database) == {"songswap_history_track_id"}


def test_unfinished_index_is_built_anew(
    database: str, web_app: WebApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that waits for others in vain says whom; what it leaves is dropped by the next."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "0.1")
    web_app.upgrade()
    migrate(database)
    with psycopg.connect(database, application_name="reports") as other:
        other.execute("INSERT INTO public.\"Artists\" VALUES ('a', 'a')")
        other.execute('LOCK TABLE public."History" IN ROW EXCLUSIVE MODE')
        with pytest.raises(WarehouseBusy, match=r"Held by reports .* --indexes' again"):
            build(database, lambda _: None)
        assert index_names(database, valid=False) == {"songswap_history_track_id"}
    monkeypatch.delenv("SONGSWAP_WAIT_S")
    said: list[str] = []
    assert set(build(database, said.append)) == OURS
    assert "songswap_history_track_id: an unfinished one is dropped." in said
    assert index_names(database, valid=False) == set()


def test_second_build_of_indexes_is_refused(database: str, web_app: WebApp) -> None:
    web_app.upgrade()
    migrate(database)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7317528)")
        with pytest.raises(WarehouseBusy, match="Another 'songswap migrate --indexes'"):
            build(database, lambda _: None)
    assert index_names(database) == set()


def test_indexes_without_the_right(database: str, web_app: WebApp) -> None:
    """A login that does not own the tables is told whose they are, before anything is built."""
    web_app.upgrade()
    migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'secret'")
        try:
            login = make_conninfo(database, user="reader", password="secret")
            with pytest.raises(WarehouseRefused, match=r"GRANT (web|songswap) TO reader\. Nothing"):
                build(login, lambda _: None)
        finally:
            connection.execute("DROP ROLE reader")
    assert index_names(database) == set()


def test_indexes_are_built_while_others_write(database: str, web_app: WebApp) -> None:
    """The operator sees what it waits for."""
    said: list[str] = []
    web_app.upgrade()
    migrate(database)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database) as other:
        other.execute('LOCK TABLE public."History" IN ROW EXCLUSIVE MODE')
        building = pool.submit(build, database, said.append)
        # It says how far it is: here, whom it waits for.
        assert wait_until(
            lambda: building.done() or any("waiting for" in line for line in said), 60
        )
        with psycopg.connect(database, autocommit=True) as third:
            third.execute("SET lock_timeout = '5s'")
            third.execute("INSERT INTO public.\"Tracks\" VALUES ('t', 't', 1)")
            third.execute('DELETE FROM public."History"')
        other.rollback()
        assert set(building.result()) == OURS


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
    text = str(refused.value)
    assert "Tables of the web app (Users, alembic_version) are in schema songswap" in text
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in text.partition("run: ")[2].partition(". Then")[0].split("; "):
            if not statement.startswith("ALTER ROLE"):
                connection.execute(statement.encode())
    assert where(database) == {"Users": "public", "alembic_version": "public"}


def test_search_path_of_a_role_of_our_name(database: str, postgres: Postgres) -> None:
    """Such a role makes no tables in our schema; another login can only say what to run."""
    text = migrate(database).advice
    assert "its search path in this database is public" in text
    assert migrate(database).advice == ""
    with psycopg.connect(postgres.dsn("shared"), autocommit=True) as connection:
        assert connection.execute("SELECT current_schema").fetchone() == ("public",)
        connection.execute("ALTER ROLE songswap IN DATABASE shared RESET search_path")
        connection.execute("CREATE ROLE little LOGIN PASSWORD 'secret'")
        connection.execute("GRANT USAGE ON SCHEMA songswap TO little")
        connection.execute("GRANT SELECT ON songswap.schema_version TO little")
        try:
            login = make_conninfo(database, user="little", password="secret")
            text = migrate(login).advice
            statement = text.partition("run: ")[2].partition(". ")[0]
            connection.execute(statement.encode())
            assert "search path" not in migrate(login).advice
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


def test_index_of_the_web_app_is_not_renamed(database: str, web_app: WebApp) -> None:
    """Even if it has a name that ours once had."""
    web_app.upgrade()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('CREATE INDEX "History_track_id" ON public."History" (track_id)')
    migrate(database)
    with psycopg.connect(database) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 'History_track%%' OR relname LIKE"
            " 'songswap_history%%'"
        ).fetchall()
    assert names == [("History_track_id",)]
