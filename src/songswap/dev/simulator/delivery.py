"""Sends responses, changed where a fault strikes, and records what was sent completely."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web
from zlib_ng import zlib_ng

from songswap.dev.simulator import accounts
from songswap.dev.simulator.clock import parse_iso
from songswap.dev.simulator.fault import Fault
from songswap.dev.simulator.fault_response import SPACES, changed, http_date, merged, substitute
from songswap.dev.simulator.response import ErrorResponse, Response
from songswap.dev.simulator.simulation import Simulation
from songswap.dev.simulator.web_api import STALLED_AT

EndpointFunction = Callable[[Simulation, web.Request], Awaitable[Response]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_WEB_API_HEADERS = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Headers": (
        "Accept, App-Platform, Authorization, Content-Type, Origin, Retry-After, "
        "Spotify-App-Version, X-Cloud-Trace-Context, client-token, content-access-token"
    ),
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS, PUT, DELETE, PATCH",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Max-Age": "604800",
    "Alt-Svc": "clear",
    "Server": "envoy",
    "Strict-Transport-Security": "max-age=31536000",
    "Via": "HTTP/2 edgeproxy, 1.1 google",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
"""The headers of every response of the Web API, according to public bug reports."""

_GZIP_LEVEL = 1  # the fastest: 190 kB take 0.2 ms, and become 20 kB
_GZIP_FORMAT = 31  # zlib's number for a gzip file


def make_handler(sim: Simulation, name: str, endpoint: EndpointFunction) -> Handler:
    """Return the HTTP handler of an endpoint, whose calls are counted under `name`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        user = await _caller(sim, request)
        fault = sim.faults.strike(request.path, user)
        if fault and fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault and fault.action == "refuse":
            sim.calls[name, user, "refused"] += 1
            return _closed(request)
        response = await _response(sim, request, endpoint, fault)
        if fault and fault.action in ("drop", "cut", "endless"):
            sim.calls[name, user, fault.action] += 1
            return await _send_part(sim, request, response, fault)
        sim.calls[name, user, str(response.status)] += 1
        return await _send(sim, request, response)

    return handle


async def _caller(sim: Simulation, request: web.Request) -> str | None:
    """Return the user whose token a request carries, if any."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        token = sim.tokens.read(text)
        return token.user if token else None
    if request.path == "/api/token":
        return await accounts.refreshing_user(sim, request)
    return None


async def _response(
    sim: Simulation, request: web.Request, endpoint: EndpointFunction, fault: Fault | None
) -> Response:
    """Return the endpoint's response, changed or substituted by a fault."""
    if fault and fault.action == "respond" and fault.status is not None:
        return substitute(fault, fault.status, sim.clock.now())
    if fault and fault.since is not None:
        request[STALLED_AT] = parse_iso(fault.since)
    try:
        response = await endpoint(sim, request)
    except ErrorResponse as error:
        response = error.response
    if fault is None:
        return response
    return changed(response, fault, request.path, sim.clock.now())


async def _send(sim: Simulation, request: web.Request, response: Response) -> web.StreamResponse:
    """Send a response, and record its plays and its refresh token once it is sent completely.

    If the client is gone, sending fails and nothing is recorded.
    """
    headers = merged(_usual_headers(sim, request), response.headers)
    body = response.body
    if response.page and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers.update({"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
        body = zlib_ng.compress(body, _GZIP_LEVEL, _GZIP_FORMAT)
    sent = web.Response(status=response.status, body=body, headers=headers)
    if response.page is None and response.refresh_token is None:
        return sent
    await sent.prepare(request)
    await sent.write_eof()
    if page := response.page:
        sim.feed_history.record(page.user, page.reachable, page.returned, sim.clock.now())
    if response.refresh_token is not None:
        sim.tokens.record_delivery(response.refresh_token)
    return sent


async def _send_part(
    sim: Simulation, request: web.Request, response: Response, fault: Fault
) -> web.StreamResponse:
    """Send nothing of a response, its first half, or the whole and spaces without an end."""
    if fault.action == "drop":
        return _closed(request)
    headers = merged(_usual_headers(sim, request), response.headers)
    if fault.action == "cut":
        headers["Content-Length"] = str(len(response.body))
    sent = web.StreamResponse(status=response.status, headers=headers)
    await sent.prepare(request)
    if fault.action == "cut":
        await sent.write(response.body[: len(response.body) // 2])
    else:
        await _send_without_end(sent, response.body, fault.every_ms)
    return _closed(request, sent)


async def _send_without_end(sent: web.StreamResponse, body: bytes, every_ms: int) -> None:
    """Send a body and then spaces until the client closes the connection."""
    with suppress(ConnectionError):
        await sent.write(body)
        while True:
            await sent.write(b" " if every_ms else SPACES)
            await asyncio.sleep(every_ms / 1000)


def _usual_headers(sim: Simulation, request: web.Request) -> dict[str, str]:
    usual = {"Date": http_date(sim.clock.now()), "Cache-Control": "private, max-age=0"}
    return usual | _WEB_API_HEADERS if request.path.startswith("/v1/") else usual


def _closed(request: web.Request, sent: web.StreamResponse | None = None) -> web.StreamResponse:
    """Close the connection, and return what was sent."""
    if request.transport is not None:
        request.transport.close()
    return sent or web.Response()
