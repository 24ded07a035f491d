"""What `songswap status` shows of what it found: most of it, or next to nothing."""

import io
from typing import Any

from songswap.cli.status import _pause, _summary
from songswap.terminal.console import Terminal

FULL: dict[str, Any] = {
    "pauses": [{"app": "reccobeats", "reason": "No.", "until": "2026-11-26T20:00:00+00:00"}],
    "users": 123_456,
    "users_with_tokens": 100_000,
    "plays": 1_234_567_890,
    "newest_play": "2026-11-26T19:59:58.123000+00:00",
    "last_run": {
        "run_id": "scheduled__2026-11-26T20:01:00+00:00",
        "state": "success",
        "started_at": "2026-11-26T20:01:03+00:00",
    },
    "tracks": {
        "total": 12_345_678,
        "having": {"images": 12_345_678, "popularity": 12_000_000, "features": 9, "preview": 9},
    },
    "artists": {
        "total": 1_234_567,
        "having": {"images": 9, "popularity": 1_234_567, "followers": 9, "genres": 9},
    },
    "missing": {
        kind: {"missing": 1_234_567, "waiting": 1_234_567, "unknown": 1_234_567}
        for kind in ("track", "artist", "features")
    },
    "gaps": 1_234,
    "newest_gaps": [
        {
            "user_id": 1_234_567,
            "username": "名" * 20,
            "after": "2026-11-26T19:59:58+00:00",
            "before": "2026-11-26T19:59:58+00:00",
            "found_at": "2026-11-26T19:59:58+00:00",
        }
    ]
    * 20,
    "feeds": {"empty": 12_345, "quiet": 12_345},
    "rejected_items": 12_345,
    "grants": dict.fromkeys(
        ("active", "expiring", "expired", "revoked", "lost", "forbidden"), 12_345
    ),
    "narrow_columns": [],
    "requests": {
        "last_day": 12_345_678,
        "per_window": 180,
        "per_day": 50_000,
        "users_an_hour": 12_345_678,
    },
    "oldest_poll": {
        "user_id": 1_234_567,
        "username": "名" * 20,
        "since": "2026-11-26T16:30:00+00:00",
        "minutes": 192,
    },
    "hosts": [
        {
            "host": "a-long-name.of-a-host.example",
            "seen_at": "2026-11-22T18:00:00+00:00",
            "waiting_for_s3": 12_345,
            "waiting_for_warehouse": 12_345,
            "waiting_tokens": 12_345,
            "waiting_since": "2026-11-22T18:00:00+00:00",
            "is_silent": True,
            "erasures": 12_345,
        }
    ]
    * 3,
    "spool": dict.fromkeys(("waiting_for_s3", "waiting_for_warehouse", "waiting_tokens"), 12_345),
}


def emptied(value: Any) -> Any:
    """The same with nothing in it."""
    if isinstance(value, dict):
        return {name: emptied(inner) for name, inner in value.items()}
    return [] if isinstance(value, list) else 0 if isinstance(value, int) else None


def shown(data: dict[str, Any]) -> list[str]:
    """The lines on a terminal of 80 columns."""
    screen = Terminal()
    screen.file = file = io.StringIO()
    screen.width = 80
    for pause in data["pauses"]:
        screen.say(_pause(pause))
    screen.print(_summary(data))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_fullest_status_fits_a_screen() -> None:
    """23 lines leave one to type in."""
    lines = shown(FULL)
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    assert lines[0] == "Paused by ReccoBeats until 2026-11-26 20:00:00 UTC: no requests before."
    heads = [line.split("  ")[0] for line in lines[1:] if not line.startswith(" ")]
    assert heads[:6] == ["Last run", "Waiting", "Hosts", "Oldest poll", "Open gaps", "Grants"]


def test_zeros_are_left_out() -> None:
    """A fresh warehouse has lines that say so."""
    result = emptied(FULL) | {"last_run": None, "oldest_poll": None}
    assert [" ".join(line.split()) for line in shown(result)] == [
        "Last run none yet",
        "Waiting nothing",
        "Open gaps none",
        "Grants none",
        "Users none",
        "Plays none",
        "More songswap status --all",
    ]


def test_limits_that_are_not_known_are_left_out() -> None:
    """As in a new deployment: Spotify has refused nothing yet."""
    unknown = dict.fromkeys(("per_window", "per_day", "users_an_hour"))
    lines = shown(FULL | {"requests": {"last_day": 36} | unknown})
    assert "Requests     36 in the last 24 hours" in [line.rstrip() for line in lines]
