"""The endpoints of the Web API below /v1 that a listening history needs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from songswap.dev.simulator.accounts import READ_EMAIL, READ_PRIVATE, READ_RECENTLY_PLAYED
from songswap.dev.simulator.ident import is_well_formed
from songswap.dev.simulator.play import FEED_SIZE, SimulatedPlay
from songswap.dev.simulator.response import (
    JSON_TYPE,
    ErrorResponse,
    FeedPage,
    Response,
    api_error,
    json_response,
    text_error,
)
from songswap.dev.simulator.simulation import Simulation
from songswap.dev.simulator.token import Token
from songswap.dev.simulator.world import AnyListener

STALLED_AT = web.RequestKey("stalled_at", int)
"""When the feed listed its last play (ms), for a request that a stall strikes."""
ALLOWED_IN_DEVELOPMENT = 5
"""How many users an app in development mode has: the first listeners."""
_MAX_IDS = {"tracks": 50, "artists": 50, "audio-features": 100}


def authenticate(sim: Simulation, request: web.Request) -> Token:
    """Return the contents of a valid access token, and count the request for the rate limit.

    Raises:
        ErrorResponse: 400, 401, 403 or 429.
    """
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        raise _unauthorized("No token provided")
    if scheme != "Bearer":
        raise api_error(400, "Only valid bearer authentication supported")
    token = sim.tokens.read(text)
    if token is None or token.kind != "access":
        raise _unauthorized("Invalid access token")
    if sim.tokens.is_expired(token):
        raise _unauthorized("The access token expired")
    if (wait := sim.quota_wait()) is not None:
        error = {"status": 429, "message": "Too many requests", "reason": "QUOTA_EXCEEDED"}
        raise ErrorResponse(json_response({"error": error}, 429, _retry_after(wait)))
    if (wait := sim.count_request()) is not None:
        raise api_error(429, "API rate limit exceeded", _retry_after(wait))
    allowed = islice(sim.world.listeners, ALLOWED_IN_DEVELOPMENT)
    if sim.mode == "development" and token.user is not None and token.user not in allowed:
        raise text_error(403, "User not registered in the Developer Dashboard")
    return token


async def me(sim: Simulation, request: web.Request) -> Response:
    """GET /v1/me: the user's profile."""
    token = authenticate(sim, request)
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
    return json_response(profile)


async def recently_played(sim: Simulation, request: web.Request) -> Response:
    """GET /v1/me/player/recently-played: a page of the newest 50 plays, newest first."""
    token = authenticate(sim, request)
    listener = _listener(sim, token)
    if not token.scopes & READ_RECENTLY_PLAYED:
        raise api_error(403, "Insufficient client scope")
    limit = _whole_number(request, "limit", 20)
    if limit is None or not 1 <= limit <= FEED_SIZE:
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
    returned = [play for play in page if not sim.is_filtered(listener.id, play)]
    reachable = [play for play in newest if not sim.is_filtered(listener.id, play)]
    items = sim.world.items(listener, returned, sim.mode)
    rest = json_response(_paging(request, page, limit)).body
    body = b'{"items":[%b],%b' % (items, rest[1:])
    feed_page = FeedPage(listener.id, reachable, returned)
    return Response(200, body, {"Content-Type": JSON_TYPE}, feed_page)


def _paging(request: web.Request, page: list[SimulatedPlay], limit: int) -> dict[str, Any]:
    """Return the fields besides a page's items, computed from the page before it is filtered.

    Towards the past `next` is null after the last page. Towards the present it never is, because
    more plays may come.
    """
    url = f"{request.scheme}://{request.host}{request.path}"
    query = sorted(request.query.items())
    cursors = next_url = None
    if page:
        cursors = {"after": str(page[0].played_at), "before": str(page[-1].played_at)}
        direction = "after" if "after" in request.query else "before"
        if direction == "after" or len(page) == limit:
            next_url = f"{url}?{urlencode({direction: cursors[direction], 'limit': limit})}"
    return {
        "next": next_url,
        "cursors": cursors,
        "limit": limit,
        "href": f"{url}?{urlencode(query)}" if query else url,
    }


async def tracks(sim: Simulation, request: web.Request) -> Response:
    """GET /v1/tracks?ids=: up to 50, null for an unknown one."""
    return _batch(sim, request, "tracks", lambda ident: sim.world.metadata.track(ident, sim.mode))


async def track(sim: Simulation, request: web.Request) -> Response:
    """GET /v1/tracks/{id}."""
    return _single(sim, request, lambda ident: sim.world.metadata.track(ident, sim.mode))


async def artists(sim: Simulation, request: web.Request) -> Response:
    """GET /v1/artists?ids=: up to 50, null for an unknown one."""
    return _batch(sim, request, "artists", lambda ident: sim.world.metadata.artist(ident, sim.mode))


async def artist(sim: Simulation, request: web.Request) -> Response:
    """GET /v1/artists/{id}."""
    return _single(sim, request, lambda ident: sim.world.metadata.artist(ident, sim.mode))


async def several_features(sim: Simulation, request: web.Request) -> Response:
    """GET /v1/audio-features?ids=: up to 100, null for an unknown or never analysed track."""
    return _batch(sim, request, "audio-features", lambda ident: _features(sim, ident))


async def features(sim: Simulation, request: web.Request) -> Response:
    """GET /v1/audio-features/{id}."""
    if sim.mode == "development":
        authenticate(sim, request)
        raise api_error(403, None)
    return _single(sim, request, lambda ident: _features(sim, ident), "analysis not found")


def _features(sim: Simulation, ident: str) -> bytes | None:
    found = sim.world.metadata.features(ident)
    return None if found is None else json_response(found).body


def _batch(
    sim: Simulation, request: web.Request, kind: str, find: Callable[[str], bytes | None]
) -> Response:
    authenticate(sim, request)
    if sim.mode == "development":
        raise api_error(403, None if kind == "audio-features" else "Forbidden")
    idents = request.query.get("ids", "").split(",")
    if len(idents) > _MAX_IDS[kind]:
        raise api_error(400, "Too many ids requested")
    if not all(map(is_well_formed, idents)):
        raise api_error(400, "invalid id")
    found = b",".join(find(ident) or b"null" for ident in idents)
    body = b'{"%b":[%b]}' % (kind.replace("-", "_").encode(), found)
    return Response(200, body, {"Content-Type": JSON_TYPE})


def _single(
    sim: Simulation,
    request: web.Request,
    find: Callable[[str], bytes | None],
    missing: str = "Resource not found",
) -> Response:
    authenticate(sim, request)
    ident = request.match_info["id"]
    if not is_well_formed(ident):
        raise api_error(400, "invalid id")
    found = find(ident)
    if found is None:
        raise api_error(404, missing)
    return Response(200, found, {"Content-Type": JSON_TYPE})


def _listener(sim: Simulation, token: Token) -> AnyListener:
    if token.user is None:
        raise _unauthorized("Valid user authentication required")
    listener = sim.world.listeners.get(token.user)
    if listener is None:
        raise _unauthorized("Invalid access token")
    return listener


def _retry_after(wait: int) -> dict[str, str]:
    return {"Retry-After": str(max(1, -(-wait // 1000)))}


def _unauthorized(message: str) -> Exception:
    challenge = f'Bearer realm="spotify", error="invalid_token", error_description="{message}"'
    return api_error(401, message, {"WWW-Authenticate": challenge})


def _whole_number(request: web.Request, name: str, default: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdecimal() else None
