"""The kinds of Spotify's faults in a storm, as orders for the simulator.

`BRIEF` ones end with their hour, `LASTING` ones last for some hours, and `EARLY` ones can pause
users or the whole app for a day, so they come only early enough to end. Faults that never come
together with others have constants of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Order = dict[str, Any]
"""A fault as the simulator's admin endpoint takes it."""
Draw = Callable[[Random, int], Order]
"""Draws an order; its second argument is how many users there are."""

FEED = "/v1/me/player/recently-played"
TOKEN = "/api/token"  # noqa: S105 - a path, not a secret
_EVERYWHERE = "/*"
_STRANGER = "/stranger"

_QUOTA = {"error": {"status": 429, "message": "Too many requests", "reason": "QUOTA_EXCEEDED"}}
_DEAD = {"error": "invalid_grant", "error_description": "Refresh token revoked"}
_PREMIUM = "Active premium subscription required for the owner of the app."
_PAGE = "<!doctype html><html><head><title>403</title></head><body>Access denied.</body></html>"

FALSE_INVALID_GRANT: Order = {"path": TOKEN, "status": 400, "body": _DEAD}
"""Spotify refuses every grant: alone, because a run that polls few users cannot recognize it."""

SLOW_TOKENS: Order = {"path": TOKEN, "delay_ms": 300, "first": True}
HANGING_FEED: Order = {"path": FEED, "action": "refuse", "delay_ms": 3000, "first": True}
"""In the hour of a signal, which then meets token exchanges, and no feed that would be lost."""


def a_user(rng: Random, users: int) -> str:
    """Draw the id of a listener."""
    return f"listener-{rng.randint(1, users):04d}"


def token_answer_lost(rng: Random, _users: int) -> Order:
    """Draw how three token responses are lost.

    A user whose rotated token never arrives is lost, unless the next try gets it: fewer responses
    are lost than a call has tries, and no other fault comes in that hour.
    """
    return {"path": TOKEN, "times": 3, "action": rng.choice(("cut", "truncate"))}


def _limited(retry_after: str | None, body: Order | None = None) -> Order:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return {"path": "/v1/*", "status": 429, "times": 1, "headers": headers, "body": body}


def _broken(rng: Random, _users: int) -> Order:
    path = rng.choice((FEED, _EVERYWHERE))
    return {"path": path, "status": rng.choice((500, 502, 503)), "share": rng.uniform(0.1, 0.6)}


def _for_some(order: Order, most: float = 0.5) -> Draw:
    return lambda rng, _: {**order, "share": rng.uniform(0.1, most)}


def _redirect(path: str, status: int) -> Draw:
    """Redirect some calls, or all, to the same path of another host."""
    order: Order = {"path": path, "status": status, "headers": {"Location": _STRANGER + path}}
    return lambda rng, _: {**order, "share": rng.choice((0.2, 1))}


def _mutated(path: str, choices: Sequence[Sequence[Order]]) -> Draw:
    def draw(rng: Random, _users: int) -> Order:
        patches = list(rng.choice(choices))
        share = rng.uniform(0.1, 0.5)
        return {"path": path, "action": "mutate", "mutate": {"json_patch": patches}, "share": share}

    return draw


def _to(path: str, *values: object) -> list[list[Order]]:
    return [[{"path": path, "value": value}] for value in values]


_PLAYS: Sequence[Sequence[Order]] = (
    [{"path": "items/0/played_at", "value": "yesterday"}],
    [{"path": "items/1/track", "value": None}],
    [{"path": "items/2/track/id", "value": None}],
    [{"path": "items/3/track/id", "value": 7}],
    [{"path": "items/4/track/id", "value": "x" * 60}],
    [{"path": "items/0/track/artists", "value": "none"}],
    [{"path": "items/5/track", "remove": True}, {"path": "items/6/track", "value": []}],
    [{"path": "items", "value": None}],
)
# Never the refresh token: without it the user is lost, whatever the client does.
_TOKENS: Sequence[Sequence[Order]] = (
    *_to("expires_in", "3600", "soon", None, 0, -60, 3600.5, 1e300, 10**30, True, [], {}),
    *_to("access_token", None, 7, "", {"value": "AQ"}),
    *_to("token_type", None, 0),
    *_to("scope", None, ["user-read-recently-played"]),
    *_to("expires_at", "tomorrow"),
    [{"path": "expires_in", "remove": True}, {"path": "token_type", "remove": True}],
    [{"path": "access_token", "remove": True}],
)
_NULLS: Sequence[Order] = [
    {"path": f"{kind}/{place}", "value": None}
    for kind in ("tracks", "artists", "audio_features")
    for place in (0, 7)
]
# Characters that a header cannot carry, or only when encoded, and that JSON or SQL might mangle.
_ODD = (
    *("\n", "a\r\nX-Injected: 1", "\x00", "\x7f", " "),
    *("é", "日本", "\U0001f3b5", "\ufeff", "'\";--"),
)


def _odd_tokens(rng: Random, users: int) -> Order:
    # A refresh token goes into a form, which carries anything that a database can hold.
    access, refresh = rng.choice(_ODD), rng.choice([odd for odd in _ODD if odd != "\x00"])
    order = {"path": TOKEN, "access_suffix": access, "refresh_suffix": refresh}
    return order | rng.choice(({"user": a_user(rng, users)}, {"times": rng.randint(1, 20)}))


def _long_tokens(rng: Random, users: int) -> Order:
    order = {
        "path": TOKEN,
        "access_suffix": "A" * rng.choice((100, 470, 2000)),
        "refresh_suffix": "R" * rng.choice((60, 200, 300, 2000)),
    }
    return order | rng.choice(({}, {"share": 0.3}, {"user": a_user(rng, users)}))


def _for_a_user(order: Order) -> Draw:
    return lambda rng, users: {**order, "user": a_user(rng, users), "share": rng.uniform(0.3, 0.8)}


BRIEF: Mapping[str, Draw] = {
    "429, short": lambda *_: _limited("1"),
    "429, long": lambda rng, _: _limited(str(rng.randint(600, 7200))),
    "429, missing": lambda *_: _limited(None),
    "429, text": lambda *_: _limited("soon"),
    "5xx": _broken,
    "Spotify down": lambda *_: {"path": _EVERYWHERE, "status": 503},
    "timeout": lambda *_: {"path": FEED, "delay_ms": 3000, "times": 3},
    "cut": _for_some({"path": "/v1/*", "action": "cut"}),
    "truncated": _for_some({"path": "/v1/*", "action": "truncate"}),
    "refused": _for_some({"action": "refuse"}),
    "malformed": _mutated(FEED, _PLAYS),
    "401": lambda *_: {"path": FEED, "status": 401, "times": 5},
    "403 as a page": _for_some(
        {"path": "/v1/*", "status": 403, "headers": {"Content-Type": "text/html"}, "body": _PAGE}, 1
    ),
    "403 for tokens": _for_some({"path": TOKEN, "status": 403}, 1),
    "404": _for_some({"path": "/v1/*", "status": 404}),
    "null for valid ids": _mutated("/v1/*s", [_NULLS]),
    "redirected feed": _redirect(FEED, 302),
    "redirected tokens": _redirect(TOKEN, 307),
    "odd token answers": _mutated(TOKEN, _TOKENS),
    "odd tokens": _odd_tokens,
}
LASTING: Mapping[str, Draw] = {
    "long tokens": _long_tokens,
}
EARLY: Mapping[str, Draw] = {
    "false invalid_grant, few": lambda rng, _: {**FALSE_INVALID_GRANT, "times": rng.randint(1, 3)},
    "429, a day": lambda *_: _limited("86400"),
    "429, absurd": lambda *_: _limited("99999999999"),
    "quota exceeded": lambda *_: _limited("3600", _QUOTA),
}
FORBIDDEN: Mapping[str, Draw] = {
    "403 for everybody": lambda *_: {"path": "/v1/*", "status": 403, "body": _PREMIUM},
    "403 for one": _for_a_user({"path": FEED, "status": 403}),
}
"""For some hours, early, and never where a run has to poll all users again."""
