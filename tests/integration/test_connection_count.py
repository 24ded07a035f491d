"""How many connections the work needs, by the server's count; what fewer come to is a sentence."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform
from psycopg.conninfo import make_conninfo

from songswap.errors import SongSwapError, WarehouseUnavailable
from songswap.warehouse.connection import connect
from songswap.warehouse.error_translation import MOST, NEEDED
from songswap.warehouse.migrate import migrate

SENTENCE = f"needs {NEEDED} and takes up to {MOST}"


@pytest.fixture
def limited(warehouse_dsn: str) -> Iterator[Callable[[int], str]]:
    """Gives a login to the warehouse with all its rights, that has only so many connections."""
    made = f"limited_{psycopg.conninfo.conninfo_to_dict(warehouse_dsn)['dbname']}"
    with psycopg.connect(warehouse_dsn, autocommit=True) as owner:

        def limit(most: int) -> str:
            owner.execute(f"ALTER ROLE {made} CONNECTION LIMIT {most}".encode())
            return make_conninfo(warehouse_dsn, user=made, password="limited")

        owner.execute(f"CREATE ROLE {made} LOGIN PASSWORD 'limited' IN ROLE songswap".encode())
        yield limit
        owner.execute(f"DROP ROLE {made}".encode())


@pytest.fixture
def due(make_platform: MakePlatform) -> Platform:
    """A platform whose next load has several batches, and exchanges every user's token."""
    platform = make_platform(users=30)
    platform.settings = replace(platform.settings, batch_size=10)
    platform.advance(minutes=70)
    return platform


def test_load_has_enough_with_what_is_said(due: Platform, limited: Callable[[int], str]) -> None:
    """The number that the sentence calls needed is enough to lose nothing."""
    due.settings = replace(due.settings, warehouse_dsn=limited(NEEDED))
    assert due.load()["answered"] == 30
    assert due.history() == due.reachable()


def test_load_takes_no_more_than_is_said(
    due: Platform, limited: Callable[[int], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Who has as many as the sentence says is refused none."""
    due.settings = replace(due.settings, warehouse_dsn=limited(MOST))
    assert due.load()["answered"] == 30
    assert "lets no more sessions in" not in caplog.text
    assert "too many connections" not in caplog.text


@pytest.mark.parametrize("most", [0, 1, 2])
def test_load_with_fewer(most: int, due: Platform, limited: Callable[[int], str]) -> None:
    """A load with fewer says how many are needed, and the next one with enough has all plays."""
    enough = due.settings.warehouse_dsn
    due.settings = replace(due.settings, warehouse_dsn=limited(most), batch_size=30)
    with pytest.raises(SongSwapError, match=SENTENCE):
        due.load()
    due.settings = replace(due.settings, warehouse_dsn=enough)
    due.load()
    assert due.history() == due.reachable() != {}


COMMANDS = (
    ("migrate",),
    ("status",),
    ("check", "postgres"),
    ("backfill",),
    ("replay", "--from", "2026-11-22T00", "--to", "2026-11-22T01"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_without_a_connection(
    command: tuple[str, ...], due: Platform, limited: Callable[[int], str], tmp_path: Any
) -> None:
    """Each command ends with the sentence, and with no traceback."""
    due.settings = replace(due.settings, warehouse_dsn=limited(0))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "songswap.cli.main", *command],
        env={**os.environ, **due.environment()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # The table of the checks wraps its lines.
    text = " ".join((done.stdout + done.stderr).replace("│", " ").split())
    assert done.returncode == 1
    assert SENTENCE in text
    assert "Traceback" not in text


def test_server_without_a_free_connection(warehouse_dsn: str) -> None:
    """The database's own limit is said as a role's is, by migrations too."""
    name = psycopg.conninfo.conninfo_to_dict(warehouse_dsn)["dbname"]
    with psycopg.connect(warehouse_dsn, autocommit=True) as owner:
        owner.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'x' IN ROLE songswap")
        try:
            owner.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'.encode())
            dsn = make_conninfo(warehouse_dsn, user="nobody_special", password="x")
            with pytest.raises(WarehouseUnavailable, match=SENTENCE), connect(dsn):
                pass
            with pytest.raises(WarehouseUnavailable, match=SENTENCE):
                migrate(dsn)
        finally:
            owner.execute("DROP ROLE nobody_special")
