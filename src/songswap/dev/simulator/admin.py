"""The admin endpoints, which no fault strikes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web

from songswap.dev.simulator import ledger, page
from songswap.dev.simulator.clock import ClockError, iso, parse_iso
from songswap.dev.simulator.discord import WEBHOOK_ID, WEBHOOK_TOKEN
from songswap.dev.simulator.discord_page import discord_page
from songswap.dev.simulator.export import ExportKind, PrivacyExport, make_export
from songswap.dev.simulator.fault import Fault
from songswap.dev.simulator.front_page import front_page
from songswap.dev.simulator.listener import Listener
from songswap.dev.simulator.metadata import Mode
from songswap.dev.simulator.response import JSON_TYPE
from songswap.dev.simulator.simulation import Simulation

SIMULATION = web.AppKey("simulation", Simulation)
routes = web.RouteTableDef()
T = TypeVar("T")
_MAX_NEW = 1_000_000
_DONE = {"done": True}
_ERRORS = {400: web.HTTPBadRequest, 404: web.HTTPNotFound, 409: web.HTTPConflict}


class _ClockChange(msgspec.Struct, forbid_unknown_fields=True):
    set: str | None = None
    advance_s: float | None = None


class _ModeChange(msgspec.Struct, forbid_unknown_fields=True):
    mode: Mode


class _NewQuota(msgspec.Struct, forbid_unknown_fields=True):
    requests: Annotated[int, msgspec.Meta(ge=0)]


class _NewListeners(msgspec.Struct, forbid_unknown_fields=True):
    count: int


class _ExportQuery(msgspec.Struct, forbid_unknown_fields=True):
    kind: ExportKind = "extended"
    rows_a_file: Annotated[int, msgspec.Meta(ge=2)] | None = None


@routes.get("/")
async def front(request: web.Request) -> web.Response:
    """Return a page of the listeners, calls and faults, with links to the rest."""
    body = front_page(request.app[SIMULATION], request.headers["Host"])
    return web.Response(body=body, headers=page.HEADERS)


@routes.get("/admin/health")
async def health(request: web.Request) -> web.Response:
    """Return that the simulator is up, with its seed, mode, clock and webhook path."""
    sim = request.app[SIMULATION]
    return _json(
        {
            "status": "healthy",
            "now": iso(sim.clock.now()),
            "clock": "frozen" if sim.clock.is_frozen else "real",
            "seed": sim.options.seed,
            "mode": sim.mode,
            "listeners": len(sim.world.listeners),
            "tracks": sim.world.catalogue.size,
            "artists": sim.world.catalogue.artists,
            "webhook": f"/discord/webhooks/{WEBHOOK_ID}/{WEBHOOK_TOKEN}",
        }
    )


@routes.get("/admin/clock")
async def get_time(request: web.Request) -> web.Response:
    """Return the time, and whether the clock is frozen."""
    return _time(request.app[SIMULATION])


@routes.post("/admin/clock")
async def move_clock(request: web.Request) -> web.Response:
    """Move a frozen clock: `{"set": iso}` or `{"advance_s": seconds}`."""
    sim = request.app[SIMULATION]
    change = await _decode(request, _ClockChange)
    if (change.set is None) == (change.advance_s is None):
        raise _error(400, "give either set or advance_s")
    try:
        if change.set is not None:
            sim.clock.set(parse_iso(change.set))
        else:
            sim.clock.set(sim.clock.now() + round((change.advance_s or 0) * 1000))
    except ClockError as error:
        raise _error(409, str(error)) from error
    except ValueError as error:
        raise _error(400, str(error)) from error
    return _time(sim)


@routes.get("/admin/listeners")
async def listeners(request: web.Request) -> web.Response:
    """List the listeners: id, display_name, email."""
    sim = request.app[SIMULATION]
    return _json(
        [
            {"id": listener.id, "display_name": listener.name, "email": listener.email}
            for listener in sim.world.listeners.values()
        ]
    )


@routes.post("/admin/listeners")
async def add_listeners(request: web.Request) -> web.Response:
    """Add `{"count": n}` listeners, with plays since `--epoch`; return their ids."""
    new = await _decode(request, _NewListeners)
    if not 1 <= new.count <= _MAX_NEW:
        raise _error(400, f"count must lie between 1 and {_MAX_NEW}")
    return _json({"added": request.app[SIMULATION].world.add(new.count)})


@routes.post("/admin/listeners/{id}/revoke")
async def revoke(request: web.Request) -> web.Response:
    """Revoke every grant of a listener; only a new authorization gives another."""
    sim, ident = request.app[SIMULATION], request.match_info["id"]
    if ident not in sim.world.listeners:
        raise _error(404, f"there is no listener {ident}")
    sim.tokens.revoke(ident)
    return _json(_DONE)


@routes.get("/admin/undelivered")
async def undelivered(request: web.Request) -> web.Response:
    """List the users whose newest refresh token was in no completely sent response."""
    return _json(request.app[SIMULATION].tokens.undelivered())


@routes.get("/admin/listeners/{id}/export")
async def privacy_export(request: web.Request) -> web.Response:
    """Return the zip that Spotify would send now; `?kind=` (`ExportKind`), `&rows_a_file=`."""
    export = await _export(request)
    headers = {"Content-Disposition": 'attachment; filename="my_spotify_data.zip"'}
    zipped = await asyncio.to_thread(export.zipped)
    return web.Response(body=zipped, content_type="application/zip", headers=headers)


@routes.get("/admin/listeners/{id}/export/truth")
async def export_truth(request: web.Request) -> web.Response:
    """Return what each row of that export is, as NDJSON of `Truth`."""
    export = await _export(request)
    return web.Response(body=export.truth_lines(), content_type="application/x-ndjson")


@routes.get("/admin/ledger")
async def whole_ledger(request: web.Request) -> web.StreamResponse:
    """Stream the ledger up to now as NDJSON, a line per play, of `?user=` or of all."""
    sim, user = request.app[SIMULATION], request.query.get("user")
    if user is not None and user not in sim.world.listeners:
        raise _error(404, f"there is no listener {user}")
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    now = sim.clock.now()
    for ident in [user] if user is not None else list(sim.world.listeners):
        entries = ledger.entries(sim.world, sim.feed_history, sim.world.listeners[ident], now)
        if lines := msgspec.json.Encoder().encode_lines(entries):
            await response.write(lines)
    await response.write_eof()
    return response


@routes.get("/admin/calls")
async def calls(request: web.Request) -> web.Response:
    """Return the numbers of calls since the last DELETE: total, by endpoint and status, by user."""
    sim = request.app[SIMULATION]
    by_endpoint: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_user: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (endpoint, user, status), count in sim.calls.items():
        by_endpoint[endpoint][status] += count
        if user is not None:
            by_user[user][endpoint] += count
    return _json({"total": sim.calls.total(), "by_endpoint": by_endpoint, "by_user": by_user})


@routes.delete("/admin/calls")
async def clear_calls(request: web.Request) -> web.Response:
    """Set all numbers of calls to 0."""
    request.app[SIMULATION].calls.clear()
    return _json(_DONE)


@routes.get("/admin/polls")
async def polls(request: web.Request) -> web.Response:
    """Return when each polled user had the last complete response, and the longest time between."""
    return _json(
        {
            user: {"last": iso(poll.last), "longest_s": poll.longest // 1000}
            for user, poll in request.app[SIMULATION].feed_history.polls.items()
        }
    )


@routes.get("/admin/faults")
async def faults(request: web.Request) -> web.Response:
    """List the active faults, and how often each struck."""
    return _json(request.app[SIMULATION].faults.all())


@routes.post("/admin/faults")
async def add_fault(request: web.Request) -> web.Response:
    """Activate a fault; return it with its id."""
    return _json(request.app[SIMULATION].faults.add(await _decode(request, Fault)))


@routes.delete("/admin/faults")
async def clear_faults(request: web.Request) -> web.Response:
    """Remove all faults."""
    request.app[SIMULATION].faults.clear()
    return _json(_DONE)


@routes.delete("/admin/faults/{id:[0-9]+}")
async def remove_fault(request: web.Request) -> web.Response:
    """Remove a fault."""
    ident = int(request.match_info["id"])
    if not request.app[SIMULATION].faults.remove(ident):
        raise _error(404, f"there is no fault {ident}")
    return _json(_DONE)


@routes.post("/admin/mode")
async def switch_mode(request: web.Request) -> web.Response:
    """Switch between `{"mode": "extended"}` and `{"mode": "development"}`."""
    sim = request.app[SIMULATION]
    sim.mode = (await _decode(request, _ModeChange)).mode
    return _json({"mode": sim.mode})


@routes.post("/admin/quota")
async def set_quota(request: web.Request) -> web.Response:
    """Set the quota `{"requests": n}`; requests before this do not count."""
    quota = await _decode(request, _NewQuota)
    request.app[SIMULATION].limit_day(quota.requests)
    return _json({"requests": quota.requests})


@routes.get("/admin/discord")
async def messages(request: web.Request) -> web.Response:
    """List the Discord messages, oldest first; for a browser, a page of cards."""
    if page.accepts_html(request.headers.get("Accept", "")):
        body = discord_page(request.app[SIMULATION].discord_messages)
        return web.Response(body=body, headers=page.HEADERS)
    return _json(request.app[SIMULATION].discord_messages)


@routes.delete("/admin/discord")
async def clear_messages(request: web.Request) -> web.Response:
    """Delete all Discord messages."""
    request.app[SIMULATION].discord_messages.clear()
    return _json(_DONE)


async def _export(request: web.Request) -> PrivacyExport:
    sim, ident = request.app[SIMULATION], request.match_info["id"]
    listener = sim.world.listeners.get(ident)
    if not isinstance(listener, Listener):
        raise _error(404, f"there is no simulated listener {ident}")
    try:
        query = msgspec.convert(dict(request.query), _ExportQuery, strict=False)
    except msgspec.ValidationError as error:
        raise _error(400, str(error)) from error
    # In a thread, since years of plays take seconds and other requests must not wait.
    return await asyncio.to_thread(
        make_export, listener, sim.clock.now(), query.kind, query.rows_a_file
    )


async def _decode(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        raise _error(400, str(error)) from error


def _time(sim: Simulation) -> web.Response:
    return _json({"now": iso(sim.clock.now()), "frozen": sim.clock.is_frozen})


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), headers={"Content-Type": JSON_TYPE})


def _error(status: int, message: str) -> web.HTTPException:
    text = msgspec.json.encode({"error": message}).decode()
    return _ERRORS[status](text=text, content_type="application/json")
