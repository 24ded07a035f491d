"""Notices: what engineers have to know about a run beside its failures."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from songswap.alerts.problem import Problem, advice_for

LOOK = "look"
PAUSED = "paused"
RESUMED = "resumed"
STANDSTILL = "standstill"
GOES_ON = "goes on"

_AGAIN = "have to authorize again (`songswap connect`; signing in to the web app changes no tokens)"

_ENDING = re.compile(r"expiring_in_(?P<days>\d+)_days")


class Notice(NamedTuple):
    """A sentence of a kind: `LOOK`, `PAUSED`, `RESUMED`, `STANDSTILL` or `GOES_ON`."""

    kind: str
    sentence: str


def warnings(counts: Mapping[str, int]) -> list[str]:
    """Return a sentence for each problem in a run's counts that no later run can fix.

    Args:
        counts: as `songswap.pipelines.hourly_load.summarise` returns them.
    """
    return list(_warnings(counts))


def unusable_grants(grants: Mapping[str, int]) -> str | None:
    """Return a sentence about users whom no run can poll; None where there are none.

    Args:
        grants: the number of grants in each state.
    """
    dead = ("expired", "revoked", "lost", "forbidden")
    numbers = {state: grants[state] for state in dead if grants.get(state)}
    if not numbers:
        return None
    users = sum(numbers.values())
    each = ", ".join(f"{number:,} {state}" for state, number in numbers.items())
    command = "songswap grants " + " ".join(f"--state {state}" for state in numbers)
    able = numbers.keys() - {"forbidden"}
    advice = f" They {_AGAIN}." if able else ""
    if able and "forbidden" in numbers:
        advice = f" All but those who are forbidden {_AGAIN}."
    return (
        f"{users:,} {'user' if users == 1 else 'users'} cannot be polled: {each}.{advice}"
        f" `{command}` lists them."
    )


def warehouse_set_back(users: int, since: datetime | None) -> str:
    """Return a sentence about a warehouse that went back in time.

    Args:
        users: the number of users whose newer tokens were put back.
        since: when the last hourly run began that the warehouse has; None if it has none.
    """
    start = f" --from {since.astimezone(UTC):%Y-%m-%dT%H}" if since else ""
    return (
        "The warehouse went back in time, as after a failover or a restore: it held older tokens of"
        f" {users:,} {'user' if users == 1 else 'users'} than Spotify had issued. The newer"
        " ones were put back from the spool: nobody has to authorize again. What had been loaded"
        f" since is missing too: `songswap replay{start}` restores the plays, see"
        " docs/deployment.md."
    )


def hour_is_short(counts: Mapping[str, int]) -> str:
    """Return a sentence about an hour that does not serve all users.

    Args:
        counts: of the run, with ``deferred`` users.
    """
    served, deferred = counts.get("users", 0), counts["deferred"]
    return (
        f"The app's limit at Spotify serves about {served:,} of {served + deferred:,} users an"
        " hour: the others are polled in the hours after, so that plays come later. First come"
        " those who could lose plays, then those unpolled longest; the oldest poll is"
        f" {in_hours(counts.get('oldest_poll_minutes', 0))} old. There is nothing to do, unless"
        " plays are to come sooner: then ask Spotify for a higher limit. `songswap status` shows"
        " how it goes on. This is said once."
    )


def limit_is_too_small(users: int) -> str:
    """Return a sentence about users for whom the app's limit leaves no room.

    Args:
        users: their number.
    """
    return (
        f"The app's limit at Spotify is too small: {users:,} users play so much that Spotify drops"
        " plays before the limit lets them be polled. They are polled all the same, the most urgent"
        " first, until Spotify refuses; what is lost then is in songswap.gaps. Only a higher limit"
        " of the app, or fewer users, helps. This is said once a day."
    )


def page_is_stale(problem: Problem) -> str:
    """Return a sentence about the page in Airflow, which could not be brought up to date."""
    advice = advice_for(problem.kind) or "Read the log of the task 'summarise'."
    return (
        "The page SongSwap in Airflow is out of date: the run's snapshot failed, which concerns"
        f" neither the run nor any play. {problem.text} The page shows the last snapshot, with its"
        f" time, until a later run takes one. {advice}"
    )


def in_hours(minutes: int) -> str:
    """Return a duration as "3 h 12 min"."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours:,} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return " ".join(parts) or "less than a minute"


def _warnings(counts: Mapping[str, int]) -> Iterator[str]:
    gaps = counts.get("gaps", 0)
    if gaps:
        yield (
            f"{gaps:,} users had played more than Spotify remembers since their last poll: some of"
            " their plays may be missing. songswap.gaps says whose, and between which times."
        )
    missing = counts.get("missing_users", 0)
    if missing:
        yield (
            f"{missing:,} users fewer than before have tokens in the warehouse: they are not"
            " polled. Unless they left the platform, check that SongSwap_RDS leads to the right"
            " database, and run `songswap check postgres`. (Reported from"
            " SONGSWAP_LOST_USERS_PERCENT on.)"
        )
    lost = counts.get("lost_tokens", 0)
    if lost:
        yield (
            f"The tokens of {lost:,} users were lost in a crash, or on their way from Spotify: they"
            f" {_AGAIN}. `songswap grants --state lost` lists them, with the time."
        )
    for name, users in counts.items():
        ending = _ENDING.fullmatch(name)
        if ending and users:
            days = int(ending["days"])
            yield (
                f"The grants of {users:,} users end within {days} {'day' if days == 1 else 'days'}:"
                f" they {_AGAIN} before, or their plays cannot be fetched."
                " `songswap grants` lists them."
            )
