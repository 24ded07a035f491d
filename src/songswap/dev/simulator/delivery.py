"""Sends answers, spoiled where a fault strikes; counts them, and marks what was told."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import responses

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from songswap.dev.simulator import accounts
from songswap.dev.simulator.answer import JSON_TYPE, Answer, Refusal
from songswap.dev.simulator.clock import parse_iso
from songswap.dev.simulator.fault import Fault, mutated
from songswap.dev.simulator.simulation import Simulation
from songswap.dev.simulator.token import lengthened
from songswap.dev.simulator.web_api import STALLED_AT

Call = Callable[[Simulation, web.Request], Awaitable[Answer]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SPACES = b" " * 2**16


def endpoint(sim: Simulation, name: str, call: Call) -> Handler:
    """Return the HTTP handler of a call, which counts under `name`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        user = await _caller(sim, request)
        fault = sim.faults.strike(request.path, user)
        if fault and fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault and fault.action == "refuse":
            sim.calls[name, user, "refused"] += 1
            return _closed(request)
        answer = await _answer(sim, request, call, fault)
        if fault and fault.action in ("drop", "cut", "endless"):
            sim.calls[name, user, fault.action] += 1
            return await _send_part(sim, request, answer, fault)
        sim.calls[name, user, str(answer.status)] += 1
        response = _response(sim, request, answer)
        if answer.page is not None:
            # Marked only once it is out: an answer to a caller who has gone was told to nobody.
            await response.prepare(request)
            await response.write_eof()
            page = answer.page
            sim.marks.answered(page.user, page.newest, page.told)
        if answer.refresh_token is not None:
            await response.prepare(request)
            await response.write_eof()
            sim.grants.delivered(answer.refresh_token)
        return response

    return handle


async def _answer(sim: Simulation, request: web.Request, call: Call, fault: Fault | None) -> Answer:
    """Return the true answer, or what the fault makes of it; a spoiled one has no page."""
    if fault and fault.action == "respond" and fault.status is not None:
        return _instead(sim, fault, fault.status)
    if fault and fault.since is not None:
        request[STALLED_AT] = parse_iso(fault.since)
    try:
        answer = await call(sim, request)
    except Refusal as refusal:
        answer = refusal.answer
    if fault is None:
        return answer
    headers = _merged(answer.headers, _headers(sim, fault))
    if request.path == "/api/token" and (fault.access_suffix or fault.refresh_suffix):
        suffixes = {"access_token": fault.access_suffix, "refresh_token": fault.refresh_suffix}
        answer = replace(answer, body=lengthened(answer.body, suffixes))
    if fault.leaves_truth:
        return replace(answer, headers=headers)
    body, refresh_token = answer.body, answer.refresh_token
    if fault.action == "truncate":
        body, refresh_token = body[: len(body) // 2], None
    if fault.action == "bomb":
        headers["Content-Encoding"] = "gzip"
        body, refresh_token = _bomb(body, fault.size_mb), None
    if fault.mutate:
        body = mutated(body, fault.mutate)
        if any(patch.path == "refresh_token" for patch in fault.mutate.json_patch):
            refresh_token = None
    return Answer(fault.status or answer.status, body, headers, refresh_token=refresh_token)


def _instead(sim: Simulation, fault: Fault, status: int) -> Answer:
    """Return what a responding fault says; without a body, an error in the Web API's style."""
    if isinstance(fault.body, str):
        body = fault.body.encode()
    elif fault.body is not None:
        body = msgspec.json.encode(fault.body)
    else:
        phrase = responses.get(status, "Error")
        body = msgspec.json.encode({"error": {"status": status, "message": phrase}})
    return Answer(status, body, _merged({"Content-Type": JSON_TYPE}, _headers(sim, fault)))


def _merged(headers: Mapping[str, str], over: Mapping[str, str]) -> CIMultiDict[str]:
    merged = CIMultiDict(headers)
    merged.update(over)
    return merged


async def _caller(sim: Simulation, request: web.Request) -> str | None:
    """Return whose call this is, as far as a token says so."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        token = sim.grants.read(text)
        return token.user if token else None
    if request.path == "/api/token":
        return await accounts.refreshing_user(sim, request)
    return None


_OF_THE_WEB_API = {
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
"""What each answer of the Web API carries besides, as public bug reports show it."""


def _usual_headers(sim: Simulation, request: web.Request) -> dict[str, str]:
    usual = {"Date": _http_date(sim), "Cache-Control": "private, max-age=0"}
    return usual | _OF_THE_WEB_API if request.path.startswith("/v1/") else usual


def _response(sim: Simulation, request: web.Request, answer: Answer) -> web.Response:
    headers = _merged(_usual_headers(sim, request), answer.headers)
    body = answer.body
    if answer.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers.update({"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
        body = answer.gzipped
    return web.Response(status=answer.status, body=body, headers=headers)


async def _send_part(
    sim: Simulation, request: web.Request, answer: Answer, fault: Fault
) -> web.StreamResponse:
    """Send what a fault leaves of an answer: nothing, its first half, or more than there is."""
    if fault.action == "drop":
        return _closed(request)
    headers = _merged(_usual_headers(sim, request), answer.headers)
    if fault.action == "cut":
        headers["Content-Length"] = str(len(answer.body))
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    if fault.action == "cut":
        await response.write(answer.body[: len(answer.body) // 2])
    else:
        await _send_without_end(response, answer.body, fault.every_ms)
    return _closed(request, response)


async def _send_without_end(response: web.StreamResponse, body: bytes, every_ms: int) -> None:
    """Send a body and spaces behind it until the caller goes away."""
    with suppress(ConnectionError):
        await response.write(body)
        while True:
            await response.write(b" " if every_ms else _SPACES)
            await asyncio.sleep(every_ms / 1000)


def _bomb(body: bytes, size_mb: int) -> bytes:
    """Return a body and so many MB of spaces as a gzip file, of a thousandth of that size."""
    packer = zlib.compressobj(wbits=31)
    parts = [packer.compress(body), *(packer.compress(_SPACES) for _ in range(16 * size_mb))]
    return b"".join([*parts, packer.flush()])


def _closed(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return response or web.Response()


def _headers(sim: Simulation, fault: Fault) -> dict[str, str]:
    """Return the headers that a fault sets."""
    if not fault.date_offset_s:
        return fault.headers
    return {"Date": _http_date(sim, fault.date_offset_s), **fault.headers}


def _http_date(sim: Simulation, offset_s: int = 0) -> str:
    now = datetime.fromtimestamp(sim.clock.now() // 1000 + offset_s, UTC)
    return format_datetime(now, usegmt=True)
