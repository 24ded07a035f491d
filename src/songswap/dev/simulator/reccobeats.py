"""ReccoBeats: audio features without a token, for 40 Spotify ids a call, in an order of its own."""

from __future__ import annotations

import uuid

from aiohttp import web

from songswap.dev.simulator import draw
from songswap.dev.simulator.response import Response, json_response
from songswap.dev.simulator.simulation import Simulation

_MAX_IDS = 40
_UNKNOWN = 0.03  # share of tracks
_FIELD_NAMES = (
    "acousticness danceability energy instrumentalness key liveness loudness mode speechiness "
    "tempo valence"
)
_FIELDS = _FIELD_NAMES.split()


async def several_features(sim: Simulation, request: web.Request) -> Response:
    """GET /reccobeats/v1/audio-features?ids=: the known ones, with Spotify's id in `href`."""
    idents = [ident for ident in request.query.get("ids", "").split(",") if ident]
    if not 1 <= len(idents) <= _MAX_IDS:
        return json_response(
            {"error": f"ids must have a size between 1 and {_MAX_IDS}", "path": request.path}, 400
        )
    content = []
    for ident in dict.fromkeys(idents):
        found = sim.world.metadata.features(ident)
        if found is None or draw.share(sim.options.seed, "reccobeats", ident) < _UNKNOWN:
            continue
        own = uuid.UUID(int=draw.number("reccobeats", ident) << 64 | draw.number(ident), version=4)
        href = f"https://open.spotify.com/track/{ident}"
        content.append({"id": str(own), "href": href} | {field: found[field] for field in _FIELDS})
    return json_response({"content": sorted(content, key=lambda features: str(features["id"]))})
