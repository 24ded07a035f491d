"""The platform's tables as others may have made them: what works, and what is said of the rest."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from factories import MakePlatform, Platform
from psycopg.conninfo import make_conninfo

from songswap.checks.acceptance import sample
from songswap.checks.sanity.context import from_environment
from songswap.checks.sanity.run import run_step
from songswap.errors import CheckFailed, PlatformUnfit, RunFailed, SongSwapError
from songswap.pipelines.hourly_load import load_once
from songswap.warehouse import deviations
from songswap.warehouse.connection import connect
from songswap.warehouse.contract import TABLES


def columns_of_all(platform: Platform) -> set[str]:
    """Every name of a column that a statement of the pipeline could mean."""
    ours = platform.rows(
        "SELECT DISTINCT column_name::text FROM information_schema.columns"
        " WHERE table_schema = 'songswap'"
    )
    return {name for table in TABLES.values() for name in table.columns} | {
        *(name for (name,) in ours),
        *("day", "held", "missing", "moment", "number", "number_of", "place", "token", "told"),
    }


def described(platform: Platform) -> list[str]:
    """What the check says is wrong with the tables."""
    with connect(platform.settings.warehouse_dsn) as connection:
        return [one.sentence for one in deviations.find(connection)]


def checked(platform: Platform) -> str:
    """What the step ``tables`` of the check says, red or green."""
    context = from_environment(platform.environment(), "a run", platform.clock)
    try:
        return run_step("postgres", "tables", context)
    except CheckFailed as error:
        return f"red: {error}"


def rows(platform: Platform, table: str) -> Counter[tuple[Any, ...]]:
    """The rows of a table of the contract, in the contract's columns."""
    names = ", ".join(f'"{name}"' for name in TABLES[table].columns)
    return Counter(platform.rows(f'SELECT {names} FROM "{table}"'))  # noqa: S608 - the contract's names


def load_two_hours(platform: Platform) -> None:
    """Two loads, the second of what is partly known; nothing may be missing or wrong."""
    platform.load()
    platform.advance(hours=1)
    platform.load()
    assert platform.history() == platform.reachable()
    assert platform.history()
    for table in ("Tracks", "TrackImages", "TrackPopularity", "ArtistGenres", "TrackFeatures"):
        assert rows(platform, table), table


def test_added_columns_with_a_default_change_nothing(make_platform: MakePlatform) -> None:
    """Whatever their names; NULL is a default too."""
    platform = make_platform(users=3)
    for table, contract in TABLES.items():
        added = columns_of_all(platform) - contract.columns.keys()
        parts = [f'ADD COLUMN "{name}" text' for name in sorted(added)]
        parts += [
            "ADD COLUMN created timestamptz NOT NULL DEFAULT now()",
            "ADD COLUMN row_number bigint GENERATED ALWAYS AS IDENTITY",
            f'ADD COLUMN copied text GENERATED ALWAYS AS ("{contract.key[0]}"::text) STORED',
        ]
        platform.execute(f'ALTER TABLE "{table}" {", ".join(parts)}')
    assert described(platform) == []
    load_two_hours(platform)
    with connect(platform.settings.warehouse_dsn) as connection:
        about = sample.Sample(at=platform.clock(), user_id=sample.USER_ID)
        sample.make(connection, about)
        assert sample.found(connection, about)["Users"]
        sample.remove(connection, about)


def test_another_order_of_columns(make_platform: MakePlatform) -> None:
    """Values get into the columns of their names, wherever those stand."""
    platform = make_platform(users=3)
    for table, contract in TABLES.items():
        if table not in ("Users", "SpotifyTokens"):
            reverse(platform, table, list(contract.columns))
    load_two_hours(platform)
    widths = platform.rows(
        'SELECT height, width FROM "TrackImages" WHERE id IN'
        ' (SELECT id FROM "TrackImages" GROUP BY id HAVING count(*) > 1) ORDER BY 1 DESC LIMIT 1'
    )
    assert widths
    assert platform.rows('SELECT count(*) FROM "Tracks" WHERE duration_ms < 1000') == [(0,)]


def reverse(platform: Platform, table: str, columns: Sequence[str]) -> None:
    """Move a table's columns into the other order: each is added again behind the others."""
    for name in reversed(columns):
        platform.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{name}" TO "old_{name}"')
    (types,) = platform.rows(
        "SELECT jsonb_object_agg(attname, format_type(atttypid, atttypmod)) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0",
        f'"{table}"',
    )
    for name in reversed(columns):
        type_ = types[0][f"old_{name}"]
        platform.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {type_} NOT NULL')
    for name in columns:
        platform.execute(f'ALTER TABLE "{table}" DROP COLUMN "old_{name}" CASCADE')
    key = ", ".join(f'"{name}"' for name in TABLES[table].key)
    platform.execute(f'ALTER TABLE "{table}" ADD PRIMARY KEY ({key})')


WIDER = {
    "text": [(t, c, "text") for t in TABLES for c, k in TABLES[t].columns.items() if k.size > 3],
    "tokens": [("SpotifyTokens", c, "text") for c in ("access_token", "refresh_token")],
    "bigint": [
        (t, c, "bigint")
        for t in TABLES
        for c, k in TABLES[t].columns.items()
        if k.contract == "integer"
    ],
    "numeric": [
        (t, c, "numeric")
        for t in TABLES
        for c, k in TABLES[t].columns.items()
        if "numeric" in k.types
    ],
    "small and real": [
        (t, c, "smallint" if "int2" in k.types else "real")
        for t in TABLES
        for c, k in TABLES[t].columns.items()
        if k.types & {"int2", "float4"}
    ],
    "domains": [
        ("Artists", "name", "a_name"),
        ("Tracks", "name", "a_name"),
        ("Tracks", "duration_ms", "ms"),
    ],
    "milliseconds": [("History", "played_at", "timestamp(3)")],
}


@pytest.mark.parametrize("kind", list(WIDER))
def test_other_types_that_will_do(make_platform: MakePlatform, kind: str) -> None:
    """Types that hold what is loaded are accepted in silence, and loads are right."""
    platform = make_platform(users=2)
    platform.execute("CREATE DOMAIN a_name AS varchar(300) CHECK (length(value) < 300)")
    platform.execute("CREATE DOMAIN whole AS integer")
    platform.execute("CREATE DOMAIN ms AS whole NOT NULL CHECK (value >= 0)")
    for table, column, type_ in WIDER[kind]:
        platform.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE {type_}')
    assert described(platform) == []
    load_two_hours(platform)


def test_identity_and_other_keys(make_platform: MakePlatform) -> None:
    """An id that is always generated, keys of another order or name, and further ones will do."""
    platform = make_platform(users=2)
    platform.execute('ALTER TABLE "Users" ALTER COLUMN id DROP DEFAULT')
    platform.execute(
        'ALTER TABLE "Users" ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (START 1000)'
    )
    platform.execute('ALTER TABLE "History" DROP CONSTRAINT "History_pkey"')
    platform.execute('CREATE UNIQUE INDEX one ON "History" (played_at, user_id) INCLUDE (track_id)')
    platform.execute('ALTER TABLE "History" ADD COLUMN number serial PRIMARY KEY')
    for table in ("ArtistGenres", "ArtistTracks", "TrackFeatures"):
        platform.execute(f'ALTER TABLE "{table}" ADD COLUMN number serial UNIQUE DEFERRABLE')
    assert described(platform) == []
    load_two_hours(platform)
    with connect(platform.settings.warehouse_dsn) as connection:
        about = sample.Sample(at=platform.clock(), user_id=sample.USER_ID)
        sample.make(connection, about)
        sample.remove(connection, about)


def test_partitioned_history_with_the_key_is_accepted(make_platform: MakePlatform) -> None:
    platform = make_platform(users=2)
    platform.execute('DROP TABLE "History"')
    platform.execute(
        'CREATE TABLE public."History" (played_at timestamp NOT NULL, user_id integer NOT NULL'
        ' REFERENCES "Users" ON DELETE CASCADE, track_id varchar(24) NOT NULL REFERENCES "Tracks"'
        " ON DELETE CASCADE, PRIMARY KEY (user_id, played_at)) PARTITION BY RANGE (played_at)"
    )
    for bounds in ("MINVALUE) TO ('2026-11-22 12:00'", "'2026-11-22 12:00') TO (MAXVALUE"):
        name = "old" if "MIN" in bounds else "new"
        platform.execute(f'CREATE TABLE {name} PARTITION OF "History" FOR VALUES FROM ({bounds})')
    assert described(platform) == []
    load_two_hours(platform)


def test_null_is_read_as_empty(make_platform: MakePlatform) -> None:
    """Where the platform's columns may be NULL and are, loads go on; the check says it."""
    platform = make_platform(users=2)
    platform.load()
    for table, column in (
        ("Tracks", "name"),
        ("Tracks", "duration_ms"),
        ("Artists", "name"),
        ("TrackImages", "url"),
        ("ArtistTracks", "is_primary"),
        ("TrackPopularity", "popularity"),
    ):
        platform.execute(f'ALTER TABLE "{table}" ALTER COLUMN {column} DROP NOT NULL')
        platform.execute(f'UPDATE "{table}" SET {column} = NULL')  # noqa: S608 - named above
    platform.advance(hours=1)
    platform.load()
    assert platform.history() == platform.reachable()
    text = checked(platform)
    assert 'public."Tracks".name may be NULL' in text
    assert 'ALTER TABLE public."Tracks" ALTER COLUMN name SET NOT NULL' in text
    assert not text.startswith("red")


BROKEN: dict[str, tuple[str, tuple[str, ...]]] = {
    "added NOT NULL": (
        'ALTER TABLE "Tracks" ADD COLUMN label text NOT NULL',
        ('public."Tracks".label is NOT NULL without a default', "SET DEFAULT"),
    ),
    "added NOT NULL domain": (
        'CREATE DOMAIN needed AS text NOT NULL; ALTER TABLE "History" ADD COLUMN label needed',
        ('public."History".label is NOT NULL without a default',),
    ),
    "renamed": (
        'ALTER TABLE "History" RENAME COLUMN played_at TO heard_at',
        ('public."History".played_at is not there', "RENAME COLUMN"),
    ),
    "dropped": (
        'ALTER TABLE "TrackImages" DROP COLUMN url',
        ('public."TrackImages".url is not there', "ADD COLUMN url varchar(240)"),
    ),
    "with a zone": (
        'ALTER TABLE "History" ALTER COLUMN played_at TYPE timestamptz',
        ("is of type timestamptz, and timestamp is needed", "USING played_at AT TIME ZONE 'UTC'"),
    ),
    "a text": (
        'ALTER TABLE "History" ALTER COLUMN played_at TYPE text',
        ("is of type text, and timestamp is needed",),
    ),
    "a date": (
        'ALTER TABLE "TrackPopularity" ALTER COLUMN date TYPE date',
        ("is of type date, and timestamp is needed",),
    ),
    "to the second": (
        'ALTER TABLE "History" ALTER COLUMN played_at TYPE timestamp(0)',
        ("holds 0 digits of a second, and 3 are needed",),
    ),
    "blanks": (
        'ALTER TABLE "Tracks" ALTER COLUMN id TYPE char(24)',
        ('"Tracks".id is of type bpchar, and varchar(24) is needed',),
    ),
    "too short": (
        'ALTER TABLE "Tracks" ALTER COLUMN name TYPE varchar(100)',
        ('"Tracks".name holds 100 characters, and 240 are needed', "TYPE varchar(240)"),
    ),
    "too narrow": (
        'ALTER TABLE "Tracks" ALTER COLUMN duration_ms TYPE smallint',
        ("is of type int2, and integer is needed",),
    ),
    "not boolean": (
        'ALTER TABLE "ArtistTracks" ALTER COLUMN is_primary TYPE integer USING 1',
        ("is of type int4, and boolean is needed",),
    ),
    "generated": (
        'ALTER TABLE "Tracks" DROP COLUMN duration_ms;'
        'ALTER TABLE "Tracks" ADD COLUMN duration_ms integer GENERATED ALWAYS AS (1) STORED',
        ('"Tracks".duration_ms is generated by an expression',),
    ),
    "no key": (
        'ALTER TABLE "History" DROP CONSTRAINT "History_pkey"',
        ("has no unique key (user_id, played_at)", "ADD UNIQUE (user_id, played_at)"),
    ),
    "deferrable key": (
        'ALTER TABLE "TrackImages" DROP CONSTRAINT "TrackImages_pkey",'
        " ADD PRIMARY KEY (id, height, width) DEFERRABLE",
        ("has no unique key (id, height, width)", "is deferrable"),
    ),
    "partial key": (
        'ALTER TABLE "ArtistGenres" DROP CONSTRAINT "ArtistGenres_pkey";'
        "CREATE UNIQUE INDEX partly ON \"ArtistGenres\" (id, genre) WHERE genre <> ''",
        ("has no unique key (id, genre)", "partly is partial"),
    ),
    "a wider key": (
        'ALTER TABLE "History" DROP CONSTRAINT "History_pkey",'
        " ADD PRIMARY KEY (user_id, played_at, track_id)",
        ("has no unique key (user_id, played_at)",),
    ),
    "a view": (
        'ALTER TABLE "TrackPreviews" RENAME TO previews;'
        'CREATE VIEW public."TrackPreviews" AS SELECT * FROM previews',
        ('"TrackPreviews" is a view, whose rows have no key',),
    ),
    "a foreign table": (
        'ALTER TABLE "TrackPreviews" RENAME TO previews; CREATE FOREIGN DATA WRAPPER nowhere;'
        "CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;"
        'CREATE FOREIGN TABLE public."TrackPreviews" (id varchar(24), url varchar(240))'
        " SERVER nowhere",
        ('"TrackPreviews" is a foreign table',),
    ),
    "partitioned without the key": (
        'DROP TABLE "TrackPreviews"; CREATE TABLE public."TrackPreviews" (id varchar(24) NOT NULL,'
        " url varchar(240) NOT NULL) PARTITION BY HASH (id)",
        ('"TrackPreviews" has no unique key (id)',),
    ),
}


ALONE = """
DO $$
DECLARE found record;
BEGIN
  FOR found IN
    SELECT conrelid::regclass AS name, conname FROM pg_constraint
    WHERE contype = 'f' AND connamespace = 'public'::regnamespace
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.name, found.conname);
  END LOOP;
  DROP INDEX songswap_tracks_id_covering;
END $$
"""
"""Takes away what would stand in the way of the changes below."""


def test_unusable_table_is_reported_with_its_remedy(warehouse_dsn: str) -> None:
    """It is a reason to refuse a load."""
    for kind, (statements, words) in BROKEN.items():
        with connect(warehouse_dsn) as connection, connection.transaction(force_rollback=True):
            connection.execute(ALONE.encode())
            connection.execute(statements.encode())
            text = " ".join(one.sentence for one in deviations.find(connection) if one.is_fatal)
            assert [word for word in words if word not in text] == [], kind
            with pytest.raises(PlatformUnfit, match="not as loads need them"):
                deviations.require_fit(connection)


def test_session_reads_the_shapes_of_tables_once(warehouse_dsn: str) -> None:
    """What changes meanwhile is noticed by the next session, and by the server at once. A session
    that needed fewer tables before reads all of them."""
    with connect(warehouse_dsn) as connection, connect(warehouse_dsn) as other:
        deviations.require_fit(connection)
        deviations.require_fit(other, ["Artists"])
        connection.execute(ALONE.encode())
        connection.execute(BROKEN["a view"][0].encode())
        deviations.require_fit(connection)
        deviations.require_fit(other, ["Artists"])
        with pytest.raises(PlatformUnfit):
            deviations.require_fit(other)


@pytest.mark.parametrize("kind", ["added NOT NULL", "renamed", "no key", "a view"])
def test_load_with_an_unusable_table_is_refused(make_platform: MakePlatform, kind: str) -> None:
    """With the problem and the remedy; the responses wait in the spool."""
    platform = make_platform(users=2)
    statements, words = BROKEN[kind]
    platform.execute(statements)
    text = checked(platform)
    assert text.startswith("red")
    assert [word for word in words if word not in text] == []
    with pytest.raises(RunFailed, match="not as loads need them") as failed:
        platform.load()
    assert [word for word in words if word not in str(failed.value)] == []
    assert platform.objects(), "what was fetched is archived all the same"
    assert {cause for cause, _ in failed.value.causes} >= {"PlatformUnfit"}
    waiting = platform.rows(
        "SELECT (counts ->> 'waiting_for_warehouse')::int, (counts ->> 'answered')::int"
        " FROM songswap.runs ORDER BY started_at DESC LIMIT 1"
    )
    assert waiting == [(2, 2)]


def test_named_remedy_lets_the_next_run_load(make_platform: MakePlatform) -> None:
    """By exactly that ALTER."""
    platform = make_platform(users=2)
    platform.execute('ALTER TABLE "History" ALTER COLUMN played_at TYPE timestamptz')
    with pytest.raises(RunFailed, match="ALTER TABLE"):
        platform.load()
    (said,) = described(platform)
    platform.execute(said.partition(": ")[2].rstrip("."))
    platform.advance(hours=1)
    platform.load()
    assert platform.history() == platform.reachable()


def test_a_trigger_fills_what_is_left_out(make_platform: MakePlatform) -> None:
    """A column that a trigger fills before each row keeps no load from its work."""
    platform = make_platform(users=2)
    platform.execute('ALTER TABLE "Tracks" ADD COLUMN label text NOT NULL')
    platform.execute(
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.label := 'x'; RETURN NEW; END $$"
    )
    platform.execute(
        'CREATE TRIGGER fill BEFORE INSERT ON "Tracks" FOR EACH ROW EXECUTE FUNCTION fill()'
    )
    load_two_hours(platform)
    text = checked(platform)
    assert text.count("Loads work, but") == 1
    assert '"Tracks".label is NOT NULL without a default' in text


def test_load_ignores_what_only_connect_needs(make_platform: MakePlatform) -> None:
    """Keys, columns and cascades."""
    platform = make_platform(users=2)
    platform.execute('ALTER TABLE "Users" DROP CONSTRAINT "Users_spotify_id_key"')
    platform.execute('ALTER TABLE "Users" ADD COLUMN theme text NOT NULL DEFAULT 1')
    platform.execute('ALTER TABLE "Users" ALTER COLUMN theme DROP DEFAULT')
    platform.execute('ALTER TABLE "History" DROP CONSTRAINT "History_track_id_fkey"')
    platform.execute(
        'ALTER TABLE "TrackImages" DROP CONSTRAINT "TrackImages_id_fkey",'
        ' ADD CONSTRAINT kept FOREIGN KEY (id) REFERENCES "Tracks"'
    )
    load_two_hours(platform)
    text = checked(platform)
    assert text.count("Loads work, but") == 4
    for words in (
        'public."Users" has no unique key (spotify_id)',
        "theme is NOT NULL without a default, and nobody gives it a value when 'songswap connect'",
        'ALTER TABLE public."History" ADD FOREIGN KEY (track_id) REFERENCES public."Tracks" ON',
        'ALTER TABLE public."TrackImages" DROP CONSTRAINT kept, ADD FOREIGN KEY (id)',
    ):
        assert words in text
    for sentence in described(platform):
        if "SET DEFAULT" not in sentence:
            platform.execute(sentence.partition(": ")[2].rstrip("."))
    assert len(described(platform)) == 1


def test_a_check_constraint_costs_only_what_it_refuses(make_platform: MakePlatform) -> None:
    """A constraint of the platform's refuses single answers, and those are named as ever."""
    platform = make_platform(users=3)
    first = platform.rows('SELECT min(id) FROM "Users"')[0][0]
    platform.execute(f'ALTER TABLE "History" ADD CHECK (user_id <> {first})')
    assert described(platform) == []
    with pytest.raises(RunFailed, match="1 responses were refused"):
        platform.load()
    assert platform.rows('SELECT count(DISTINCT user_id) FROM "History"') == [(2,)]


@pytest.fixture
def little(make_platform: MakePlatform) -> Iterator[tuple[Any, Any]]:
    """A platform, as its owner and as a login without more rights than it needs."""
    platform = make_platform(users=2)
    platform.execute("CREATE ROLE little LOGIN PASSWORD 'little-secret'")
    platform.execute(
        "GRANT USAGE ON SCHEMA public, songswap TO little;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, songswap TO little"
    )
    dsn = make_conninfo(platform.settings.warehouse_dsn, user="little", password="little-secret")
    other = replace(platform, settings=replace(platform.settings, warehouse_dsn=dsn))
    try:
        yield platform, other
    finally:
        platform.execute("REASSIGN OWNED BY little TO songswap")
        platform.execute("DROP OWNED BY little")
        platform.execute("DROP ROLE little")


def test_policies_that_could_hide_rows(little: tuple[Any, Any]) -> None:
    """Where row level security applies to the login no run is green; the check says what to do."""
    owner, platform = little
    for number, (name, policy) in enumerate(
        (
            ('"Users"', "USING (false)"),
            ('"Users"', ""),
            ('"SpotifyTokens"', "USING (true)"),
            ('"History"', "USING (false)"),
            ("songswap.polls", "USING (false)"),
        )
    ):
        owner.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        if policy:
            owner.execute(f"CREATE POLICY hide ON {name} {policy}")
        text = checked(platform)
        assert text.startswith("red"), name
        assert "row level security of" in text
        assert name in text
        with pytest.raises(SongSwapError, match=r"[Rr]ow level security") as failed:
            load_once(platform.settings, f"run {number}", lambda *_: None, platform.clock)
        assert "songswap check postgres" in str(failed.value)
        assert owner.rows('SELECT count(*) FROM "History"') == [(0,)]
        owner.execute(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY")
        owner.execute(f"DROP POLICY IF EXISTS hide ON {name}")
    owner.execute('ALTER TABLE "Users" ENABLE ROW LEVEL SECURITY')
    owner.execute("ALTER ROLE little BYPASSRLS")
    assert not checked(platform).startswith("red")
    load_once(platform.settings, "again", lambda *_: None, platform.clock)
    assert owner.history() == owner.reachable()


def test_an_owner_under_force(little: tuple[Any, Any]) -> None:
    """An owner to whom its policies apply is told to take FORCE back; then loads go on."""
    owner, platform = little
    owner.execute("GRANT CREATE ON SCHEMA public TO little")
    owner.execute('ALTER TABLE "History" OWNER TO little')
    owner.execute('ALTER TABLE "History" ENABLE ROW LEVEL SECURITY')
    assert not checked(platform).startswith("red")
    owner.execute('ALTER TABLE "History" FORCE ROW LEVEL SECURITY')
    text = checked(platform)
    assert 'ALTER TABLE public."History" NO FORCE ROW LEVEL SECURITY' in text
    owner.execute('ALTER TABLE public."History" NO FORCE ROW LEVEL SECURITY')
    load_once(platform.settings, "run", lambda *_: None, platform.clock)
    assert owner.history() == owner.reachable()
