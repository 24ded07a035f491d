"""The accounts service: /authorize and /api/token."""

from __future__ import annotations

import base64
import os
from urllib.parse import urlencode, urlsplit

import msgspec
from aiohttp import web

from songswap.dev.simulator import draw
from songswap.dev.simulator.page import HEADERS, document, text
from songswap.dev.simulator.response import (
    JSON_TYPE,
    ErrorResponse,
    Response,
    json_response,
    text_error,
)
from songswap.dev.simulator.simulation import Simulation
from songswap.dev.simulator.token import ACCESS_LIFETIME, AuthorizationCode

_SCOPES = (
    "user-read-recently-played user-read-private user-read-email user-top-read user-library-read "
    "user-library-modify user-read-playback-state user-modify-playback-state "
    "user-read-currently-playing user-read-playback-position user-follow-read user-follow-modify "
    "playlist-read-private playlist-read-collaborative playlist-modify-private "
    "playlist-modify-public app-remote-control streaming ugc-image-upload"
)
SCOPES = _SCOPES.split()
READ_RECENTLY_PLAYED = 1 << SCOPES.index("user-read-recently-played")
READ_PRIVATE = 1 << SCOPES.index("user-read-private")
READ_EMAIL = 1 << SCOPES.index("user-read-email")
_CODE_LIFETIME = 10 * 60 * 1000


async def authorize(sim: Simulation, request: web.Request) -> Response:
    """Show the consent page, or give consent for the listener in `simulated_user`."""
    query = request.query
    if query.get("client_id") != sim.options.client_id:
        raise text_error(400, "INVALID_CLIENT: Invalid client")
    redirect_uri = query.get("redirect_uri", "")
    if not is_allowed_redirect(redirect_uri):
        raise text_error(400, "INVALID_CLIENT: Insecure redirect URI")
    if query.get("response_type") != "code":
        raise text_error(400, "response_type must be code")
    scopes = set(query.get("scope", "").replace(",", " ").split())
    if not scopes <= set(SCOPES):
        raise text_error(400, "INVALID_SCOPE: Invalid scope")
    user = query.get("simulated_user")
    if user is None:
        return _consent_page(sim, request)
    if user not in sim.world.listeners:
        raise text_error(404, f"There is no listener {user}")
    code = os.urandom(24).hex()
    sim.codes[code] = AuthorizationCode(
        user=user,
        redirect_uri=redirect_uri,
        scopes=sum(1 << SCOPES.index(scope) for scope in scopes),
        expires_at=sim.clock.now() + _CODE_LIFETIME,
    )
    result = {"code": code} | ({"state": query["state"]} if "state" in query else {})
    separator = "&" if urlsplit(redirect_uri).query else "?"
    return Response(302, headers={"Location": redirect_uri + separator + urlencode(result)})


async def token(sim: Simulation, request: web.Request) -> Response:
    """Issue tokens for a code, a refresh token, or the app's own credentials."""
    form = {name: str(value) for name, value in (await request.post()).items()}
    _check_client(sim, request, form)
    match form.get("grant_type"):
        case "authorization_code":
            return _redeem(sim, form)
        case "refresh_token":
            return _refresh(sim, form)
        case "client_credentials":
            return _tokens(sim.tokens.issue_access(None, sim.clock.now(), 0))
        case _:
            raise _error("unsupported_grant_type", "grant_type parameter is missing or unsupported")


def is_allowed_redirect(uri: str) -> bool:
    """Return whether Spotify accepts a redirect URI: https, or http to a loopback address."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and host in ("127.0.0.1", "::1")


async def refreshing_user(sim: Simulation, request: web.Request) -> str | None:
    """Return the user of a request's refresh token, for faults that strike one user."""
    token = sim.tokens.read(str((await request.post()).get("refresh_token", "")))
    return token.user if token else None


def _redeem(sim: Simulation, form: dict[str, str]) -> Response:
    code = sim.codes.pop(form.get("code", ""), None)
    if code is None:
        raise _error("invalid_grant", "Invalid authorization code")
    if sim.clock.now() >= code.expires_at:
        raise _error("invalid_grant", "Authorization code expired")
    if form.get("redirect_uri") != code.redirect_uri:
        raise _error("invalid_grant", "Invalid redirect URI")
    authorized_at = sim.tokens.authorize(code.user)
    return _tokens(
        sim.tokens.issue_access(code.user, authorized_at, code.scopes),
        sim.tokens.issue_refresh(code.user, authorized_at, code.scopes),
        code.scopes,
    )


def _refresh(sim: Simulation, form: dict[str, str]) -> Response:
    text = form.get("refresh_token")
    if not text:
        raise _error("invalid_request", "refresh_token must be supplied")
    old = sim.tokens.read(text)
    if old is None or old.kind != "refresh" or old.user not in sim.world.listeners:
        raise _error("invalid_grant", "Invalid refresh token")
    if not sim.tokens.is_valid(old):
        raise _error("invalid_grant", "Refresh token revoked")
    sim.refreshes[old.user] += 1
    drawn = draw.share(sim.options.seed, "rotate", old.user, sim.refreshes[old.user])
    # When two workers refresh with one token at once, the second gets a token of the generation
    # that the first received: both work.
    new = sim.tokens.successor(old)
    if new is None and drawn < sim.options.rotate_refresh_tokens:
        new = sim.tokens.rotate(old)
    access = sim.tokens.issue_access(old.user, old.authorized_at, old.scopes)
    return _tokens(access, new, old.scopes)


def _tokens(access: str, refresh: str | None = None, scopes: int | None = None) -> Response:
    body: dict[str, str | int] = {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": ACCESS_LIFETIME // 1000,
    }
    if refresh is not None:
        body["refresh_token"] = refresh
    if scopes is not None:
        body["scope"] = " ".join(name for bit, name in enumerate(SCOPES) if scopes >> bit & 1)
    headers = {"Content-Type": JSON_TYPE, "Cache-Control": "no-store", "Pragma": "no-cache"}
    return Response(200, msgspec.json.encode(body), headers, refresh_token=refresh)


def _check_client(sim: Simulation, request: web.Request, form: dict[str, str]) -> None:
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        try:
            client_id, _, secret = base64.b64decode(credentials).decode().partition(":")
        except ValueError:
            client_id = secret = ""
    if client_id != sim.options.client_id:
        raise _error("invalid_client", "Invalid client")
    if secret != sim.options.client_secret:
        raise _error("invalid_client", "Invalid client secret")


def _error(code: str, description: str) -> ErrorResponse:
    return ErrorResponse(json_response({"error": code, "error_description": description}, 400))


def _consent_page(sim: Simulation, request: web.Request) -> Response:
    links = "\n".join(
        f'<li><a href="{text(request.rel_url.update_query(simulated_user=listener.id))}">'
        f"{text(listener.name)}</a> ({text(listener.id)})</li>"
        for listener in sim.world.listeners.values()
    )
    page = document("Who gives consent?", f"<ul>\n{links}\n</ul>")
    return Response(200, page, HEADERS)
