"""The places in which data lies, as bytes to be searched: databases, folders, texts."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql

COLUMNS = """
SELECT table_schema, table_name, column_name
FROM information_schema.columns
JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
ORDER BY 1, 2, ordinal_position
"""


def columns(dsn: str) -> Iterator[tuple[str, bytes]]:
    """Yield ``table.column`` with all its values: as text, and as they are sent, without escapes.

    Names of the schema ``public`` are without it.
    """
    with psycopg.connect(dsn) as connection:
        for schema, table, column in connection.execute(COLUMNS).fetchall():
            content = b""
            for form in ("text", "binary"):
                statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT {})").format(
                    sql.Identifier(column), sql.Identifier(schema, table), sql.SQL(form)
                )
                with connection.cursor() as cursor, cursor.copy(statement) as copy:
                    content += b"".join(map(bytes, copy))
            name = table if schema == "public" else f"{schema}.{table}"
            yield f"{name}.{column}", content


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the paths of files below a folder, with what they hold; the path counts as content."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder))
            yield name, name.encode() + b"\n" + path.read_bytes()


def joined(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the contents of a place with many parts."""
    return b"\n".join(content for _, content in parts)
