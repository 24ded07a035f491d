"""Save what can be read of broken spool files into the spool that took their place.

    spool.sqlite3.broken-<time>, -wal ──▶ records ──▶ those whose checksum is right ──▶ the spool

A broken file that the spool has no note of has yet to be saved: whoever opens the spool does it,
also after a crash in the middle of it. Saving twice changes nothing. Tokens are saved first, and
for themselves: without them a user is lost, and a disk may take no more.
"""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from songswap.storage import spool_rotations, spool_rows, spool_tables
from songswap.storage.records import Recovery
from songswap.storage.spool_pages import records

SIDES = ("", "-wal", "-shm")
"""What the names of a spool's files end with."""

_MARK = ".broken-"


def aside(path: Path, now: datetime) -> Path:
    """Where a broken spool is put."""
    return path.with_name(f"{path.name}{_MARK}{now:%Y%m%dT%H%M%S.%fZ}")


def unsaved(db: sqlite3.Connection, path: Path) -> list[Path]:
    """The broken files beside the spool ``path`` that it has no note of."""
    beside = (
        file.name for file in path.parent.iterdir() if file.name.startswith(path.name + _MARK)
    )
    names = {name.removesuffix("-wal").removesuffix("-shm") for name in beside}
    known = {name for (name,) in db.execute("SELECT file FROM broken")} if names else set()
    return [path.with_name(name) for name in sorted(names - known)]


def save(db: sqlite3.Connection, broken: Path, now: datetime) -> None:
    """Save a broken file's tokens, then its answers with a note of what was saved and lost."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        tokens, lost_tokens = _save_tokens(db, broken)
    with db:
        db.execute("BEGIN IMMEDIATE")
        answers, lost_answers = _save_answers(db, broken)
        report = {
            "found_at": now.isoformat(),
            "answers": answers,
            "tokens": tokens,
            "lost_answers": lost_answers,
            "lost_tokens": lost_tokens,
        }
        db.execute(
            "INSERT INTO broken (file, report) VALUES (?, ?)", (broken.name, json.dumps(report))
        )


def recoveries(db: sqlite3.Connection, only_untold: bool) -> list[Recovery]:
    """The notes of broken files."""
    rows = db.execute(
        "SELECT file, report FROM broken WHERE NOT (told AND ?) ORDER BY file", [only_untold]
    )
    return [_recovery(str(file), report) for file, report in rows]


def _save_tokens(db: sqlite3.Connection, broken: Path) -> tuple[int, list[int]]:
    """How many users' tokens were saved, and whose are lost."""
    saved: set[int] = set()
    lost: set[int] = set()
    for rowid, record in records(broken):
        match record:
            case (None, bytes(), bytes(), bytes(), _, _):
                token = spool_rows.token_of((rowid, *record[1:]))
            case (None, int(), bytes(), bytes(), int(), _, _, _, bytes()):
                spool_rotations.save(db, record[1:])
                continue
            case (None, str(), str(), str(), int()):
                token = spool_rows.old_token_of((rowid, *record[1:]))
            case _:
                continue
        if token is None:
            lost.add(spool_rows.claimed_user(rowid))
        else:
            spool_tables.keep_tokens(db, [token])
            saved.add(token.user_id)
    return len(saved), sorted(lost - saved)


def _save_answers(db: sqlite3.Connection, broken: Path) -> tuple[int, Counter[int]]:
    """How many answers were saved, and how many of which user are lost."""
    saved: set[int] = set()
    lost: dict[int, int] = {}
    notes: list[tuple[Any, ...]] = []
    for rowid, record in records(broken):
        match record:
            case (None, _, _, _, _, _, _, _, _, _, _, *checksum) if len(checksum) < 2:
                row = (rowid, *record[1:8], *(checksum or [None]))
            case (str(name), str(), int()) if _MARK in name:
                notes.append(record)
                continue
            case _:
                continue
        if rowid in saved:
            # What the log has comes first: this is how the row was before.
            continue
        if _is_good(row):
            _save_answer(db, row, record[8:10])
            saved.add(rowid)
        else:
            lost[rowid] = spool_rows.claimed_user(row[3])
    db.executemany("INSERT OR IGNORE INTO broken VALUES (?, ?, ?)", notes)
    # No id of the broken file comes again: who has one in hand means that answer.
    begin = max(int(time.time()), spool_tables.last_id(db))
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'answers'")
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('answers', ?)", [begin])
    db.execute("DELETE FROM answers WHERE archived = ? AND loaded = ?", [spool_rows.DONE] * 2)
    return len(saved), Counter(user for rowid, user in lost.items() if rowid not in saved)


def _is_good(row: Sequence[Any]) -> bool:
    return (
        0 < row[0] < spool_tables.MOST_ID
        and spool_rows.is_whole(row)
        and not spool_rows.kept(row).damage()
    )


def _save_answer(db: sqlite3.Connection, row: Sequence[Any], done: Sequence[Any]) -> None:
    """Save an answer under its id, with what was done with it."""
    believed = (spool_rows.DONE,) if row[-1] is not None else (spool_rows.DONE, 1)
    flags = [spool_rows.DONE if one in believed else 0 for one in done]
    insert = (
        f"INSERT INTO answers ({spool_rows.ANSWER}, archived, loaded)"  # noqa: S608 - our columns
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
    )
    if db.execute(insert, (*spool_rows.sealed(*row[:-1]), *flags)).rowcount == 0:
        # A broken file was put beside a spool that it is not of.
        db.execute(insert, (*spool_rows.sealed(spool_tables.last_id(db) + 1, *row[1:-1]), *flags))


def _recovery(file: str, report: object) -> Recovery:
    """A note; one that is damaged itself tells of the file alone."""
    try:
        told = json.loads(report if isinstance(report, str) else "")
        return Recovery(
            file,
            datetime.fromisoformat(told["found_at"]),
            int(told["answers"]),
            int(told["tokens"]),
            {int(user): int(number) for user, number in told["lost_answers"].items()},
            tuple(int(user) for user in told["lost_tokens"]),
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        return Recovery(file, datetime.fromtimestamp(0, spool_rows.EPOCH.tzinfo), 0, 0, {}, ())
