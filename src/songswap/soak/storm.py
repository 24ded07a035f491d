"""The storm: what goes wrong in each hour, drawn from the seed alone.

Some of it lasts for days, as an exhausted quota does, so that comes early; the last hours are calm,
so that what can come back does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from songswap.simulator import draw

Order = dict[str, Any]
"""A fault as the simulator's admin endpoint takes it."""

FEED = "/v1/me/player/recently-played"
_TOKEN = "/api/token"  # noqa: S105 - a path, not a secret
_EVERYWHERE = "/*"
_CALM_HOURS = 8
_REST_HOURS = 26
"""How long what an early hour does can last: a day's pause, and the hours until the next load."""

_QUOTA = {"error": {"status": 429, "message": "Too many requests", "reason": "QUOTA_EXCEEDED"}}
_DEAD = {"error": "invalid_grant", "error_description": "Refresh token revoked"}


@dataclass(frozen=True)
class Hour:
    """What one hour brings.

    ``faults`` are Spotify's, by kind; the feed of ``stalled`` stands still from here on, for
    ``stalled_for`` hours. ``own`` is the trouble of our own side, of `OWN` or empty;
    it comes at the ``at_call``-th look at the clock (of a kill: the n-th call of a function), and
    an outage lasts for ``lasts`` hours more. ``lives`` is what users do, of `LIVES` or empty.
    """

    faults: tuple[tuple[str, Order], ...] = ()
    stalled: str = ""
    stalled_for: int = 0
    own: str = ""
    at_call: int = 1
    lasts: int = 0
    lives: str = ""
    user: str = ""
    development: bool = False


OWN = ("s3 outage", "postgres outage", "kill", "run twice", "two at once", "missed")
LIVES = ("join", "delete", "revoke", "return")


_FALSE: Order = {"path": _TOKEN, "status": 400, "body": _DEAD}
_INCIDENT = Hour(faults=(("false invalid_grant", _FALSE),))
"""Spotify refuses everybody's grant: alone, because a run that asks few cannot tell it."""


def storm(seed: int, users: int, hours: int) -> list[Hour]:
    """Draw the hours of a soak.

    Args:
        seed: the same one draws the same hours.
        users: how many there are at the beginning.
        hours: how many there are.
    """
    calm_from = hours - min(_CALM_HOURS, hours // 4)
    early_until = hours - _REST_HOURS
    found = []
    missed = incident_from = 0
    for number in range(hours):
        rng = draw.stream(seed, "storm", number)
        if missed:
            missed -= 1
            found.append(Hour(own="missed"))
        elif number == 0 or number >= calm_from:
            found.append(Hour())
        elif rng.random() < 0.03 and number >= incident_from:
            found.append(_INCIDENT)
        else:
            hour = _hour(rng, users, number < early_until)
            # What lasts ends before the calm, so that what can come back has its time.
            hour = replace(hour, lasts=min(hour.lasts, calm_from - number - 1))
            missed = hour.lasts if hour.own == "missed" else 0
            if hour.development:
                incident_from = number + _REST_HOURS
            found.append(hour)
    return found


def _hour(rng: Random, users: int, early: bool) -> Hour:
    own = rng.choice(OWN) if rng.random() < 0.3 else ""
    faults: list[tuple[str, Order]] = []
    # A process that is killed has answers in hand which only asking again can give: nothing may
    # keep the run after it, at the same simulated time, from that.
    if own != "kill" and rng.random() < 0.1:
        faults.append(("token answer lost", _token_answer_lost(rng)))
    elif own != "kill" and rng.random() < 0.6:
        kinds = rng.sample(sorted(_FAULTS), rng.randint(1, 3))
        faults += [(kind, _FAULTS[kind](rng, users)) for kind in kinds]
        if early and rng.random() < 0.1:
            kind = rng.choice(sorted(_LONG))
            faults.insert(0, (kind, _LONG[kind](rng, users)))
    stalls = rng.random() < 0.3
    return Hour(
        faults=tuple(faults),
        stalled=_user(rng, users) if stalls else "",
        stalled_for=rng.randint(2, 12),
        own=own,
        at_call=round(10 ** rng.uniform(3, 5.5)) if own == "kill" else rng.randint(1, 6 * users),
        lasts=rng.choice((0, 0, 1, 2, 3)) if own != "missed" else rng.randint(0, 7),
        lives=rng.choice(LIVES) if rng.random() < 0.08 else "",
        user=_user(rng, users),
        development=early and rng.random() < 0.02,
    )


def _user(rng: Random, users: int) -> str:
    return f"listener-{rng.randint(1, users):04d}"


def _limited(retry_after: str | None, body: Order | None = None) -> Order:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return {"path": "/v1/*", "status": 429, "times": 1, "headers": headers, "body": body}


def _broken(rng: Random, _users: int) -> Order:
    path = rng.choice((FEED, _EVERYWHERE))
    return {"path": path, "status": rng.choice((500, 502, 503)), "share": rng.uniform(0.1, 0.6)}


def _spoiled(action: str) -> Callable[[Random, int], Order]:
    return lambda rng, _: {"path": "/v1/*", "action": action, "share": rng.uniform(0.1, 0.5)}


def _token_answer_lost(rng: Random) -> Order:
    # A rotated token that nobody learns of is a user lost, unless the next try gets another: fewer
    # answers are lost than a call has tries, and nothing else goes wrong in that hour.
    return {"path": _TOKEN, "times": 3, "action": rng.choice(("cut", "truncate"))}


_PATCHES: Sequence[Sequence[Order]] = (
    [{"path": "items/0/played_at", "value": "yesterday"}],
    [{"path": "items/1/track", "value": None}],
    [{"path": "items/2/track/id", "value": None}],
    [{"path": "items/3/track/id", "value": 7}],
    [{"path": "items/4/track/id", "value": "x" * 60}],
    [{"path": "items/0/track/artists", "value": "none"}],
    [{"path": "items/5/track", "remove": True}, {"path": "items/6/track", "value": []}],
    [{"path": "items", "value": None}],
)


def _malformed(rng: Random, _users: int) -> Order:
    patches = list(rng.choice(_PATCHES))
    share = rng.uniform(0.1, 0.5)
    return {"path": FEED, "action": "mutate", "mutate": {"json_patch": patches}, "share": share}


_FAULTS: dict[str, Callable[[Random, int], Order]] = {
    "429, short": lambda *_: _limited("1"),
    "429, long": lambda rng, _: _limited(str(rng.randint(600, 7200))),
    "429, missing": lambda *_: _limited(None),
    "429, text": lambda *_: _limited("soon"),
    "5xx": _broken,
    "Spotify down": lambda *_: {"path": _EVERYWHERE, "status": 503},
    "timeout": lambda *_: {"path": FEED, "delay_ms": 1500, "times": 3},
    "cut": _spoiled("cut"),
    "truncated": _spoiled("truncate"),
    "refused": lambda rng, _: {"action": "refuse", "share": rng.uniform(0.1, 0.5)},
    "malformed": _malformed,
    "401": lambda *_: {"path": FEED, "status": 401, "times": 5},
}
_LONG: dict[str, Callable[[Random, int], Order]] = {
    "false invalid_grant, few": lambda rng, _: {**_FALSE, "times": rng.randint(1, 3)},
    "429, a day": lambda *_: _limited("86400"),
    "429, absurd": lambda *_: _limited("99999999999"),
    "quota exceeded": lambda *_: _limited("3600", _QUOTA),
}
