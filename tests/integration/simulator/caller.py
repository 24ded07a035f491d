"""An HTTP client of a simulator, as an app with the simulator's credentials."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from songswap.dev.simulator.server import RunningSimulator

REDIRECT = "http://127.0.0.1:9999/callback"
SCOPE = "user-read-recently-played user-read-email"


@dataclass
class Reply:
    """A complete response: status, headers, body (None if it is no JSON), raw body."""

    status: int
    headers: Any
    body: Any
    raw: bytes


@dataclass
class Caller:
    """An app with the simulator's credentials."""

    running: RunningSimulator
    session: aiohttp.ClientSession
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def call(self, method: str, path: str, token: str | None = None, **more: Any) -> Reply:
        """Send a request, with a bearer token if one is given."""
        headers = {**more.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.request(
            method, self.running.url + path, headers=headers, allow_redirects=False, **more
        ) as response:
            raw = await response.read()
            kind = response.headers.get("Content-Type", "")
            body = await response.json() if kind.startswith("application/json") and raw else None
            return Reply(response.status, response.headers, body, raw)

    async def token(self, **form: str) -> Reply:
        """Request tokens from the accounts service."""
        app = {"client_id": "songswap", "client_secret": "simulated"}
        return await self.call("POST", "/api/token", data={**app, **form})

    async def code(self, user: str, scope: str = SCOPE) -> str:
        """Return an authorization code of a listener who gives consent."""
        query = {
            "client_id": "songswap",
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": scope,
            "state": "s",
            "simulated_user": user,
        }
        reply = await self.call("GET", "/authorize", params=query)
        assert reply.status == 302
        result = parse_qs(urlsplit(reply.headers["Location"]).query)
        assert result["state"] == ["s"]
        code: str
        [code] = result["code"]
        return code

    async def sign_in(self, user: str, scope: str = SCOPE) -> dict[str, Any]:
        """Return a listener's tokens."""
        code = await self.code(user, scope)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        reply = await self.token(**form)
        assert reply.status == 200
        return dict(reply.body)

    async def get(self, user: str, path: str, **query: Any) -> Reply:
        """Call the Web API as a listener, who is signed in at the first call."""
        if user not in self.tokens:
            self.tokens[user] = await self.sign_in(user)
        token = self.tokens[user]["access_token"]
        return await self.call("GET", f"/v1{path}", token, params=query)

    async def plays(self, user: str, **query: Any) -> Reply:
        """Request a listener's recent plays."""
        return await self.get(user, "/me/player/recently-played", **query)

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call an admin endpoint, which has to succeed."""
        reply = await self.call(method, f"/admin/{path}", json=body)
        assert reply.status == 200, reply.raw
        return reply.body

    async def ledger(self, user: str) -> list[dict[str, Any]]:
        """Return a listener's lines of the ledger."""
        reply = await self.call("GET", f"/admin/ledger?user={user}")
        return [json.loads(line) for line in reply.raw.splitlines()]


Starter = Callable[..., Awaitable[Caller]]
"""Starts a simulator with these `Options`, and returns a client of it."""
