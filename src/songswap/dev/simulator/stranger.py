"""A stand-in for another host, the target of a redirect, whose responses only look like Spotify's.

A client that follows the redirect stores the first listener's plays for another user, or sends its
refresh token away and receives worthless ones.
"""

from __future__ import annotations

import os

from aiohttp import web

from songswap.dev.simulator.response import Response, json_response
from songswap.dev.simulator.simulation import Simulation

PATH = "/stranger"


async def respond(sim: Simulation, request: web.Request) -> Response:
    """Respond to a POST below `PATH` with tokens, to all else with a page of plays."""
    if request.method == "POST":
        return json_response(
            {
                "access_token": f"of-a-stranger-{os.urandom(12).hex()}",
                "refresh_token": f"of-a-stranger-{os.urandom(12).hex()}",
                "token_type": "Bearer",
                "expires_in": 3600,
            }
        )
    listener = next(iter(sim.world.listeners.values()))
    newest = listener.newest(sim.clock.now())
    items = sim.world.items(listener, newest, sim.mode)
    body = b'{"items":[%b]}' % items
    return Response(200, body, {"Content-Type": "application/json"})
