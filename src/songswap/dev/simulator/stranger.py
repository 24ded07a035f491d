"""Another host, to which a redirect may lead: its answers look like Spotify's and are none of it.

Whoever follows takes the plays of the first listener for somebody else's, or gives a refresh token
away and gets worthless ones for it.
"""

from __future__ import annotations

import os

from aiohttp import web

from songswap.dev.simulator.answer import Answer, json_answer
from songswap.dev.simulator.gzip_join import joined, stored
from songswap.dev.simulator.simulation import Simulation

PATH = "/stranger"


async def answer(sim: Simulation, request: web.Request) -> Answer:
    """Answer anything below `PATH`: a POST with tokens, all else with a page of plays."""
    if request.method == "POST":
        return json_answer(
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
    body, _ = joined([stored(b'{"items":['), *items, stored(b"]}")])
    return Answer(200, body, {"Content-Type": "application/json"})
