"""What came of a soak: "History" and the recorded gaps against the simulator's ledger.

A play is known by the moment it was played. One that Spotify could tell when it was asked has to be
in "History"; one that is there has to be in the ledger. The others are missed, and they have to be
accounted for, see `Account`. Users are compared one by one, so that memory stays flat.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from songswap.dev.soak.parts import Parts
from songswap.storage.spool import Spool

FULL = 50
_ANSWERED_WITHIN = timedelta(hours=3)
_EXAMPLES = 20


class Play(NamedTuple):
    """A play of the ledger."""

    played_at: datetime
    track_id: str | None
    listed_at: datetime
    reachable: bool


class Gap(NamedTuple):
    """A gap that the pipeline recorded."""

    after: datetime
    before: datetime
    found_at: datetime


@dataclass
class Verdict:
    """The sums over all users; ``examples`` tells of the first cases of what must not be.

    Missed plays, by what accounts for them: ``in_gaps`` of the record; ``rejected_items``;
    ``unseen``, pushed out of the feed again between two responses that joined, so that no caller
    can know of them; ``outside``, before the first or after the last known play.
    ``stranded`` are the users who do not come back; of them ``undelivered`` counts those whose
    rotated token stood in no answer that went out whole: it never came, or nobody waited for it.
    ``unknown`` are tracks and artists that are taken for unknown and exist; ``clock_unnoticed``
    runs that went well by a wrong clock; ``ended_late`` loads that a signal did not end in time.
    ``gaps_adjoining`` are recorded gaps in which nothing is missing: the answer held exactly the 50
    plays since the last, which no caller can tell from a gap.
    """

    counts: Counter[str] = field(default_factory=Counter)
    rejected_items: dict[str, int] = field(default_factory=dict)
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    delays: dict[str, int | None] = field(default_factory=dict)
    stranded: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        broken = (
            *("lost", "duplicated", "invented", "gaps_unrecorded", "gaps_unfounded", "waiting"),
            *("unknown", "clock_unnoticed", "ended_late"),
        )
        return not self.stranded and not any(self.counts[name] for name in broken)


def judge(parts: Parts, begins: datetime, now: datetime) -> Verdict:
    """Compare everything; the storm is over, and all parts are up.

    Args:
        begins: when lives and the soak began: who had joined by then was first told of nothing.
        now: when the soak ended.
    """
    verdict = Verdict()
    with psycopg.connect(
        parts.settings.warehouse_dsn, autocommit=True, options="-c TimeZone=UTC"
    ) as connection:
        users: dict[str, int] = dict(
            connection.execute('SELECT spotify_id, id FROM "Users" ORDER BY 1').fetchall()
        )
        for listener, user_id in users.items():
            ledger = [_play(line) for line in parts.spotify.ledger(listener)]
            _judge_user(verdict, connection, listener, user_id, ledger, begins)
        verdict.rejected_items = dict(
            connection.execute(
                "SELECT reason, count(*) FROM songswap.rejected_items GROUP BY 1 ORDER BY 1"
            ).fetchall()
        )
        verdict.stranded = _stranded(connection, parts.revoked, now)
        verdict.counts["undelivered"] = len(parts.undelivered() & {*verdict.stranded})
        verdict.counts["unknown"] = _unknown(connection)
        verdict.delays = _delays(connection)
        verdict.counts["users"] = len(users)
    with Spool(parts.settings.spool) as spool:
        verdict.counts["waiting"] = sum(spool.waiting()) + len(spool.tokens())
    verdict.calls = parts.spotify.get("/admin/calls")["by_endpoint"]
    return verdict


def account(
    ledger: Sequence[Play],
    history: Mapping[datetime, str],
    gaps: Sequence[Gap],
    rejected_items: Iterable[str],
    known_from: datetime | None,
) -> tuple[Counter[str], list[tuple[str, datetime]]]:
    """Account for every play of one user.

    A hole is a row of missed plays between two known ones. It is a true gap when one of its plays
    came into the feed before any newer one: then the answer after it was full and joined nothing
    that was known, and it has to be recorded.

    Args:
        ledger: the user's plays in the order in which they were played.
        history: the tracks in "History" by the time they were played.
        gaps: those that are recorded and not closed.
        rejected_items: what the items that were set aside say of when they were played.
        known_from: when Spotify was asked first and told of nothing; None when it told of plays.

    Returns:
        Counts, and what must not be, by its name and moment.
    """
    counts: Counter[str] = Counter(plays=len(ledger), loaded=len(history), gaps_recorded=len(gaps))
    counts["reachable"] = sum(play.reachable for play in ledger)
    told = {play.played_at: play.track_id for play in ledger}
    due = {play.played_at: play.track_id for play in ledger if play.reachable}
    wrong = [("lost", at) for at, track in due.items() if history.get(at) != track]
    wrong += [("invented", at) for at, track in history.items() if told.get(at) != track]
    aside = set(rejected_items)
    late = _late(ledger)
    founded: set[Gap] = set()
    for hole in _holes(ledger, history, known_from):
        missed = [play for play in hole if _written(play.played_at) not in aside]
        around = {gap for play in missed for gap in gaps if gap.after < play.played_at < gap.before}
        is_true = any(play.played_at not in late for play in missed)
        founded |= around
        counts["rejected_items"] += len(hole) - len(missed)
        counts["gaps_true"] += is_true
        counts["in_gaps" if around else "unseen"] += len(missed)
        if is_true and not around:
            wrong.append(("gaps_unrecorded", missed[0].played_at))
    bare = [gap for gap in gaps if gap not in founded]
    wrong += [("gaps_unfounded", gap.before) for gap in bare if not _adjoins(ledger, gap)]
    counts.update(name for name, _ in wrong)
    counts["gaps_adjoining"] = len(bare) - counts["gaps_unfounded"]
    missing = len(told.keys() - history.keys() - due.keys())
    counts["outside"] = missing - counts["rejected_items"] - counts["in_gaps"] - counts["unseen"]
    return counts, wrong


def _late(ledger: Sequence[Play]) -> set[datetime]:
    """The plays that came into the feed after newer ones.

    They come from an offline phone, or from a device that tells when a play began: another device
    may tell of its plays meanwhile.
    """
    late = set()
    newest = datetime.min.replace(tzinfo=UTC)
    for play in sorted(ledger, key=lambda play: (play.listed_at, play.played_at)):
        if play.played_at < newest:
            late.add(play.played_at)
        newest = max(newest, play.played_at)
    return late


def _holes(
    ledger: Sequence[Play], history: Mapping[datetime, str], known_from: datetime | None
) -> Iterator[list[Play]]:
    """The rows of plays that are missing between two known moments."""
    hole: list[Play] | None = None if known_from is None else []
    for play in ledger:
        if play.played_at in history:
            if hole:
                yield hole
            hole = []
        elif hole is not None and not play.reachable:
            hole.append(play)


def _adjoins(ledger: Sequence[Play], gap: Gap) -> bool:
    """Whether the answer that found the gap held all plays since the one before it."""
    listed = [play.played_at for play in ledger if play.listed_at <= gap.found_at]
    first = bisect_left(listed, gap.before)
    return len(listed) - first >= FULL and bisect_right(listed, gap.after) == first


def _judge_user(
    verdict: Verdict,
    connection: psycopg.Connection[Any],
    listener: str,
    user_id: int,
    ledger: Sequence[Play],
    begins: datetime,
) -> None:
    def rows(query: str) -> list[Any]:
        return connection.execute(query.encode(), [user_id]).fetchall()

    history = rows(
        "SELECT played_at AT TIME ZONE 'UTC', track_id FROM \"History\" WHERE user_id = %s"
    )
    gaps = rows(
        "SELECT after, before, found_at FROM songswap.gaps WHERE user_id = %s AND closed_at IS NULL"
    )
    aside = rows("SELECT played_at FROM songswap.rejected_items WHERE user_id = %s")
    first = rows('SELECT joined_at FROM soak.members JOIN "Users" USING (spotify_id) WHERE id = %s')
    known_from = begins if first == [(begins,)] else None
    aside_at = [at for (at,) in aside if at]
    counts, wrong = account(
        ledger, dict(history), [Gap(*gap) for gap in gaps], aside_at, known_from
    )
    counts["duplicated"] = len(history) - len({at for at, _ in history})
    verdict.counts += counts
    room = _EXAMPLES - len(verdict.examples)
    verdict.examples += [f"{name}: {listener} {_written(at)}" for name, at in wrong[:room]]


def _stranded(connection: psycopg.Connection[Any], revoked: set[str], now: datetime) -> list[str]:
    """The users who have not taken their grant back and are not answered any more."""
    rows = connection.execute(
        'SELECT u.spotify_id FROM "Users" u LEFT JOIN songswap.polls p ON p.user_id = u.id'
        " WHERE p.answered_at IS NULL OR p.answered_at < %s ORDER BY 1",
        [now - _ANSWERED_WITHIN],
    )
    return [listener for (listener,) in rows if listener not in revoked]


def _unknown(connection: psycopg.Connection[Any]) -> int:
    """How many tracks and artists are taken for unknown: all that the feeds name exist."""
    row = connection.execute(
        "SELECT count(*) FROM songswap.enrichment_queue"
        " WHERE NOT known AND kind IN ('track', 'artist') AND id ~ '^[0-9A-Za-z]{22}$'"
    ).fetchone()
    return int(row[0]) if row else 0


def _delays(connection: psycopg.Connection[Any]) -> dict[str, int | None]:
    """Minutes from a play to its row: the median, and what 99 of 100 take at most."""
    row = connection.execute(
        "WITH d AS (SELECT minutes, sum(sum(plays)) OVER (ORDER BY minutes) AS upto,"
        " sum(sum(plays)) OVER () AS total FROM soak.delays GROUP BY minutes)"
        " SELECT min(minutes) FILTER (WHERE upto >= 0.5 * total),"
        " min(minutes) FILTER (WHERE upto >= 0.99 * total) FROM d"
    ).fetchone()
    median, most = row or (None, None)
    return {"median": median, "p99": most}


def _play(line: Mapping[str, Any]) -> Play:
    return Play(
        datetime.fromisoformat(line["played_at"]),
        line["track_id"],
        datetime.fromisoformat(line["listed_at"]),
        line["reachable_when_polled"],
    )


def _written(moment: datetime) -> str:
    """As Spotify writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
