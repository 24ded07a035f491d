"""The verdict of a soak: compares "History" and the recorded gaps with the simulator's ledger.

A play is identified by its moment. Each play that Spotify could return when polled has to be in
"History", and each in "History" has to be in the ledger. All others are missed, and have to be
accounted for, see `account`. Users are compared one by one, so that memory stays flat.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from songswap.dev.soak.limit import HOUR, LimitVerdict
from songswap.dev.soak.parts import Parts
from songswap.dev.soak.play import Play
from songswap.storage.spool import Spool
from songswap.warehouse.connection import connect

FULL = 50
_ANSWERED_WITHIN = timedelta(hours=3)
_EXAMPLES = 20


class Gap(NamedTuple):
    """A gap that the pipeline recorded."""

    after: datetime
    before: datetime
    found_at: datetime


@dataclass
class Verdict:
    """The sums over all users; ``examples`` has the first violations.

    Missed plays, by what accounts for them: ``in_gaps`` that are recorded; ``rejected_items``;
    ``unseen``, which entered the feed after newer ones and left it between two responses that
    joined, so that no caller can know of them; ``outside``, before the first or after the last
    known play.
    ``stranded`` users do not come back; ``undelivered`` are those of them whose rotated token was
    in no response that was delivered whole.
    ``unknown`` are tracks and artists that are taken for unknown but exist; ``clock_unnoticed``
    successful runs with a wrong clock; ``ended_late`` loads that a signal did not end in time.
    ``gaps_adjoining`` are recorded gaps in which nothing is missing: the response had exactly the
    50 plays since the last known, which no caller can distinguish from a gap.
    """

    counts: Counter[str] = field(default_factory=Counter)
    rejected_items: dict[str, int] = field(default_factory=dict)
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    delays: dict[str, int | None] = field(default_factory=dict)
    stranded: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    limit: LimitVerdict | None = None

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        broken = (
            *("lost", "duplicated", "invented", "gaps_unrecorded", "gaps_unfounded", "waiting"),
            *("unknown", "clock_unnoticed", "ended_late"),
        )
        kept = self.limit is None or self.limit.good
        return kept and not self.stranded and not any(self.counts[name] for name in broken)


def judge(
    parts: Parts, begins: datetime, now: datetime, limit: LimitVerdict | None = None
) -> Verdict:
    """Compare everything after the storm, while all parts are up.

    Args:
        begins: when lives and the soak began; users of that moment first had an empty feed.
        now: when the soak ended.
        limit: the verdict on a limit, where there was one.
    """
    verdict = Verdict(limit=limit)
    with connect(parts.settings.warehouse_dsn) as connection:
        users: dict[str, int] = dict(
            connection.execute('SELECT spotify_id, id FROM "Users" ORDER BY 1').fetchall()
        )
        for listener, user_id in users.items():
            ledger = [Play.of(line) for line in parts.spotify.ledger(listener)]
            _judge_user(verdict, connection, listener, user_id, ledger, begins)
        verdict.rejected_items = dict(
            connection.execute(
                "SELECT reason, count(*) FROM songswap.rejected_items GROUP BY 1 ORDER BY 1"
            ).fetchall()
        )
        within = 2 * limit.turn * HOUR if limit else _ANSWERED_WITHIN
        verdict.stranded = _stranded(connection, parts.revoked, now - within)
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

    A hole is a sequence of missed plays between two known ones. It is a true gap if one of its
    plays entered the feed before any newer one: then the next response was full and joined nothing
    known, and the gap has to be recorded.

    Args:
        ledger: the user's plays in the order in which they were played.
        history: the tracks in "History" by the time they were played.
        gaps: the recorded gaps that are open.
        rejected_items: the moments of the rejected items, as Spotify wrote them.
        known_from: the moment of the first poll, if it returned no plays; else None.

    Returns:
        Counts, and the violations by name and moment.
    """
    counts: Counter[str] = Counter(plays=len(ledger), loaded=len(history), gaps_recorded=len(gaps))
    counts["reachable"] = sum(play.reachable for play in ledger)
    played = {play.played_at: play.track_id for play in ledger}
    due = {play.played_at: play.track_id for play in ledger if play.reachable}
    wrong = [("lost", at) for at, track in due.items() if history.get(at) != track]
    wrong += [("invented", at) for at, track in history.items() if played.get(at) != track]
    rejected = set(rejected_items)
    late = _late(ledger)
    founded: set[Gap] = set()
    for hole in _holes(ledger, history, known_from):
        missed = [play for play in hole if _as_spotify(play.played_at) not in rejected]
        around = {gap for play in missed for gap in gaps if gap.after < play.played_at < gap.before}
        is_true = any(play.played_at not in late for play in missed)
        founded |= around
        counts["rejected_items"] += len(hole) - len(missed)
        counts["gaps_true"] += is_true
        counts["in_gaps" if around else "unseen"] += len(missed)
        if is_true and not around:
            wrong.append(("gaps_unrecorded", missed[0].played_at))
    empty = [gap for gap in gaps if gap not in founded]
    wrong += [("gaps_unfounded", gap.before) for gap in empty if not _adjoins(ledger, gap)]
    counts.update(name for name, _ in wrong)
    counts["gaps_adjoining"] = len(empty) - counts["gaps_unfounded"]
    missing = len(played.keys() - history.keys() - due.keys())
    counts["outside"] = missing - counts["rejected_items"] - counts["in_gaps"] - counts["unseen"]
    return counts, wrong


def _late(ledger: Sequence[Play]) -> set[datetime]:
    """The plays that entered the feed after newer ones.

    They come from an offline phone, or from a device that reports when a play began, while another
    device reports its plays.
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
    """The sequences of plays that are missing between two known moments."""
    hole: list[Play] | None = None if known_from is None else []
    for play in ledger:
        if play.played_at in history:
            if hole:
                yield hole
            hole = []
        elif hole is not None and not play.reachable:
            hole.append(play)


def _adjoins(ledger: Sequence[Play], gap: Gap) -> bool:
    """Whether the response that revealed the gap had all plays since the last known one."""
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
    rejected = rows("SELECT played_at FROM songswap.rejected_items WHERE user_id = %s")
    first = rows('SELECT joined_at FROM soak.members JOIN "Users" USING (spotify_id) WHERE id = %s')
    known_from = begins if first == [(begins,)] else None
    rejected_at = [at for (at,) in rejected if at]
    counts, wrong = account(
        ledger, dict(history), [Gap(*gap) for gap in gaps], rejected_at, known_from
    )
    counts["duplicated"] = len(history) - len({at for at, _ in history})
    verdict.counts += counts
    room = _EXAMPLES - len(verdict.examples)
    verdict.examples += [f"{name}: {listener} {_as_spotify(at)}" for name, at in wrong[:room]]


def _stranded(connection: psycopg.Connection[Any], revoked: set[str], since: datetime) -> list[str]:
    """The users without a response since then, except those who revoked their grant."""
    rows = connection.execute(
        'SELECT u.spotify_id FROM "Users" u LEFT JOIN songswap.polls p ON p.user_id = u.id'
        " WHERE p.answered_at IS NULL OR p.answered_at < %s ORDER BY 1",
        [since],
    )
    return [listener for (listener,) in rows if listener not in revoked]


def _unknown(connection: psycopg.Connection[Any]) -> int:
    """The number of tracks and artists that are taken for unknown, though all in feeds exist."""
    row = connection.execute(
        "SELECT count(*) FROM songswap.enrichment_queue"
        " WHERE NOT known AND kind IN ('track', 'artist') AND id ~ '^[0-9A-Za-z]{22}$'"
    ).fetchone()
    return int(row[0]) if row else 0


def _delays(connection: psycopg.Connection[Any]) -> dict[str, int | None]:
    """Minutes from a play to its row: the median and the 99th percentile."""
    row = connection.execute(
        "WITH d AS (SELECT minutes, sum(sum(plays)) OVER (ORDER BY minutes) AS upto,"
        " sum(sum(plays)) OVER () AS total FROM soak.delays GROUP BY minutes)"
        " SELECT min(minutes) FILTER (WHERE upto >= 0.5 * total),"
        " min(minutes) FILTER (WHERE upto >= 0.99 * total) FROM d"
    ).fetchone()
    median, most = row or (None, None)
    return {"median": median, "p99": most}


def _as_spotify(moment: datetime) -> str:
    """A moment as Spotify writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
