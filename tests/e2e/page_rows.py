"""Rows of the warehouse that the page shows: a snapshot with everything, and plays by the hour."""

import json
from datetime import datetime, timedelta
from typing import Any

import psycopg

from songswap.warehouse import snapshots
from songswap.warehouse.snapshots import Snapshot

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
DAG = "load_listening_history"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def plays_of(hour: datetime) -> int:
    """Plays of an hour: few at night, more at weekends, none twice the same."""
    night, morning = (2, 1, 1, 1, 1, 3, 9, 18), (22, 19, 17, 18, 21, 20, 19, 21)
    of_day = (*night, *morning, 26, 31, 34, 33, 29, 21, 12, 6)
    weekend = 1.25 if hour.weekday() > 4 else 1
    return round(of_day[hour.hour] * 37 * weekend) + hour.day * 7 % 23


def run(at: datetime, state: str = "success", **more: Any) -> dict[str, Any]:
    """A run of the hourly load."""
    run_id = f"scheduled__{at.isoformat()}"
    problem = {"failed": "Spotify gave no usable response for 312 of 2,000 users."}.get(state)
    fetch = "failed" if state == "failed" else "done"
    return {
        "run_id": run_id,
        "dag_id": DAG,
        "dag_run_id": run_id,
        "state": state,
        "started_at": at.isoformat(),
        "ended_at": None if state == "running" else (at + 7 * MINUTE).isoformat(),
        "plays": 812 if state == "success" else 40,
        "users": 2000,
        "problem": problem,
        "steps": [
            {"step": "plan", "state": "done", "parts": 1, "failed": 0, "problem": None},
            {
                "step": "fetch",
                "state": fetch,
                "parts": 4,
                "failed": 0 + (fetch == "failed"),
                "problem": problem,
            },
            {"step": "load", "state": "done", "parts": 4, "failed": 0, "problem": None},
            {"step": "enrich", "state": "done", "parts": 3, "failed": 0, "problem": None},
        ],
        **more,
    }


def facts(now: datetime) -> dict[str, Any]:
    """Facts as the hourly load writes them, with something of everything."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    states = {3: "failed", 4: "failed", 9: "paused", 15: "died"}
    runs = [run(hour - n * HOUR, states.get(n, "success")) for n in range(24)]
    today = now.date()
    ending = [(4, 1), (9, 12), (10, 3), (17, 41), (24, 7), (29, 2), (61, 130), (120, 800)]
    return {
        "run": runs[0],
        "users": {"total": 2012, "with_tokens": 2000},
        "freshness": {
            "newest_play": (now - 11 * MINUTE).isoformat(),
            "users": 1984,
            "answered": {"never": 3, "p50_minutes": 14, "p90_minutes": 52, "oldest_minutes": 1507},
            "histogram": [
                {"up_to_minutes": minutes, "users": users}
                for minutes, users in zip(
                    (15, 30, 60, 120, 360, 1440, None), (1012, 604, 310, 31, 14, 8, 2), strict=True
                )
            ],
        },
        "gaps": {
            "open": 7,
            "closed_7d": 12,
            "newest": [
                {
                    "user_id": user,
                    "after": (now - hours * HOUR).isoformat(),
                    "before": (now - hours * HOUR + 50 * MINUTE).isoformat(),
                    "found_at": (now - hours * HOUR + HOUR).isoformat(),
                }
                for user, hours in ((12, 5), (77, 30), (1204, 51), (12, 100))
            ],
        },
        "catalogue": {
            "counted_at": (now - 2 * HOUR).isoformat(),
            "tracks": {
                "total": 184_201,
                "features": 171_022,
                "images": 184_190,
                "popularity": 184_201,
                "preview": 61_870,
            },
            "artists": {
                "total": 41_077,
                "images": 40_950,
                "popularity": 41_077,
                "followers": 41_077,
                "genres": 29_310,
            },
            "missing": {
                "track": {"missing": 14, "waiting": 120, "unknown": 3},
                "artist": {"missing": 0, "waiting": 4, "unknown": 0},
                "features": {"missing": 410, "waiting": 9_860, "unknown": 2_909},
            },
        },
        "requests": {
            "in_window": 41,
            "per_window": 180,
            "last_day": 50_112,
            "per_day": None,
            "users_an_hour": 21_600,
            "pauses": [],
        },
        "hosts": [
            {
                "host": "worker-1",
                "seen_at": (now - 4 * MINUTE).isoformat(),
                "is_silent": False,
                "waiting_for_s3": 0,
                "waiting_for_warehouse": 0,
                "waiting_tokens": 0,
                "waiting_since": None,
                "problem": None,
            },
            {
                "host": "worker-2",
                "seen_at": (now - 71 * MINUTE).isoformat(),
                "is_silent": True,
                "waiting_for_s3": 12,
                "waiting_for_warehouse": 312,
                "waiting_tokens": 2,
                "waiting_since": (now - 3 * HOUR).isoformat(),
                "problem": "S3 did not answer.",
            },
        ],
        "runs": runs,
        "polls_between": {"runs": 121, "failed": 1, "ended_at": (now - 9 * MINUTE).isoformat()},
        "grants": {
            "states": {
                "active": 1920,
                "expiring": 66,
                "expired": 4,
                "revoked": 9,
                "lost": 1,
                "forbidden": 2,
            },
            "ending": [
                {"day": str(today + timedelta(days=n)), "users": users} for n, users in ending
            ],
        },
        "imports": [
            {
                "import_id": f"import-{n}",
                "user_id": user,
                "started_at": (now - n * DAY).isoformat(),
                "ended_at": (now - n * DAY + 2 * MINUTE).isoformat(),
                "counts": {
                    "rows": 81_204 - n,
                    "loaded": 70_012,
                    "merged": 411,
                    "duplicates": 3_000,
                    "short": 7_781,
                    "tracks": 5_120,
                    "gaps_closed": 2,
                },
            }
            for n, user in ((1, 12), (3, 77), (8, 1888))
        ],
        "erasing": {
            "due_users": 5,
            "due": [
                {
                    "user_id": user,
                    "reason": reason,
                    "since": (now + (days - 5) * DAY).isoformat(),
                    "due_at": (now + days * DAY).isoformat(),
                    "day": str(today + timedelta(days=days)),
                }
                for user, reason, days in (
                    *((31, "gone", -1), (12, "revoked", 0), (40, "revoked", 1)),
                    *((77, "revoked", 1), (1204, "gone", 4)),
                )
            ],
            "open": [
                {
                    "user_id": 1888,
                    "requested_at": (now - 3 * HOUR).isoformat(),
                    "reason": "request",
                    "waits_for": [
                        {"place": "s3", "host": None, "problem": "S3 did not answer."},
                        {"place": "spool", "host": "worker-2", "problem": None},
                    ],
                }
            ],
        },
    }


def write(dsn: str, now: datetime, of_snapshot: dict[str, Any] | None, hours: int = 720) -> None:
    """Replace all snapshots by one, and the plays by the hour up to ``now``."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE songswap.snapshots, songswap.plays_by_hour")
        if of_snapshot is not None:
            snapshots.write(connection, Snapshot(now, "a run", of_snapshot))
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO songswap.plays_by_hour VALUES (%s, %s)",
                [(hour - n * HOUR, plays_of(hour - n * HOUR)) for n in range(hours)],
            )


def write_user(dsn: str, user: int, now: datetime) -> None:
    """Make a user with something of everything: plays on two of three days, gaps, an import."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement, *parameters in _user_rows(user, now, hour):
            connection.execute(statement.encode(), parameters)


def _user_rows(user: int, now: datetime, hour: datetime) -> list[tuple[Any, ...]]:
    return [
        ('INSERT INTO "Users" VALUES (%s, %s, %s, %s)', user, f"u{user}", f"u{user}", f"u{user}"),
        ('INSERT INTO "SpotifyTokens" VALUES (%s, %s, %s)', user, "access", "refresh"),
        ('INSERT INTO "Tracks" VALUES (%s, %s, 180000)', f"track{user}", "A track"),
        (
            "INSERT INTO \"History\" SELECT %s, %s::timestamp - n * interval '7 hours', %s"
            " FROM generate_series(1, 300) n WHERE n %% 9 > 2",
            user,
            now.replace(tzinfo=None),
            f"track{user}",
        ),
        (
            "INSERT INTO songswap.polls (user_id, polled_at, answered_at, newest_played_at,"
            " problem) VALUES (%s, %s, %s, %s, %s)",
            *(user, now, now - 9 * MINUTE, now - 31 * MINUTE, HOSTILE),
        ),
        (
            "INSERT INTO songswap.grants (user_id, refresh_digest, authorized_at)"
            " VALUES (%s, sha256('refresh'), %s)",
            *(user, now - 160 * DAY),
        ),
        (
            "INSERT INTO songswap.gaps (user_id, after, before, found_at, run_id, closed_at)"
            " VALUES (%s, %s, %s, %s, 'run', %s)",
            *(user, hour - 30 * HOUR, hour - 29 * HOUR, hour - 28 * HOUR, None),
        ),
        (
            "INSERT INTO songswap.imports VALUES (%s, %s, %s, %s, '{}', %s)",
            *(f"import of {user}", user, now - DAY, now - DAY + 2 * MINUTE),
            json.dumps({"rows": 9_001, "loaded": 8_000, "short": 1_001}),
        ),
    ]
