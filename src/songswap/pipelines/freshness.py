"""Decide whether the hourly load stands still: pure.

It is fresh if an hourly run has ended well within a limit, or if the first one after it is at work:
a run may take 55 minutes, and an hour is longer than its load. A pause that Spotify asked for, an
hour that serves only some of the users, and a platform without users are no standstill.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from songswap.alerts.notices import in_hours
from songswap.errors import SettingsError
from songswap.warehouse.freshness import Facts, GoodRun

LIMIT = timedelta(minutes=90)
"""An hour, the time that a load takes, and a reserve."""

_DURATION = re.compile(r"(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?", re.IGNORECASE)


class Verdict(NamedTuple):
    """Whether the load is fresh, in a sentence.

    ``problem`` is what the last run failed of, where one has failed since the good one; it may name
    hosts. ``figures`` are numbers and times, without names.
    """

    is_fresh: bool
    sentence: str
    problem: str | None
    figures: dict[str, Any]


def parse_limit(text: str) -> timedelta:
    """Parse a duration such as ``90m``, ``2h`` or ``1h30m``.

    Raises:
        SettingsError: it is none, or no time at all.
    """
    found = _DURATION.fullmatch(text.strip())
    hours, minutes = found.groups(default="0") if found else ("0", "0")
    limit = timedelta(hours=int(hours), minutes=int(minutes))
    if not limit:
        raise SettingsError(f"A duration is written as 90m, 2h or 1h30m, and not as {text!r}.")
    return limit


def decide(facts: Facts, limit: timedelta, now: datetime) -> Verdict:
    """Decide from the facts whether an hourly load has ended well within a limit."""
    is_fresh, sentence = _decide(facts, limit, now)
    good, counts = facts.good, facts.good.counts if facts.good else {}
    figures = {
        "limit_minutes": _minutes(limit),
        "last_good_at": good.ended_at.astimezone(UTC).isoformat() if good else None,
        "minutes": _minutes(now - good.ended_at) if good else None,
        "users": counts.get("users"),
        "deferred": counts.get("deferred", 0) if good else None,
        "polled": counts.get("polled", 0) if good else None,
        "oldest_poll_minutes": counts.get("oldest_poll_minutes"),
        "failed": facts.failed,
        "running_since": _iso(facts.running_since),
    }
    return Verdict(is_fresh, sentence, facts.problem, figures)


def _decide(facts: Facts, limit: timedelta, now: datetime) -> tuple[bool, str]:
    good = facts.good
    if good is None:
        return False, f"No hourly load has ended well yet{_after(facts)}."
    age = now - good.ended_at
    ended = f"The last hourly load that ended well did so {_ago(age)} ({_utc(good.ended_at)})"
    if age > limit:
        # Only the first one after it: what fails hour by hour is at work most of the time.
        if facts.running_since and not facts.failed:
            since = _utc(facts.running_since)
            return True, f"An hourly load is at work since {since}. {ended}."
        return False, f"{ended}{_after(facts)}."
    if _polled_nobody(good):
        users = _users(good.counts.get("users", 0) + good.counts.get("deferred", 0))
        return False, f"{ended}, but it polled nobody of {users}."
    if good.state == "paused":
        return True, f"{ended}, in a pause that Spotify or ReccoBeats asked for."
    failed = f"; {_runs(facts.failed)} failed since" if facts.failed else ""
    return True, f"{ended}{_whom(good)}{failed}."


def _polled_nobody(good: GoodRun) -> bool:
    """A run that is green because it had nothing to do, though there were users to poll."""
    counts = good.counts
    pollable = counts.get("users", 0) - counts.get("paused", 0) + counts.get("deferred", 0)
    return good.state == "success" and pollable > 0 and not counts.get("polled")


def _whom(good: GoodRun) -> str:
    counts = good.counts
    if polled := counts.get("polled"):
        rest = f" of {polled + deferred:,}" if (deferred := counts.get("deferred")) else ""
        return f" and polled {polled:,}{rest} {'user' if polled == 1 else 'users'}"
    if paused := counts.get("paused"):
        return f" and found nobody to poll: the grants of {_users(paused)} are paused or dead"
    return " and found no user to poll"


def _after(facts: Facts) -> str:
    if facts.failed and facts.running_since:
        return f": {_runs(facts.failed)} failed since, and one is at work"
    if facts.failed:
        return f": {_runs(facts.failed)} failed since"
    if facts.running_since:
        return f": the first one is at work since {_utc(facts.running_since)}"
    return ", and none has begun since" if facts.good else ", and none is at work"


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"


def _users(number: int) -> str:
    return "1 user" if number == 1 else f"{number:,} users"


def _ago(age: timedelta) -> str:
    return f"{in_hours(max(_minutes(age), 0))} ago"


def _minutes(duration: timedelta) -> int:
    return int(duration.total_seconds() // 60)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None
