"""The storm: the events of each hour, drawn from the seed alone.

Events that last for days, such as an exhausted quota, come early; the last hours are calm, so that
everything can recover. Spotify's faults are in `songswap.dev.soak.kinds`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from songswap.dev.simulator import draw
from songswap.dev.soak.kinds import (
    BRIEF,
    EARLY,
    FALSE_INVALID_GRANT,
    FEED,
    FORBIDDEN,
    HANGING_FEED,
    LASTING,
    SLOW_TOKENS,
    Draw,
    Order,
    a_user,
    token_answer_lost,
)

_CALM_HOURS = 8
_REST_HOURS = 26
"""How long an early event can last: a day's pause, and the hours until the next load."""

SIGNALS = ("sigterm", "sigint")
OUTAGES = ("s3 outage", "postgres outage", "read-only")
OWN = (
    *OUTAGES,
    *SIGNALS,
    *("kill", "run twice", "two at once", "missed"),
    *("locked table", "wrong clock", "damaged spool", "damaged answer"),
)
LIVES = ("join", "delete", "revoke", "return")
_ALONE = ("token answer lost", "false invalid_grant", "stalled feed", "development")
KINDS = frozenset({*BRIEF, *LASTING, *EARLY, *FORBIDDEN, *OWN, *LIVES, *_ALONE})
"""All kinds of events in a storm."""


class Fault(NamedTuple):
    """A fault of Spotify, and how many more hours it lasts."""

    kind: str
    order: Order
    hours: int = 0


@dataclass(frozen=True)
class Hour:
    """The events of an hour.

    ``faults`` are Spotify's. ``own`` is a failure on our own side, of `OWN` or empty; it comes at
    the ``at_call``-th call of the clock (a kill: of any function; a signal: at the n-th exchange of
    a token), and an outage lasts for ``lasts`` more hours. The load's clock is ``clock_off`` hours
    wrong. ``lives`` is what a user does, of `LIVES` or empty.
    """

    faults: tuple[Fault, ...] = ()
    own: str = ""
    at_call: int = 1
    lasts: int = 0
    clock_off: int = 0
    lives: str = ""
    user: str = ""
    development: bool = False


_INCIDENT = Hour(faults=(Fault("false invalid_grant", FALSE_INVALID_GRANT),))


def storm(seed: int, users: int, hours: int, kinds: Collection[str] = KINDS) -> list[Hour]:
    """Draw the hours of a soak.

    Args:
        seed: the same seed draws the same hours of the same kinds.
        users: the number of users at the start.
        hours: the number of hours.
        kinds: the kinds of events to draw, of `KINDS`.
    """
    calm_from = hours - min(_CALM_HOURS, hours // 4)
    early_until = hours - _REST_HOURS
    found = []
    missed = incident_from = forbidden_until = 0
    for number in range(hours):
        rng = draw.stream(seed, "storm", number)
        if missed:
            missed -= 1
            found.append(Hour(own="missed"))
        elif number == 0 or number >= calm_from:
            found.append(Hour())
        elif "false invalid_grant" in kinds and rng.random() < 0.03 and number >= incident_from:
            found.append(_INCIDENT)
        else:
            hour = _hour(rng, users, number < early_until, kinds, number < forbidden_until)
            hour = _ending_before(hour, calm_from - number - 1)
            missed = hour.lasts if hour.own == "missed" else 0
            if hour.development:
                incident_from = number + _REST_HOURS
            for fault in hour.faults:
                if fault.kind in FORBIDDEN:
                    forbidden_until = max(forbidden_until, number + fault.hours + 1)
            found.append(hour)
    return found


def _ending_before(hour: Hour, most: int) -> Hour:
    """Shorten an hour's events so that they end before the calm."""
    faults = tuple(fault._replace(hours=min(fault.hours, most)) for fault in hour.faults)
    return replace(hour, faults=faults, lasts=min(hour.lasts, most))


def _hour(rng: Random, users: int, early: bool, kinds: Collection[str], forbidden: bool) -> Hour:
    own = _one_of(rng, OWN, kinds) if rng.random() < 0.45 else ""
    # A killed process loses responses that only the next run can fetch again, at the same
    # simulated time: no fault may prevent that.
    if own == "kill" and forbidden:
        own = ""
    faults = [] if own in ("kill", *SIGNALS) else _faults(rng, users, early, kinds)
    if own in SIGNALS:
        faults = [Fault("slow tokens", SLOW_TOKENS), Fault("hanging feed", HANGING_FEED)]
    if "stalled feed" in kinds and rng.random() < 0.3:
        stall = {"path": FEED, "action": "stall", "user": a_user(rng, users)}
        faults.append(Fault("stalled feed", stall, rng.randint(2, 12)))
    return Hour(
        faults=tuple(faults),
        own=own,
        at_call=_at_call(rng, own, users),
        lasts=rng.choice((0, 0, 1, 2, 3)) if own != "missed" else rng.randint(0, 7),
        clock_off=rng.choice((-26, 26)) if own == "wrong clock" else 0,
        lives=_one_of(rng, LIVES, kinds) if rng.random() < 0.08 else "",
        user=a_user(rng, users),
        development="development" in kinds and early and rng.random() < 0.02,
    )


def _faults(rng: Random, users: int, early: bool, kinds: Collection[str]) -> list[Fault]:
    """Draw three lost token responses, alone; or one to three faults, and one that lasts."""
    if "token answer lost" in kinds and rng.random() < 0.1:
        return [Fault("token answer lost", token_answer_lost(rng, users))]
    brief, lasting = _enabled(BRIEF, kinds), _enabled(LASTING, kinds)
    faults = []
    if rng.random() < 0.6:
        chosen = rng.sample(sorted(brief), min(len(brief), rng.randint(1, 3)))
        faults = [Fault(kind, brief[kind](rng, users)) for kind in chosen]
        if early and rng.random() < 0.1 and (long := _enabled(EARLY, kinds)):
            kind = rng.choice(sorted(long))
            faults.insert(0, Fault(kind, long[kind](rng, users)))
    if early:
        lasting |= _enabled(FORBIDDEN, kinds)
    if lasting and rng.random() < 0.12:
        kind = rng.choice(sorted(lasting))
        hours = rng.randint(0, 2) if kind == "403 for everybody" else rng.randint(1, 12)
        faults.insert(0, Fault(kind, lasting[kind](rng, users), hours))
    return faults


def _enabled(draws: Mapping[str, Draw], kinds: Collection[str]) -> dict[str, Draw]:
    return {kind: draws[kind] for kind in draws if kind in kinds}


def _one_of(rng: Random, choices: Sequence[str], kinds: Collection[str]) -> str:
    return rng.choice([kind for kind in choices if kind in kinds] or [""])


def _at_call(rng: Random, own: str, users: int) -> int:
    if own == "kill":
        return round(10 ** rng.uniform(3, 5.5))
    if own in SIGNALS:
        return rng.randint(1, max(1, min(users // 4, 64)))
    return rng.randint(1, 6 * users)
