"""Delete users from the spool: their responses, their tokens, and the rotations of their tokens.

Table ``erased`` counts what was deleted, in the same transaction, by the numbers of the erasures
that are not confirmed: so no count is lost between this file and the warehouse.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from songswap.storage import spool_rows, spool_salvage
from songswap.storage.spool_file import SpoolFile
from songswap.storage.spool_transactions import writes

_KINDS = ("responses", "tokens", "rotations")

_TOKEN_LASTS = timedelta(minutes=59)
"""How long an access token lasts at the least, which says when it was given: an hour, but for
clocks that differ."""

_TOKENS = "DELETE FROM rotated_tokens WHERE user_id = ?1 AND NOT coalesce(expires_ms > ?2, 0)"
_ROTATIONS = "DELETE FROM rotations WHERE user_id = ?1 AND NOT coalesce(kept_ms > ?2, 0)"

_COUNT = (
    "INSERT INTO erased VALUES (?, ?, ?, ?) ON CONFLICT (erasure) DO UPDATE SET"
    " responses = responses + excluded.responses, tokens = tokens + excluded.tokens,"
    " rotations = rotations + excluded.rotations"
)
_COUNTED = "SELECT responses, tokens, rotations FROM erased WHERE erasure = ?"


class SpoolErasure(NamedTuple):
    """A user to delete, for the erasure of this number.

    ``until`` is None for all of the user; else what came later stays: the user has authorized
    again. With ``keeps_tokens`` the tokens that wait for the warehouse stay for now.
    """

    erasure_id: int
    user_id: int
    until: datetime | None = None
    keeps_tokens: bool = False


class SpoolEraser:
    """The part of `songswap.storage.spool.Spool` that erases users."""

    file: SpoolFile

    @writes
    def erase(self, erasures: Sequence[SpoolErasure]) -> dict[int, dict[str, int]]:
        """Delete users, in one transaction; `rewrite` removes what it leaves in the file's bytes.

        Args:
            erasures: all that are not confirmed; the counts of earlier ones are forgotten.

        Returns:
            By erasure, how many responses, tokens and rotations were deleted, now and before.
        """
        db = self.file.db
        _forget_confirmed(db, erasures)
        responses = _responses(db, {erasure.user_id for erasure in erasures})
        return {
            erasure.erasure_id: _erase(db, erasure, responses[erasure.user_id])
            for erasure in erasures
        }

    def rewrite(self) -> bool:
        """Write the file anew without traces of what was deleted; see `SpoolFile.rewrite`."""
        return self.file.rewrite()

    def broken_files(self) -> list[str]:
        """Return the names of the broken files beside this one, which may hold rows of anybody."""
        return spool_salvage.set_aside(self.file.path)


def _forget_confirmed(db: sqlite3.Connection, erasures: Sequence[SpoolErasure]) -> None:
    """Delete the counts of earlier erasures; another process may know of later ones already."""
    ids = {erasure.erasure_id for erasure in erasures}
    counted = db.execute("SELECT erasure FROM erased").fetchall()
    confirmed = [(id_,) for (id_,) in counted if id_ not in ids and id_ < max(ids, default=0)]
    db.executemany("DELETE FROM erased WHERE erasure = ?", confirmed)


def _responses(db: sqlite3.Connection, users: set[int]) -> dict[int, list[tuple[int, Any]]]:
    """Return the ids and times of users' responses, with one scan: there is no index of users."""
    found: dict[int, list[tuple[int, Any]]] = {user_id: [] for user_id in users}
    for id_, user_id, observed_ms in db.execute("SELECT id, user_id, observed_ms FROM answers"):
        if user_id in found:
            found[user_id].append((id_, observed_ms))
    return found


def _erase(
    db: sqlite3.Connection, erasure: SpoolErasure, found: Sequence[tuple[int, Any]]
) -> dict[str, int]:
    user_id, until = erasure.user_id, erasure.until
    ms = None if until is None else spool_rows.to_ms(until)
    given_by = None if until is None else spool_rows.to_ms(until + _TOKEN_LASTS)
    responses = sum(
        db.execute("DELETE FROM answers WHERE id = ?", (id_,)).rowcount
        for id_, observed_ms in found
        # The time of a damaged row may be anything.
        if ms is None or not isinstance(observed_ms, int) or observed_ms <= ms
    )
    tokens = 0 if erasure.keeps_tokens else db.execute(_TOKENS, (user_id, given_by)).rowcount
    rotations = db.execute(_ROTATIONS, (user_id, ms)).rowcount
    if until is None:
        _leave_out_of_reports(db, user_id)
    db.execute(_COUNT, (erasure.erasure_id, responses, tokens, rotations))
    counted = db.execute(_COUNTED, (erasure.erasure_id,)).fetchone()
    return dict(zip(_KINDS, counted, strict=True))


def _leave_out_of_reports(db: sqlite3.Connection, user_id: int) -> None:
    """Take a user out of what is reported of broken files: who has lost how many responses."""
    for file, report in db.execute("SELECT file, report FROM broken").fetchall():
        if (without := _without(report, user_id)) != report:
            db.execute("UPDATE broken SET report = ? WHERE file = ?", (without, file))


def _without(report: object, user_id: int) -> object:
    """Return a report without a user; a damaged one as it is."""
    try:
        values = json.loads(report if isinstance(report, str) else "")
        values["lost_answers"].pop(str(user_id), None)
        values["lost_tokens"] = [user for user in values["lost_tokens"] if user != user_id]
        return json.dumps(values)
    except (ValueError, TypeError, LookupError, AttributeError):
        return report
