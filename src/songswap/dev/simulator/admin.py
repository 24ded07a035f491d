"""The admin endpoint: what only the world's maker may see and do. No fault ever strikes it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated, Literal, TypeVar

import msgspec
from aiohttp import web

from songswap.dev.simulator import ledger, page
from songswap.dev.simulator.answer import json_answer
from songswap.dev.simulator.clock import ClockError, iso, parse_iso
from songswap.dev.simulator.discord import WEBHOOK_ID, WEBHOOK_TOKEN
from songswap.dev.simulator.discord_page import discord_page
from songswap.dev.simulator.export import Export, Kind, export
from songswap.dev.simulator.fault import Fault
from songswap.dev.simulator.front_page import front_page
from songswap.dev.simulator.listener import Listener
from songswap.dev.simulator.shelf import Mode
from songswap.dev.simulator.simulation import Simulation

SIMULATION = web.AppKey("simulation", Simulation)
routes = web.RouteTableDef()
T = TypeVar("T")
_MOST_NEW = 1_000_000


class _ClockOrder(msgspec.Struct, forbid_unknown_fields=True):
    set: str | None = None
    advance_s: float | None = None


class _ModeOrder(msgspec.Struct, forbid_unknown_fields=True):
    mode: Mode


class _NewListeners(msgspec.Struct, forbid_unknown_fields=True):
    count: int


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    kind: Kind = "extended"
    rows_a_file: Annotated[int, msgspec.Meta(ge=2)] | None = None


class _Done(msgspec.Struct):
    done: Literal[True] = True


@routes.get("/")
async def front(request: web.Request) -> web.Response:
    """Show a page for a browser: listeners, calls, faults, and links to the rest."""
    made = front_page(request.app[SIMULATION], request.headers["Host"])
    return web.Response(body=made, headers=page.HEADERS)


@routes.get("/admin/health")
async def health(request: web.Request) -> web.Response:
    """Tell that the simulator is up, with its seed, mode, clock and webhook path."""
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
async def tell_time(request: web.Request) -> web.Response:
    """Tell the time."""
    return _time(request.app[SIMULATION])


@routes.post("/admin/clock")
async def move_clock(request: web.Request) -> web.Response:
    """Move a frozen clock: `{"set": iso}` or `{"advance_s": seconds}`."""
    sim = request.app[SIMULATION]
    order = await _order(request, _ClockOrder)
    if (order.set is None) == (order.advance_s is None):
        return _problem(400, "give either set or advance_s")
    try:
        if order.set is not None:
            sim.clock.set(parse_iso(order.set))
        else:
            sim.clock.set(sim.clock.now() + round((order.advance_s or 0) * 1000))
    except ClockError as error:
        return _problem(409, str(error))
    except ValueError as error:
        return _problem(400, str(error))
    return _time(sim)


@routes.get("/admin/listeners")
async def listeners(request: web.Request) -> web.Response:
    """List the listeners: id, display_name, email."""
    sim = request.app[SIMULATION]
    return _json(
        [
            {"id": each.id, "display_name": each.name, "email": each.email}
            for each in sim.world.listeners.values()
        ]
    )


@routes.post("/admin/listeners")
async def add_listeners(request: web.Request) -> web.Response:
    """Add `{"count": n}` listeners, whose lives began with everybody's; return their ids."""
    order = await _order(request, _NewListeners)
    if not 1 <= order.count <= _MOST_NEW:
        return _problem(400, f"count must lie between 1 and {_MOST_NEW}")
    return _json({"added": request.app[SIMULATION].world.add(order.count)})


@routes.post("/admin/listeners/{id}/revoke")
async def revoke(request: web.Request) -> web.Response:
    """End every grant of a listener; only a new authorization revives them."""
    sim, ident = request.app[SIMULATION], request.match_info["id"]
    if ident not in sim.world.listeners:
        return _problem(404, f"there is no listener {ident}")
    sim.grants.revoke(ident)
    return _json(_Done())


@routes.get("/admin/undelivered")
async def undelivered(request: web.Request) -> web.Response:
    """List the ids of those whose newest refresh token stood in no answer that went out whole."""
    return _json(request.app[SIMULATION].grants.undelivered())


@routes.get("/admin/listeners/{id}/export")
async def privacy_export(request: web.Request) -> web.Response:
    """Return the zip that Spotify would send now: `?kind=`, see `export.Kind`; `&rows_a_file=`."""
    made = await _export(request)
    headers = {"Content-Disposition": 'attachment; filename="my_spotify_data.zip"'}
    packed = await asyncio.to_thread(made.zipped)
    return web.Response(body=packed, content_type="application/zip", headers=headers)


@routes.get("/admin/listeners/{id}/export/truth")
async def export_truth(request: web.Request) -> web.Response:
    """Return what each row of that export is, as NDJSON, see `export.Truth`."""
    made = await _export(request)
    return web.Response(body=made.truth_lines(), content_type="application/x-ndjson")


@routes.get("/admin/ledger")
async def whole_ledger(request: web.Request) -> web.StreamResponse:
    """Stream the ledger up to now as NDJSON, a line a play, of one `?user=` or of all."""
    sim, user = request.app[SIMULATION], request.query.get("user")
    if user is not None and user not in sim.world.listeners:
        return _problem(404, f"there is no listener {user}")
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    now = sim.clock.now()
    for ident in [user] if user is not None else list(sim.world.listeners):
        lines = ledger.lines(sim.world, sim.marks, sim.world.listeners[ident], now)
        if written := b"".join(msgspec.json.encode(line) + b"\n" for line in lines):
            await response.write(written)
    await response.write_eof()
    return response


@routes.get("/admin/calls")
async def calls(request: web.Request) -> web.Response:
    """Count the calls since the last DELETE: in all, by endpoint and status, by user."""
    sim = request.app[SIMULATION]
    by_endpoint: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_user: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (endpoint, user, status), count in sim.calls.items():
        by_endpoint[endpoint][status] += count
        if user is not None:
            by_user[user][endpoint] += count
    return _json({"total": sim.calls.total(), "by_endpoint": by_endpoint, "by_user": by_user})


@routes.delete("/admin/calls")
async def forget_calls(request: web.Request) -> web.Response:
    """Begin counting anew."""
    request.app[SIMULATION].calls.clear()
    return _json(_Done())


@routes.get("/admin/faults")
async def faults(request: web.Request) -> web.Response:
    """List the faults in force with how often each has struck."""
    return _json(request.app[SIMULATION].faults.all())


@routes.post("/admin/faults")
async def add_fault(request: web.Request) -> web.Response:
    """Put a fault in force; return it with its id."""
    return _json(request.app[SIMULATION].faults.add(await _order(request, Fault)))


@routes.delete("/admin/faults")
async def clear_faults(request: web.Request) -> web.Response:
    """End all faults."""
    request.app[SIMULATION].faults.clear()
    return _json(_Done())


@routes.delete("/admin/faults/{id:[0-9]+}")
async def remove_fault(request: web.Request) -> web.Response:
    """End one fault."""
    ident = int(request.match_info["id"])
    if not request.app[SIMULATION].faults.remove(ident):
        return _problem(404, f"there is no fault {ident}")
    return _json(_Done())


@routes.post("/admin/mode")
async def switch_mode(request: web.Request) -> web.Response:
    """Switch between `{"mode": "extended"}` and `{"mode": "development"}`."""
    sim = request.app[SIMULATION]
    sim.mode = (await _order(request, _ModeOrder)).mode
    return _json({"mode": sim.mode})


@routes.get("/admin/discord")
async def messages(request: web.Request) -> web.Response:
    """List what the Discord sink was sent, oldest first; to a browser as a page of cards."""
    if page.is_wanted(request.headers.get("Accept", "")):
        made = discord_page(request.app[SIMULATION].discord)
        return web.Response(body=made, headers=page.HEADERS)
    return _json(request.app[SIMULATION].discord)


@routes.delete("/admin/discord")
async def forget_messages(request: web.Request) -> web.Response:
    """Empty the Discord sink."""
    request.app[SIMULATION].discord.clear()
    return _json(_Done())


async def _export(request: web.Request) -> Export:
    sim, ident = request.app[SIMULATION], request.match_info["id"]
    listener = sim.world.listeners.get(ident)
    if not isinstance(listener, Listener):
        raise _refusal(web.HTTPNotFound, f"there is no listener {ident} with a simulated life")
    try:
        wish = msgspec.convert(dict(request.query), _Wish, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(web.HTTPBadRequest, str(error)) from error
    # In a thread: a long life takes seconds, and the feed goes on meanwhile.
    return await asyncio.to_thread(export, listener, sim.clock.now(), wish.kind, wish.rows_a_file)


def _refusal(kind: type[web.HTTPException], message: str) -> web.HTTPException:
    text = json_answer({"error": message}).body.decode()
    return kind(text=text, content_type="application/json")


async def _order(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        raise _refusal(web.HTTPBadRequest, str(error)) from error


def _time(sim: Simulation) -> web.Response:
    return _json({"now": iso(sim.clock.now()), "frozen": sim.clock.is_frozen})


def _json(value: object) -> web.Response:
    answer = json_answer(value)
    return web.Response(body=answer.body, headers=answer.headers)


def _problem(status: int, message: str) -> web.Response:
    answer = json_answer({"error": message}, status)
    return web.Response(status=status, body=answer.body, headers=answer.headers)
