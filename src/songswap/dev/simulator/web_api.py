"""The Web API below /v1: the calls that a listening history needs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from songswap.dev.simulator.accounts import READ_EMAIL, READ_PRIVATE, READ_RECENTLY_PLAYED
from songswap.dev.simulator.answer import (
    JSON_TYPE,
    Answer,
    Page,
    api_error,
    json_answer,
    text_error,
)
from songswap.dev.simulator.gzip_join import joined, stored
from songswap.dev.simulator.ident import is_well_formed
from songswap.dev.simulator.play import NEWEST, Play
from songswap.dev.simulator.simulation import Simulation
from songswap.dev.simulator.token import Token
from songswap.dev.simulator.world import Anybody

STALLED_AT = web.RequestKey("stalled_at", int)
"""When the feed took its last play (ms), in a request that a stall strikes."""
ALLOWED_IN_DEVELOPMENT = 5
"""Development mode knows only this many users: the first listeners."""
_BATCH = {"tracks": 50, "artists": 50, "audio-features": 100}


def admit(sim: Simulation, request: web.Request) -> Token:
    """Return what the call's access token says, after the rate limit has let it pass.

    Raises:
        Refusal: 400, 401, 403 or 429.
    """
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        raise _unauthorized("No token provided")
    if scheme != "Bearer":
        raise api_error(400, "Only valid bearer authentication supported")
    token = sim.grants.read(text)
    if token is None or token.kind != "access":
        raise _unauthorized("Invalid access token")
    if sim.grants.is_expired(token):
        raise _unauthorized("The access token expired")
    wait = sim.take_place()
    if wait is not None:
        seconds = max(1, -(-wait // 1000))
        raise api_error(429, "API rate limit exceeded", {"Retry-After": str(seconds)})
    allowed = islice(sim.world.listeners, ALLOWED_IN_DEVELOPMENT)
    if sim.mode == "development" and token.user is not None and token.user not in allowed:
        raise text_error(403, "User not registered in the Developer Dashboard")
    return token


async def me(sim: Simulation, request: web.Request) -> Answer:
    """GET /v1/me: the profile."""
    token = admit(sim, request)
    listener = _listener(sim, token)
    profile: dict[str, Any] = {
        "display_name": listener.name,
        "external_urls": {"spotify": f"https://open.spotify.com/user/{listener.id}"},
        "followers": {"href": None, "total": 0},
        "href": f"https://api.spotify.com/v1/users/{listener.id}",
        "id": listener.id,
        "images": [],
        "type": "user",
        "uri": f"spotify:user:{listener.id}",
    }
    if token.scopes & READ_EMAIL:
        profile["email"] = listener.email
    if token.scopes & READ_PRIVATE:
        limits = {"filter_enabled": False, "filter_locked": False}
        profile |= {"country": "DE", "explicit_content": limits, "product": "premium"}
    return json_answer(profile)


async def recently_played(sim: Simulation, request: web.Request) -> Answer:
    """GET /v1/me/player/recently-played: newest first, only of the newest 50."""
    token = admit(sim, request)
    listener = _listener(sim, token)
    if not token.scopes & READ_RECENTLY_PLAYED:
        raise api_error(403, "Insufficient client scope")
    limit = _whole_number(request, "limit", 20)
    if limit is None or not 1 <= limit <= NEWEST:
        raise api_error(400, "Invalid limit")
    if "after" in request.query and "before" in request.query:
        raise api_error(400, "Only one of after and before may be given")
    after = _whole_number(request, "after", -1)
    before = _whole_number(request, "before", 2**63)
    if after is None or before is None:
        raise api_error(400, f"Invalid {'after' if after is None else 'before'}")
    now = sim.clock.now()
    newest = listener.newest(min(now, request.get(STALLED_AT, now)))
    page = [play for play in newest if after < play.played_at < before][:limit]
    told = [play for play in page if not sim.leaves_out(listener.id, play)]
    items = sim.world.items(listener, told, sim.mode)
    rest = json_answer(_around(request, page, limit)).body
    body, gzipped = joined([stored(b'{"items":['), *items, stored(b"]," + rest[1:])])
    tellable = [play for play in newest if not sim.leaves_out(listener.id, play)]
    return Answer(
        200, body, {"Content-Type": JSON_TYPE}, gzipped, Page(listener.id, tellable, told)
    )


def _around(request: web.Request, page: list[Play], limit: int) -> dict[str, Any]:
    """Return what stands around a page's items. Cursors and next know of what was left out of it.

    Towards the past, `next` is null behind the last page; towards the present there is always one
    more, because plays may come.
    """
    here = f"{request.scheme}://{request.host}{request.path}"
    asked = sorted(request.query.items())
    cursors = following = None
    if page:
        cursors = {"after": str(page[0].played_at), "before": str(page[-1].played_at)}
        side = "after" if "after" in request.query else "before"
        if side == "after" or len(page) == limit:
            following = f"{here}?{urlencode({side: cursors[side], 'limit': limit})}"
    return {
        "next": following,
        "cursors": cursors,
        "limit": limit,
        "href": f"{here}?{urlencode(asked)}" if asked else here,
    }


async def tracks(sim: Simulation, request: web.Request) -> Answer:
    """GET /v1/tracks?ids=: up to 50, null for the unknown."""
    return _several(sim, request, "tracks", lambda ident: sim.world.shelf.track(ident, sim.mode))


async def track(sim: Simulation, request: web.Request) -> Answer:
    """GET /v1/tracks/{id}."""
    return _one(sim, request, lambda ident: sim.world.shelf.track(ident, sim.mode))


async def artists(sim: Simulation, request: web.Request) -> Answer:
    """GET /v1/artists?ids=: up to 50, null for the unknown."""
    return _several(sim, request, "artists", lambda ident: sim.world.shelf.artist(ident, sim.mode))


async def artist(sim: Simulation, request: web.Request) -> Answer:
    """GET /v1/artists/{id}."""
    return _one(sim, request, lambda ident: sim.world.shelf.artist(ident, sim.mode))


async def several_features(sim: Simulation, request: web.Request) -> Answer:
    """GET /v1/audio-features?ids=: up to 100, null for the unknown and the never analysed."""
    return _several(sim, request, "audio-features", lambda ident: _features(sim, ident))


async def features(sim: Simulation, request: web.Request) -> Answer:
    """GET /v1/audio-features/{id}."""
    if sim.mode == "development":
        admit(sim, request)
        raise api_error(403, None)
    return _one(sim, request, lambda ident: _features(sim, ident), "analysis not found")


def _features(sim: Simulation, ident: str) -> bytes | None:
    found = sim.world.shelf.features(ident)
    return None if found is None else json_answer(found).body


def _several(
    sim: Simulation, request: web.Request, kind: str, find: Callable[[str], bytes | None]
) -> Answer:
    admit(sim, request)
    if sim.mode == "development":
        raise api_error(403, None if kind == "audio-features" else "Forbidden")
    idents = request.query.get("ids", "").split(",")
    if len(idents) > _BATCH[kind]:
        raise api_error(400, "Too many ids requested")
    if not all(map(is_well_formed, idents)):
        raise api_error(400, "invalid id")
    found = b",".join(find(ident) or b"null" for ident in idents)
    body = b'{"%b":[%b]}' % (kind.replace("-", "_").encode(), found)
    return Answer(200, body, {"Content-Type": JSON_TYPE})


def _one(
    sim: Simulation,
    request: web.Request,
    find: Callable[[str], bytes | None],
    missing: str = "Resource not found",
) -> Answer:
    admit(sim, request)
    ident = request.match_info["id"]
    if not is_well_formed(ident):
        raise api_error(400, "invalid id")
    found = find(ident)
    if found is None:
        raise api_error(404, missing)
    return Answer(200, found, {"Content-Type": JSON_TYPE})


def _listener(sim: Simulation, token: Token) -> Anybody:
    if token.user is None:
        raise _unauthorized("Valid user authentication required")
    listener = sim.world.listeners.get(token.user)
    if listener is None:
        raise _unauthorized("Invalid access token")
    return listener


def _unauthorized(message: str) -> Exception:
    challenge = f'Bearer realm="spotify", error="invalid_token", error_description="{message}"'
    return api_error(401, message, {"WWW-Authenticate": challenge})


def _whole_number(request: web.Request, name: str, default: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdecimal() else None
