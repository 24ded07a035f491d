"""Sends answers, spoiled where a fault strikes; counts them, and marks what was told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import responses

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from songswap.simulator import accounts
from songswap.simulator.answer import JSON_TYPE, Answer, Refusal
from songswap.simulator.clock import parse_iso
from songswap.simulator.fault import Fault, mutated
from songswap.simulator.simulation import Simulation
from songswap.simulator.web_api import STALLED_AT

Call = Callable[[Simulation, web.Request], Awaitable[Answer]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        if fault and fault.action == "cut":
            sim.calls[name, user, "cut"] += 1
            return await _send_half(sim, request, answer)
        sim.calls[name, user, str(answer.status)] += 1
        response = _response(sim, request, answer)
        if answer.page is not None:
            # Marked only once it is out: an answer to a caller who has gone was told to nobody.
            await response.prepare(request)
            await response.write_eof()
            page = answer.page
            sim.marks.answered(page.user, page.newest, page.told)
        return response

    return handle


async def _answer(sim: Simulation, request: web.Request, call: Call, fault: Fault | None) -> Answer:
    """Return the true answer, or what the fault makes of it; a spoiled one has no page."""
    if fault and fault.action == "respond" and fault.status is not None:
        return _instead(fault, fault.status)
    if fault and fault.since is not None:
        request[STALLED_AT] = parse_iso(fault.since)
    try:
        answer = await call(sim, request)
    except Refusal as refusal:
        answer = refusal.answer
    if fault is None:
        return answer
    headers = _merged(answer.headers, fault.headers)
    if fault.leaves_truth:
        return Answer(answer.status, answer.body, headers, answer.gzipped, answer.page)
    body = answer.body
    if fault.action == "truncate":
        body = body[: len(body) // 2]
    if fault.mutate:
        body = mutated(body, fault.mutate)
    return Answer(fault.status or answer.status, body, headers)


def _instead(fault: Fault, status: int) -> Answer:
    """Return what a responding fault says; without a body, an error in the Web API's style."""
    if isinstance(fault.body, str):
        body = fault.body.encode()
    elif fault.body is not None:
        body = msgspec.json.encode(fault.body)
    else:
        phrase = responses.get(status, "Error")
        body = msgspec.json.encode({"error": {"status": status, "message": phrase}})
    return Answer(status, body, _merged({"Content-Type": JSON_TYPE}, fault.headers))


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


def _response(sim: Simulation, request: web.Request, answer: Answer) -> web.Response:
    usual = {"Date": _http_date(sim), "Cache-Control": "private, max-age=0"}
    headers = _merged(usual, answer.headers)
    body = answer.body
    if answer.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers.update({"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
        body = answer.gzipped
    return web.Response(status=answer.status, body=body, headers=headers)


async def _send_half(sim: Simulation, request: web.Request, answer: Answer) -> web.StreamResponse:
    headers = _merged({"Date": _http_date(sim)}, answer.headers)
    headers["Content-Length"] = str(len(answer.body))
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _closed(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _http_date(sim: Simulation) -> str:
    return format_datetime(datetime.fromtimestamp(sim.clock.now() // 1000, UTC), usegmt=True)
