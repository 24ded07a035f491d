"""What engineers are told of a run beside its failures."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

LOOK = "look"
PAUSED = "paused"
RESUMED = "resumed"

_AGAIN = "have to authorize again (`songswap connect`; signing in to the web app changes no tokens)"

_ENDING = re.compile(r"expiring_in_(?P<days>\d+)_days")


class Notice(NamedTuple):
    """A sentence, and what it is about: `LOOK`, `PAUSED` or `RESUMED`."""

    about: str
    sentence: str


def warnings(counts: Mapping[str, int]) -> list[str]:
    """Sentences about a run's counts, of what no next run can mend; none for most runs.

    Args:
        counts: as `songswap.pipelines.hourly_load.summarise` gives them.
    """
    return list(_warnings(counts))


def unaskable(grants: Mapping[str, int]) -> str | None:
    """A sentence about users whose grants cannot be asked with; None where there are none.

    Args:
        grants: how many there are in each state.
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
        f"{users:,} {'user' if users == 1 else 'users'} cannot be asked for: {each}.{advice}"
        f" `{command}` lists them."
    )


def set_back(users: int, since: datetime | None) -> str:
    """A sentence about a warehouse that went back in time, and the tokens that were put back.

    Args:
        users: whose tokens they were.
        since: when the last hourly run began that the warehouse knows of; None if of none.
    """
    start = f" --from {since.astimezone(UTC):%Y-%m-%dT%H}" if since else ""
    return (
        "The warehouse went back in time, as after a failover or a restore: it held older tokens of"
        f" {users:,} {'user' if users == 1 else 'users'} than Spotify had given. The later ones"
        " were put back from the spool, nobody has to authorize for it. What had been loaded since"
        f" is gone from it as well: `songswap replay{start}` brings the plays back, see"
        " docs/deployment.md."
    )


def _warnings(counts: Mapping[str, int]) -> Iterator[str]:
    gaps = counts.get("gaps", 0)
    if gaps:
        yield (
            f"{gaps:,} users had played more than Spotify remembers since they were last asked for:"
            " plays of theirs may be missing. songswap.gaps says whose, and between when and when."
        )
    missing = counts.get("missing_users", 0)
    if missing:
        yield (
            f"{missing:,} users fewer than before have tokens in the warehouse: they are not asked"
            " for. Unless they left the platform, look whether SongSwap_RDS leads to the right"
            " database, and what `songswap check postgres` says. (Told from"
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
                f" they {_AGAIN} before, or nobody can ask for their plays."
                " `songswap grants` lists them."
            )
