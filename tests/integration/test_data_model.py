"""The diagrams in docs/data-model.md show every table of a migrated database, and no other."""

import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest

PAGE = Path(__file__).parents[2] / "docs/data-model.md"
SHORT = {
    "character varying": "varchar",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "double precision": "float",
}
COLUMNS = """
SELECT relname, format_type(atttypid, atttypmod), attname,
  EXISTS (SELECT FROM pg_constraint k
    WHERE conrelid = c.oid AND contype = 'p' AND attnum = ANY (conkey)),
  EXISTS (SELECT FROM pg_constraint k
    WHERE conrelid = c.oid AND contype = 'f' AND attnum = ANY (conkey)),
  NOT attnotnull
FROM pg_class c
JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE relnamespace IN ('public'::regnamespace, 'songswap'::regnamespace) AND relkind IN ('r', 'p')
"""
REFERENCES = """
SELECT t.relname, c.relname, attname,
  EXISTS (SELECT FROM pg_constraint p
    WHERE p.conrelid = c.oid AND p.contype = 'p' AND p.conkey = k.conkey)
FROM pg_constraint k
JOIN pg_class c ON c.oid = conrelid
JOIN pg_class t ON t.oid = confrelid
JOIN pg_attribute ON attrelid = c.oid AND attnum = ANY (conkey)
WHERE contype = 'f'
"""


def drawn() -> Counter[str]:
    """Columns and references in the page's diagrams, a column as ``table: line of the diagram``."""
    lines: Counter[str] = Counter()
    table = ""
    for diagram in re.findall(r"^```mermaid\n(.*?)^```", PAGE.read_text(), re.M | re.S):
        for line in map(str.strip, diagram.splitlines()):
            if line.endswith("{"):
                table = line.removesuffix("{").strip()
            elif line == "}":
                table = ""
            elif table:
                lines[f"{table}: {line}"] += 1
            elif "--" in line:
                lines[line] += 1
    return lines


def migrated(dsn: str) -> Counter[str]:
    """The same lines for the tables of a warehouse."""
    lines: Counter[str] = Counter()
    with psycopg.connect(dsn) as connection:
        for table, type_, column, primary, foreign, nullable in connection.execute(COLUMNS):
            for long, short in SHORT.items():
                type_ = type_.replace(long, short)
            keys = ", ".join(["PK"] * primary + ["FK"] * foreign)
            line = " ".join(filter(None, [type_, column, keys, '"NULL"' * nullable]))
            lines[f"{table}: {line}"] += 1
        for target, table, column, one in connection.execute(REFERENCES):
            lines[f"{target} ||--o{'|' if one else '{'} {table} : {column}"] += 1
    return lines


def test_diagrams_show_the_migrated_tables(warehouse_dsn: str) -> None:
    """Each column with its type and keys, and each foreign key, stands in one diagram, once."""
    expected, shown = migrated(warehouse_dsn), drawn()
    lines = [f"add:    {line}" for line in sorted((expected - shown).elements())]
    lines += [f"remove: {line}" for line in sorted((shown - expected).elements())]
    if lines:
        pytest.fail("\n".join([f"{PAGE} differs from the migrated database:", *lines]))


@pytest.mark.parametrize(
    ("change", "missing", "surplus"),
    [
        ("CREATE TABLE songswap.novel (id integer PRIMARY KEY)", ["novel: integer id PK"], []),
        (
            "ALTER TABLE songswap.gaps ALTER COLUMN run_id TYPE varchar(80)",
            ["gaps: varchar(80) run_id"],
            ["gaps: text run_id"],
        ),
        (
            "ALTER TABLE songswap.polls ALTER COLUMN problem SET NOT NULL",
            ["polls: text problem"],
            ['polls: text problem "NULL"'],
        ),
        (
            "ALTER TABLE songswap.export_tracks DROP CONSTRAINT export_tracks_pkey",
            ["export_tracks: varchar(24) id"],
            ["export_tracks: varchar(24) id PK"],
        ),
        (
            "ALTER TABLE songswap.steps DROP CONSTRAINT steps_run_id_fkey",
            ["steps: text run_id PK"],
            ["runs ||--o{ steps : run_id", "steps: text run_id PK, FK"],
        ),
    ],
)
def test_each_change_is_named_as_a_line(
    warehouse_dsn: str, change: str, missing: list[str], surplus: list[str]
) -> None:
    """A new table, a type, NOT NULL, a primary and a foreign key."""
    before = migrated(warehouse_dsn)
    with psycopg.connect(warehouse_dsn) as connection:
        connection.execute(change.encode())
    after = migrated(warehouse_dsn)
    assert sorted((after - before).elements()) == missing
    assert sorted((before - after).elements()) == surplus
