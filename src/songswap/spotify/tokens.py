"""Parse token responses of the accounts service so that no token in them is lost."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

from songswap.models import Tokens

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S

# A member of a body that was cut off behind it.
_MEMBER = re.compile(r'"(access_token|refresh_token)"\s*:\s*("(?:[^"\\]|\\.)*")')


def parse(body: bytes, now: datetime) -> Tokens | None:
    """Parse a token response leniently; None where it holds no token at all.

    Whatever is odd in it, its refresh token may be the only one that still works.
    """
    members = _members(body.decode("utf-8-sig", "surrogateescape"))
    access_token = members.get("access_token")
    if not isinstance(access_token, str) or not can_be_sent(access_token):
        access_token = None
    refresh_token = members.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token:
        refresh_token = None
    if access_token is None and refresh_token is None:
        return None
    life_s = _life_s(members.get("expires_in")) if access_token else 0
    return Tokens(access_token, refresh_token, now + timedelta(seconds=life_s))


def parse_of_app(body: bytes, now: datetime) -> Tokens | None:
    """Parse the response with the app's own token; None where it has no usable one."""
    found = parse(body, now)
    return found if found and found.access_token else None


def can_be_sent(access_token: str) -> bool:
    """Whether an HTTP header can carry an access token."""
    return bool(access_token) and access_token.isascii() and access_token.isprintable()


def _members(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        found = {name: _string(quoted) for name, quoted in _MEMBER.findall(text)}
        # Cut off before a refresh token, it may have held one: only a retry can show.
        is_useful = text.lstrip().startswith("{") and "refresh_token" in found
        return found if is_useful else {}
    return value if isinstance(value, dict) else {}


def _string(quoted: str) -> str | None:
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return None


def _life_s(expires_in: object) -> float:
    """Seconds that an access token lives: an hour, where the response has no sane number."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float | str):
        return _HOUR_S
    try:
        life_s = float(expires_in)
    except (ValueError, OverflowError):
        return _HOUR_S
    return life_s if 0 < life_s <= _DAY_S else _HOUR_S
