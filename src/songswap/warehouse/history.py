"""Load answers of recently played: plays, what they tell of tracks, and the bookkeeping.

    answers ──COPY──▶ staging tables ──INSERT … ON CONFLICT DO NOTHING──▶ the platform's tables

All of it is one transaction, so that what is noted as loaded is loaded. The tables' own keys decide
what is new: the same answers can be loaded again, by several at once, and nothing changes.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from songswap.errors import LoadIncomplete
from songswap.models import Catalogue, History, SetAside
from songswap.warehouse.sql import statements

FULL_ANSWER = 50
"""The number of items of an answer that may have had more to tell."""

CALMER = 0.9
"""What is left of a user's pace with each answer that tells of fewer plays: half after seven."""

_HOUR = timedelta(hours=1)

KEY_TAKEN = "key taken by another track"

_TABLES = (
    ("tracks", "insert_tracks"),
    ("artists", "insert_artists"),
    ("artist_tracks", "insert_artist_tracks"),
    ("track_popularity", "insert_track_popularity"),
    ("track_images", "insert_track_images"),
    ("track_previews", "insert_track_previews"),
)


class Answer(NamedTuple):
    """One user's answer, transformed: what it holds, when it was given, where its raw form lies."""

    user_id: int
    observed_at: datetime
    raw_key: str
    fingerprint: bytes | None
    history: History


@dataclass(frozen=True, slots=True)
class Staleness:
    """When metadata of a track or artist that is heard again is asked for again."""

    now: datetime
    after: timedelta

    @property
    def limit(self) -> datetime:
        """What was observed before this moment is stale."""
        return self.now - self.after


def load(
    connection: psycopg.Connection,
    answers: Sequence[Answer],
    catalogue: Catalogue,
    run_id: str,
    staleness: Staleness,
) -> Counter[str]:
    """Load ``answers``, at most one of each user, and all rows of ``catalogue``.

    Returns:
        New rows by name: plays, tracks, artists, track_images, track_popularity, track_previews,
        set_aside, notes, gaps, gaps_closed; and gone, the plays of users who are not there now.

    Raises:
        LoadIncomplete: a play was not in the table after its insertion; all is rolled back.
        psycopg.Error: the server's own, all is rolled back.
    """
    sql = statements("history.sql")
    parameters: dict[str, Any] = {
        "run_id": run_id,
        "now": staleness.now,
        "stale": staleness.limit,
        "full": FULL_ANSWER,
        "calmer": CALMER,
    }
    counts: Counter[str] = Counter()

    def run(name: str) -> int:
        return connection.execute(sql[name], parameters).rowcount

    with connection.transaction():
        connection.execute(sql["stage"])
        _stage(connection, answers, catalogue)
        parameters["users"] = [row[0] for row in connection.execute(sql["lock_users"])]
        if len(parameters["users"]) < len(answers):
            counts["gone"] = run("drop_gone_plays")
            run("drop_gone_answers")
            run("drop_gone_set_aside")
        counts["gaps"] = run("insert_gaps")
        counts["gaps_closed"] = run("close_gaps")
        for name, statement in _TABLES:
            counts[name] = run(statement)
        inserted = connection.execute(sql["insert_history"]).fetchone()
        counts["plays"] = inserted[0] if inserted else 0
        _verify(connection, answers, sql)
        counts["set_aside"] = run("insert_set_aside")
        counts["notes"] = run("insert_notes")
        for name in ("want_features", "want_tracks", "want_artists", "upsert_polls"):
            run(name)
    return counts


def move_raw(connection: psycopg.Connection, user_id: int, observed_at: datetime, key: str) -> None:
    """Note that the raw answer, of which something was set aside, lies under another key."""
    connection.execute(
        statements("history.sql")["move_raw"],
        {"user_id": user_id, "observed_at": observed_at, "key": key},
    )


def _stage(connection: psycopg.Connection, answers: Sequence[Answer], catalogue: Catalogue) -> None:
    _copy(
        connection,
        "staged_answers",
        (
            (
                a.user_id,
                a.observed_at,
                a.fingerprint,
                a.history.items,
                a.history.oldest,
                a.history.newest,
                sum(play.played_at > a.observed_at - _HOUR for play in a.history.plays),
            )
            for a in answers
        ),
    )
    _copy(connection, "staged_plays", (play for a in answers for play in a.history.plays))
    _copy(
        connection,
        "staged_tracks",
        ((*track, track.id in catalogue.incomplete) for track in catalogue.tracks.values()),
    )
    _copy(connection, "staged_artists", catalogue.artists.values())
    _copy(connection, "staged_artist_tracks", catalogue.artist_tracks.values())
    _copy(connection, "staged_track_popularity", catalogue.track_popularity.values())
    _copy(connection, "staged_track_images", catalogue.track_images.values())
    _copy(connection, "staged_track_previews", catalogue.track_previews.values())
    _copy(connection, "staged_notes", catalogue.notes)
    _copy_set_aside(
        connection, ((answer, item) for answer in answers for item in answer.history.set_aside)
    )


def _verify(
    connection: psycopg.Connection, answers: Sequence[Answer], sql: dict[str, bytes]
) -> None:
    """Set aside the plays whose key another track holds; anything else must be there."""
    by_user = {answer.user_id: answer for answer in answers}
    taken = []
    for user_id, played_at, track_id, missing in connection.execute(sql["verify_history"]):
        if missing:
            raise LoadIncomplete(
                f"A play of user {user_id} was not in History after its own load. The batch was"
                " rolled back and stays in the spool; look for a trigger or rule on the table."
            )
        digest = hashlib.sha256(f"{KEY_TAKEN} {played_at} {track_id}".encode()).digest()
        taken.append((by_user[user_id], SetAside(digest, KEY_TAKEN, played_at.isoformat())))
    if taken:
        _copy_set_aside(connection, taken)


def _copy_set_aside(
    connection: psycopg.Connection, items: Iterable[tuple[Answer, SetAside]]
) -> None:
    _copy(
        connection,
        "staged_set_aside",
        (
            (a.user_id, s.fingerprint, s.reason, s.played_at, a.raw_key, a.observed_at)
            for a, s in items
        ),
    )


def _copy(connection: psycopg.Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
