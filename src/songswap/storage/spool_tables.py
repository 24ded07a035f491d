"""Make and check the tables of the spool's file. Their names stay: files of users have them."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid4

from songswap.models import RotatedToken
from songswap.storage import spool_rows

_TABLES = {
    "answers": {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "run_id": "TEXT NOT NULL",
        "batch": "INTEGER NOT NULL",
        "user_id": "INTEGER NOT NULL",
        "key": "TEXT NOT NULL",
        "observed_ms": "INTEGER NOT NULL",
        "fingerprint": "BLOB",
        "body": "BLOB NOT NULL",
        "archived": "INTEGER NOT NULL DEFAULT 0",
        "loaded": "INTEGER NOT NULL DEFAULT 0",
        "problem": "TEXT",
        "checksum": "BLOB",
    },
    "rotated_tokens": {
        "user_id": "INTEGER PRIMARY KEY",
        "spent": "BLOB NOT NULL",
        "access_token": "BLOB NOT NULL",
        "refresh_token": "BLOB NOT NULL",
        "expires_ms": "INTEGER NOT NULL",
        "checksum": "BLOB NOT NULL",
    },
    "rotations": {
        "id": "INTEGER PRIMARY KEY",
        "user_id": "INTEGER NOT NULL",
        "spent": "BLOB NOT NULL",
        "successor": "BLOB NOT NULL",
        "kept_ms": "INTEGER NOT NULL",
        "access_token": "BLOB",
        "refresh_token": "BLOB",
        "expires_ms": "INTEGER",
        "checksum": "BLOB NOT NULL",
    },
    "identity": {
        "id": "INTEGER PRIMARY KEY",
        "spool": "BLOB NOT NULL",
        "checksum": "BLOB NOT NULL",
    },
    "reports": {
        "seen": "TEXT PRIMARY KEY",
        "at_ms": "INTEGER NOT NULL",
        "own": "INTEGER NOT NULL",
    },
    "erased": {
        "erasure": "INTEGER PRIMARY KEY",
        "responses": "INTEGER NOT NULL",
        "tokens": "INTEGER NOT NULL",
        "rotations": "INTEGER NOT NULL",
    },
    "broken": {
        "file": "TEXT PRIMARY KEY",
        "report": "TEXT NOT NULL",
        "told": "INTEGER NOT NULL DEFAULT 0",
    },
}
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS answers_of_batch ON answers (run_id, batch)",
    "CREATE UNIQUE INDEX IF NOT EXISTS rotations_of_user ON rotations (user_id, spent)",
    "CREATE INDEX IF NOT EXISTS latest_rotations ON rotations (user_id)"
    " WHERE refresh_token IS NOT NULL",
)

_OLD_TABLE = "tokens"
"""The table of tokens of the version before, without checksums."""

MOST_ID = 2**60


class Broken(sqlite3.DatabaseError):
    """The file is no spool, or not in order, although SQLite opens it."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def make(db: sqlite3.Connection) -> None:
    """Make missing tables and columns, and take over the table of a version before.

    Raises:
        sqlite3.DatabaseError: the file is broken, or no spool.
    """
    if complaint := _complaint(db):
        raise Broken(complaint)
    for name, columns in _TABLES.items():
        written = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({written})")
    for index in _INDEXES:
        db.execute(index)
    if not db.execute("SELECT 1 FROM identity").fetchone():
        set_id(db, uuid4().bytes)
    if "checksum" not in _columns(db, "answers"):
        db.execute("ALTER TABLE answers ADD COLUMN checksum BLOB")
        for flag in ("archived", "loaded"):
            done = f"UPDATE answers SET {flag} = ? WHERE {flag} = 1"  # noqa: S608 - our columns
            db.execute(done, [spool_rows.DONE])
    if _columns(db, _OLD_TABLE):
        rows = db.execute(f"SELECT * FROM {_OLD_TABLE}").fetchall()  # noqa: S608 - ours
        tokens = [token for row in rows if (token := spool_rows.old_token_of(row))]
        if len(tokens) < len(rows):
            raise Broken("its tokens are none")
        add_tokens(db, tokens)
        db.execute(f"DROP TABLE {_OLD_TABLE}")


def spool_id(db: sqlite3.Connection) -> UUID:
    """Return the spool's id.

    Raises:
        Broken: it is damaged.
    """
    row = db.execute("SELECT id, spool, checksum FROM identity").fetchone()
    if row is None or not is_id(row):
        raise Broken("its id is damaged")
    return UUID(bytes=row[1])


def is_id(row: Sequence[Any]) -> bool:
    """Return whether a row of the table ``identity`` is as it was written."""
    return row[2] == spool_rows.with_checksum(*row[:2])[-1] and len(row[1]) == 16


def set_id(db: sqlite3.Connection, id_: bytes) -> None:
    """Give the spool an id, in place of the one it has."""
    db.execute("INSERT OR REPLACE INTO identity VALUES (?, ?, ?)", spool_rows.with_checksum(1, id_))


def last_id(db: sqlite3.Connection) -> int:
    """Return the highest id that a response has or had; more than `MOST_ID` where it is damaged."""
    (last,) = db.execute(
        "SELECT max(coalesce((SELECT max(id) FROM answers), 0),"
        " coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'answers'), 0))"
    ).fetchone()
    return last if isinstance(last, int) else MOST_ID + 1


def add_tokens(db: sqlite3.Connection, tokens: Iterable[RotatedToken]) -> None:
    """Store tokens, where no newer ones of their users are stored."""
    rows = f"SELECT {spool_rows.ROTATED} FROM rotated_tokens WHERE user_id = ?"  # noqa: S608 - ours
    for token in tokens:
        row = db.execute(rows, (token.user_id,)).fetchone()
        stored = spool_rows.token_of(row) if row else None
        if stored is None or not token.is_older_than(stored):
            db.execute(
                "INSERT OR REPLACE INTO rotated_tokens VALUES (?, ?, ?, ?, ?, ?)",
                spool_rows.token_row(token),
            )


def _columns(db: sqlite3.Connection, table: str) -> dict[str, tuple[bool, bool]]:
    """Return for each column, by name, whether it is the key, and whether it must have a value."""
    rows = db.execute(f"PRAGMA table_info({table})")
    return {
        str(name): (bool(key), bool(not_null) and default is None)
        for _, name, _, not_null, default, key in rows
    }


def _complaint(db: sqlite3.Connection) -> str | None:
    """Return why the tables are not a spool's; None where they are, or where there are none."""
    kinds = dict(db.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')"))
    if kinds and not {"answers", "sqlite_sequence"} <= kinds.keys():
        return "its tables are not those of a spool"
    for table, columns in _TABLES.items():
        if table not in kinds:
            continue
        key = next(name for name, kind in columns.items() if "PRIMARY KEY" in kind)
        found = _columns(db, table)
        needed = columns.keys() - {"checksum"} if table == "answers" else columns.keys()
        unknown = any(required for name, (_, required) in found.items() if name not in columns)
        if kinds[table] != "table" or needed - found.keys() or unknown or not found[key][0]:
            return f"its table {table} is not that of a spool"
    if "answers" in kinds and last_id(db) > MOST_ID:
        return "it has no more ids to give"
    return None


def is_complete(db: sqlite3.Connection) -> bool:
    """Return whether the file can be used without `make`.

    Raises:
        sqlite3.DatabaseError: it is broken.
    """
    if complaint := _complaint(db):
        raise Broken(complaint)
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    complete = all(columns.keys() <= _columns(db, name).keys() for name, columns in _TABLES.items())
    return mode == "wal" and complete and not _columns(db, _OLD_TABLE)
