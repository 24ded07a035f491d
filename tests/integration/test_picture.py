"""The picture of all tables is that of the tables as the migrations leave them."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

PICTURE = Path(__file__).parents[2] / "docs/picture"


@pytest.fixture
def draw_tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The command's names; it finds the files beside it as when it is run."""
    monkeypatch.syspath_prepend(PICTURE)
    return runpy.run_path(str(PICTURE / "draw_tables.py"))


@pytest.fixture
def drawn(draw_tables: dict[str, Any]) -> Callable[[str], str]:
    """What the command would draw of a warehouse."""
    function: Callable[[str], str] = draw_tables["drawn"]
    return function


def execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode())


def test_up_to_date(
    draw_tables: dict[str, Any], drawn: Callable[[str], str], warehouse_dsn: str
) -> None:
    """The picture in docs/ is the one that would be drawn now."""
    same = draw_tables["PICTURE"].read_text() == drawn(warehouse_dsn)
    assert same, "A migration changed the tables: run 'make picture', and look at docs/tables.svg."


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE songswap.data_fixes ADD COLUMN more text",
        "ALTER TABLE songswap.polls ALTER COLUMN problem SET NOT NULL",
        "ALTER TABLE songswap.export_tracks DROP CONSTRAINT export_tracks_pkey",
        "ALTER TABLE songswap.gaps ALTER COLUMN run_id TYPE varchar(80)",
        "ALTER TABLE songswap.steps DROP CONSTRAINT steps_run_id_fkey",
    ],
)
def test_shows(drawn: Callable[[str], str], warehouse_dsn: str, change: str) -> None:
    """Columns, their types, what may be NULL, primary and foreign keys: each change is seen."""
    before = drawn(warehouse_dsn)
    execute(warehouse_dsn, change)
    assert drawn(warehouse_dsn) != before


def test_new_table(drawn: Callable[[str], str], warehouse_dsn: str) -> None:
    """A table without a place is not left out in silence."""
    execute(warehouse_dsn, "CREATE TABLE songswap.novel (id integer PRIMARY KEY)")
    with pytest.raises(ValueError, match=r"GROUPS of .*places\.py: \['songswap\.novel'\]"):
        drawn(warehouse_dsn)


def test_reference_across_tables(drawn: Callable[[str], str], warehouse_dsn: str) -> None:
    """A line that would run over tables between is refused, with where to mend it."""
    execute(
        warehouse_dsn,
        'ALTER TABLE songswap.pauses ADD COLUMN user_id integer REFERENCES "Users"',
    )
    with pytest.raises(ValueError, match=r"songswap\.pauses refers to public\.Users"):
        drawn(warehouse_dsn)
