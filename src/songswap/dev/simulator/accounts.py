"""The accounts service: /authorize and /api/token."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec
from aiohttp import web

from songswap.dev.simulator import draw
from songswap.dev.simulator.answer import JSON_TYPE, Answer, Refusal, json_answer
from songswap.dev.simulator.page import HEADERS, document, text
from songswap.dev.simulator.simulation import Simulation
from songswap.dev.simulator.token import ACCESS_LIFE

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
_CODE_LIFE = 10 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code that waits to be redeemed."""

    user: str
    redirect_uri: str
    scopes: int
    dies_at: int


async def authorize(sim: Simulation, request: web.Request) -> Answer:
    """Ask for consent, or give it for the listener named in `simulated_user`."""
    query = request.query
    if query.get("client_id") != sim.options.client_id:
        raise _page(400, "INVALID_CLIENT: Invalid client")
    redirect_uri = query.get("redirect_uri", "")
    if not is_allowed_redirect(redirect_uri):
        raise _page(400, "INVALID_CLIENT: Insecure redirect URI")
    if query.get("response_type") != "code":
        raise _page(400, "response_type must be code")
    wanted = query.get("scope", "").replace(",", " ").split()
    if not set(wanted) <= set(SCOPES):
        raise _page(400, "INVALID_SCOPE: Invalid scope")
    user = query.get("simulated_user")
    if user is None:
        return _consent(sim, request)
    if user not in sim.world.listeners:
        raise _page(404, f"There is no listener {user}")
    code = os.urandom(24).hex()
    sim.codes[code] = Code(
        user=user,
        redirect_uri=redirect_uri,
        scopes=sum(1 << SCOPES.index(scope) for scope in set(wanted)),
        dies_at=sim.clock.now() + _CODE_LIFE,
    )
    answer = {"code": code} | ({"state": query["state"]} if "state" in query else {})
    joint = "&" if urlsplit(redirect_uri).query else "?"
    return Answer(302, headers={"Location": redirect_uri + joint + urlencode(answer)})


async def token(sim: Simulation, request: web.Request) -> Answer:
    """Give tokens for a code, a refresh token, or the app's own credentials."""
    form = {name: str(value) for name, value in (await request.post()).items()}
    _check_client(sim, request, form)
    match form.get("grant_type"):
        case "authorization_code":
            return _redeem(sim, form)
        case "refresh_token":
            return _refresh(sim, form)
        case "client_credentials":
            return _tokens(sim.grants.access(None, sim.clock.now(), 0))
        case _:
            raise _error("unsupported_grant_type", "grant_type parameter is missing or unsupported")


def is_allowed_redirect(uri: str) -> bool:
    """Tell whether Spotify takes a redirect URI: https, or http to a loopback address literal."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and host in ("127.0.0.1", "::1")


async def refreshing_user(sim: Simulation, request: web.Request) -> str | None:
    """Return whose refresh token a token request carries, for faults that strike one user."""
    said = sim.grants.read(str((await request.post()).get("refresh_token", "")))
    return said.user if said else None


def _redeem(sim: Simulation, form: dict[str, str]) -> Answer:
    code: Code | None = sim.codes.pop(form.get("code", ""), None)
    if code is None:
        raise _error("invalid_grant", "Invalid authorization code")
    if sim.clock.now() >= code.dies_at:
        raise _error("invalid_grant", "Authorization code expired")
    if form.get("redirect_uri") != code.redirect_uri:
        raise _error("invalid_grant", "Invalid redirect URI")
    authorized_at = sim.grants.authorize(code.user)
    return _tokens(
        sim.grants.access(code.user, authorized_at, code.scopes),
        sim.grants.refresh(code.user, authorized_at, code.scopes),
        code.scopes,
    )


def _refresh(sim: Simulation, form: dict[str, str]) -> Answer:
    text = form.get("refresh_token")
    if not text:
        raise _error("invalid_request", "refresh_token must be supplied")
    said = sim.grants.read(text)
    if said is None or said.kind != "refresh" or said.user not in sim.world.listeners:
        raise _error("invalid_grant", "Invalid refresh token")
    if not sim.grants.is_alive(said):
        raise _error("invalid_grant", "Refresh token revoked")
    sim.refreshes[said.user] += 1
    drawn = draw.share(sim.options.seed, "rotate", said.user, sim.refreshes[said.user])
    # Two workers that refresh with one token at once must not end up with tokens of which only
    # one lives: whoever comes second gets the generation that the first was given.
    renewed = sim.grants.successor(said)
    if renewed is None and drawn < sim.options.rotate_refresh_tokens:
        renewed = sim.grants.rotate(said)
    access = sim.grants.access(said.user, said.authorized_at, said.scopes)
    return _tokens(access, renewed, said.scopes)


def _tokens(access: str, refresh: str | None = None, scopes: int | None = None) -> Answer:
    body: dict[str, str | int] = {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": ACCESS_LIFE // 1000,
    }
    if refresh is not None:
        body["refresh_token"] = refresh
    if scopes is not None:
        body["scope"] = " ".join(name for bit, name in enumerate(SCOPES) if scopes >> bit & 1)
    headers = {"Content-Type": JSON_TYPE, "Cache-Control": "no-store", "Pragma": "no-cache"}
    return Answer(200, msgspec.json.encode(body), headers, refresh_token=refresh)


def _check_client(sim: Simulation, request: web.Request, form: dict[str, str]) -> None:
    given = (form.get("client_id", ""), form.get("client_secret", ""))
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        try:
            name, _, secret = base64.b64decode(credentials).decode().partition(":")
        except ValueError:
            name, secret = "", ""
        given = (name, secret)
    if given[0] != sim.options.client_id:
        raise _error("invalid_client", "Invalid client")
    if given[1] != sim.options.client_secret:
        raise _error("invalid_client", "Invalid client secret")


def _error(code: str, description: str) -> Refusal:
    return Refusal(json_answer({"error": code, "error_description": description}, 400))


def _page(status: int, text: str) -> Refusal:
    return Refusal(Answer(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"}))


def _consent(sim: Simulation, request: web.Request) -> Answer:
    links = "\n".join(
        f'<li><a href="{text(request.rel_url.update_query(simulated_user=each.id))}">'
        f"{text(each.name)}</a> ({text(each.id)})</li>"
        for each in sim.world.listeners.values()
    )
    page = document("Who gives consent?", f"<ul>\n{links}\n</ul>")
    return Answer(200, page, HEADERS)
