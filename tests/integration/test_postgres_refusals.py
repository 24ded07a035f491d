"""PostgreSQL that is there and refuses: every command says why in a sentence, and quotes no row."""

import json
import logging
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from factories import MakePlatform, Platform
from typer.testing import CliRunner

from songswap.cli.main import app
from songswap.errors import SongSwapError

MARKER = "what-somebody-listened-to"

COMMANDS = (
    "status",
    "status --json",
    "grants",
    "check postgres",
    "migrate",
    "connect --no-browser",
    "backfill --dry-run",
    "backfill",
    "load",
    "spool list",
    "spool retry",
    "replay --dry-run",
    "replay --processes 1",
    "import EXPORT --user 1",
    "import EXPORTS",
)
READING = {
    "status",
    "status --json",
    "grants",
    "backfill --dry-run",
    "replay --dry-run",
    "spool list",
    "migrate",
}

TRIGGER = f"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'no {MARKER}'
    USING ERRCODE = 'insufficient_privilege', DETAIL = '{MARKER}', HINT = '{MARKER}';
END $$;
"""


def raising(platform: Platform) -> None:
    """Have every change refused by a trigger, which raises as PostgreSQL does, and quotes a row."""
    platform.execute(TRIGGER)
    tables = platform.rows(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
        " WHERE schemaname IN ('public', 'songswap')"
    )
    for (table,) in tables:
        platform.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"
        )


def read_only(platform: Platform) -> None:
    """Have every session read only, as after a failover."""
    name = platform.rows("SELECT current_database()")[0][0]
    platform.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")


def without_column(platform: Platform) -> None:
    """Have a column gone that every load reads."""
    platform.execute('ALTER TABLE "Users" RENAME COLUMN id TO number')


def without_rights(platform: Platform) -> None:
    """Have a login that may connect, and nothing else."""
    platform.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    dsn = psycopg.conninfo.make_conninfo(
        platform.settings.warehouse_dsn,
        user="stranger",
        password="stranger",
    )
    platform.settings = replace(platform.settings, warehouse_dsn=dsn)


BROKEN = {
    "read-only": (read_only, READING, "SQLSTATE 25006|read-only"),
    "without rights": (
        without_rights,
        {"spool list"},
        "SQLSTATE 42501|lacks rights|owned by songswap",
    ),
    "raising": (raising, READING | {"check postgres"}, "function|in the spool"),
    "without a column": (
        without_column,
        {"migrate", "spool list", "backfill", "backfill --dry-run"},
        r'42703|public\."Users"\.id is not there',
    ),
}


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """A folder with an export of user 1."""
    row = {
        "ts": "2020-01-01T00:00:00Z",
        "ms_played": 60_000,
        "spotify_track_uri": "spotify:track:t1",
        "master_metadata_track_name": MARKER,
        "master_metadata_album_artist_name": "Artist",
    }
    folder = tmp_path / "exports"
    folder.mkdir()
    with zipfile.ZipFile(folder / "user1.zip", "w") as into:
        into.writestr("Streaming_History_Audio_2020_1.json", json.dumps([row]))
    return folder


@pytest.fixture
def platform(make_platform: MakePlatform) -> Iterator[Platform]:
    """A platform with answers in its archive, and some that wait in the spool."""
    made = make_platform(users=2)
    made.load()
    made.advance(hours=1)
    made.execute('ALTER TABLE "History" RENAME TO "Elsewhere"')
    with pytest.raises(SongSwapError):
        made.load()
    made.execute('ALTER TABLE "Elsewhere" RENAME TO "History"')
    # As out of a cache: Spotify's time stands still, and the commands go by the machine's.
    made.fault(headers={"Age": "1"})
    dsn = made.settings.warehouse_dsn
    yield made
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        if connection.execute("SELECT FROM pg_roles WHERE rolname = 'stranger'").fetchone():
            connection.execute("DROP OWNED BY stranger; DROP ROLE stranger")


@pytest.mark.parametrize("how", BROKEN)
def test_every_command_says_why(
    platform: Platform, exports: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No command ends with anything else than a sentence, and no row is quoted anywhere."""
    break_, well, why = BROKEN[how]
    break_(platform)
    caplog.set_level(logging.DEBUG)
    for command in COMMANDS:
        if command.startswith("connect") and how in ("raising", "without a column"):
            continue  # it waits for a person before it writes
        arguments = [
            str(exports / "user1.zip")
            if word == "EXPORT"
            else str(exports)
            if word == "EXPORTS"
            else word
            for word in command.split()
        ]
        caplog.clear()
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "400"} | platform.environment())
        said = f"{done.output} {done.exception} {caplog.text}"
        assert isinstance(done.exception, SongSwapError | SystemExit | None), command
        assert (done.exit_code == 0) == (command in well), (command, said)
        assert MARKER not in said
        assert "Traceback" not in said
        if done.exit_code:
            assert re.search(why, said), (command, said)
