"""Recover the readable rows of broken spool files into the spool that replaced them.

    spool.sqlite3.broken-<time>, -wal ──▶ records ──▶ those whose checksum is right ──▶ the spool

A broken file without a row in table ``broken`` has yet to be recovered: the next process that opens
the spool does it, also after a crash in the middle of it. Doing it twice changes nothing. The
spool's id and the tokens come first, in a transaction of their own: without tokens a user is lost,
and the disk may be full.
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
"""The suffixes of a spool's files."""

_MARK = ".broken-"


def broken_path(path: Path, now: datetime) -> Path:
    """Return the new name of a broken spool."""
    return path.with_name(f"{path.name}{_MARK}{now:%Y%m%dT%H%M%S.%fZ}")


def unrecovered(db: sqlite3.Connection, path: Path) -> list[Path]:
    """Return the broken files beside the spool ``path`` that were not recovered yet."""
    names = set_aside(path)
    known = {name for (name,) in db.execute("SELECT file FROM broken")} if names else set()
    return [path.with_name(name) for name in names if name not in known]


def set_aside(path: Path) -> list[str]:
    """Return the names of the broken files beside the spool ``path``, recovered or not."""
    beside = (
        file.name for file in path.parent.iterdir() if file.name.startswith(path.name + _MARK)
    )
    return sorted({name.removesuffix("-wal").removesuffix("-shm") for name in beside})


def recover(db: sqlite3.Connection, broken: Path, now: datetime) -> None:
    """Recover a broken file's id and tokens, then its responses; record what is saved and lost."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        tokens, lost_tokens = _save_tokens(db, broken)
    with db:
        db.execute("BEGIN IMMEDIATE")
        responses, lost_responses = _save_responses(db, broken)
        report = {
            "found_at": now.isoformat(),
            "answers": responses,
            "tokens": tokens,
            "lost_answers": lost_responses,
            "lost_tokens": lost_tokens,
        }
        db.execute(
            "INSERT INTO broken (file, report) VALUES (?, ?)", (broken.name, json.dumps(report))
        )


def recoveries(db: sqlite3.Connection, only_unreported: bool) -> list[Recovery]:
    """Return what was recovered from broken files."""
    rows = db.execute(
        "SELECT file, report FROM broken WHERE NOT (told AND ?) ORDER BY file", [only_unreported]
    )
    return [_recovery(str(file), report) for file, report in rows]


def _save_tokens(db: sqlite3.Connection, broken: Path) -> tuple[int, list[int]]:
    """Return how many users' tokens were recovered, and whose are lost."""
    saved: set[int] = set()
    lost: set[int] = set()
    for rowid, record in records(broken):
        match record:
            case (None, bytes(), bytes(), bytes(), _, _):
                token = spool_rows.token_of((rowid, *record[1:]))
            case (None, int(), bytes(), bytes(), int(), _, _, _, bytes()):
                spool_rotations.save(db, record[1:])
                continue
            case (None, bytes(), bytes()):
                if spool_tables.is_id((rowid, *record[1:])):
                    spool_tables.set_id(db, record[1])
                continue
            case (None, str(), str(), str(), int()):
                token = spool_rows.old_token_of((rowid, *record[1:]))
            case _:
                continue
        if token is None:
            lost.add(spool_rows.claimed_user(rowid))
        else:
            spool_tables.add_tokens(db, [token])
            saved.add(token.user_id)
    return len(saved), sorted(lost - saved)


def _save_responses(db: sqlite3.Connection, broken: Path) -> tuple[int, Counter[int]]:
    """Return how many responses were recovered, and how many are lost by user."""
    saved: set[int] = set()
    lost: dict[int, int] = {}
    reports: list[tuple[Any, ...]] = []
    for rowid, record in records(broken):
        match record:
            case (None, _, _, _, _, _, _, _, _, _, _, *checksum) if len(checksum) < 2:
                row = (rowid, *record[1:8], *(checksum or [None]))
            case (str(name), str(), int()) if _MARK in name:
                reports.append(record)
                continue
            case _:
                continue
        if rowid in saved:
            # The log's version comes first, and is the newer one.
            continue
        if _is_intact(row):
            _save_response(db, row, record[8:10])
            saved.add(rowid)
        else:
            lost[rowid] = spool_rows.claimed_user(row[3])
    db.executemany("INSERT OR IGNORE INTO broken VALUES (?, ?, ?)", reports)
    # Ids of the broken file are never used again: a running task may still use them.
    begin = max(int(time.time()), spool_tables.last_id(db))
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'answers'")
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('answers', ?)", [begin])
    db.execute("DELETE FROM answers WHERE archived = ? AND loaded = ?", [spool_rows.DONE] * 2)
    return len(saved), Counter(user for rowid, user in lost.items() if rowid not in saved)


def _is_intact(row: Sequence[Any]) -> bool:
    return (
        0 < row[0] < spool_tables.MOST_ID
        and spool_rows.is_intact(row)
        and not spool_rows.response(row).damage()
    )


def _save_response(db: sqlite3.Connection, row: Sequence[Any], done: Sequence[Any]) -> None:
    """Save a response under its id; ``done`` are its columns ``archived`` and ``loaded``."""
    # A version without checksums wrote 1 instead.
    valid = (spool_rows.DONE,) if row[-1] is not None else (spool_rows.DONE, 1)
    flags = [spool_rows.DONE if flag in valid else 0 for flag in done]
    insert = (
        f"INSERT INTO answers ({spool_rows.RESPONSE}, archived, loaded)"  # noqa: S608 - our columns
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
    )
    if db.execute(insert, (*spool_rows.with_checksum(*row[:-1]), *flags)).rowcount == 0:
        # The broken file is of another spool: the id is taken.
        row = spool_rows.with_checksum(spool_tables.last_id(db) + 1, *row[1:-1])
        db.execute(insert, (*row, *flags))


def _recovery(file: str, report: object) -> Recovery:
    """Return what a report says; a damaged one only names the file."""
    try:
        values = json.loads(report if isinstance(report, str) else "")
        return Recovery(
            file,
            datetime.fromisoformat(values["found_at"]),
            int(values["answers"]),
            int(values["tokens"]),
            {int(user): int(number) for user, number in values["lost_answers"].items()},
            tuple(int(user) for user in values["lost_tokens"]),
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        return Recovery(file, datetime.fromtimestamp(0, spool_rows.EPOCH.tzinfo), 0, 0, {}, ())
