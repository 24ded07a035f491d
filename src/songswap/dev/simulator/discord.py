"""A Discord webhook that stores its messages and enforces Discord's limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web

from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.response import Response, json_response
from songswap.dev.simulator.simulation import Simulation

WEBHOOK_ID = "1000000000000000001"
WEBHOOK_TOKEN = "simulated-webhook-token"  # noqa: S105 - the token of a simulated webhook
_MAX_EMBED_TEXT = 6_000
_FIRST_ID = 2_000_000_000_000_000_000
_UNKNOWN_WEBHOOK = json_response({"message": "Unknown Webhook", "code": 10015}, 404)


class _Field(msgspec.Struct):
    name: str
    value: str


class _Text(msgspec.Struct):
    text: str = ""
    name: str = ""


class _Embed(msgspec.Struct):
    title: str = ""
    description: str = ""
    fields: list[_Field] = []
    footer: _Text | None = None
    author: _Text | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    embeds: list[_Embed] = []


async def execute(sim: Simulation, request: web.Request) -> Response:
    """POST /discord/webhooks/{id}/{token}: store a message, or return its errors."""
    if not _is_known(request):
        return _UNKNOWN_WEBHOOK
    data = await request.read()
    try:
        message = msgspec.json.decode(data, type=_Message)
    except msgspec.MsgspecError as error:
        return json_response(
            {"message": f"The request body is not valid: {error}", "code": 50109}, 400
        )
    errors = _errors(message)
    if errors:
        return json_response({"message": "Invalid Form Body", "code": 50035, "errors": errors}, 400)
    sim.discord_ids += 1
    stored: dict[str, Any] = {
        "id": str(_FIRST_ID + sim.discord_ids),
        "received_at": iso(sim.clock.now()),
        **msgspec.json.decode(data),
    }
    sim.discord_messages.append(stored)
    if sim.options.discord_log:
        with sim.options.discord_log.open("ab") as log:
            log.write(msgspec.json.encode(stored) + b"\n")
    if request.query.get("wait") != "true":
        return Response(204)
    return json_response(_as_discord_returns(stored))


async def message(sim: Simulation, request: web.Request) -> Response:
    """GET or DELETE /discord/webhooks/{id}/{token}/messages/{message}: a stored message."""
    if not _is_known(request):
        return _UNKNOWN_WEBHOOK
    for index, stored in enumerate(sim.discord_messages):
        if stored["id"] == request.match_info["message"]:
            if request.method == "GET":
                return json_response(_as_discord_returns(stored))
            del sim.discord_messages[index]
            return Response(204)
    return json_response({"message": "Unknown Message", "code": 10008}, 404)


def _is_known(request: web.Request) -> bool:
    path = request.match_info
    return (path["id"], path["token"]) == (WEBHOOK_ID, WEBHOOK_TOKEN)


def _as_discord_returns(stored: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in stored.items() if name != "received_at"}
    own = {"type": 0, "channel_id": "1", "webhook_id": WEBHOOK_ID}
    return {**own, "timestamp": stored["received_at"], **rest}


def _errors(message: _Message) -> dict[str, Any]:
    """Return Discord's errors by field; empty if it accepts the message."""
    if not message.content and not message.embeds:
        return {"content": _error("BASE_TYPE_REQUIRED", "Cannot send an empty message")}
    texts = [text for n, embed in enumerate(message.embeds) for text in _texts(n, embed)]
    sizes = [(field, len(text), limit) for field, text, limit in texts]
    sizes += [(f"embeds.{n}.fields", len(e.fields), 25) for n, e in enumerate(message.embeds)]
    sizes += [("content", len(message.content or ""), 2_000), ("embeds", len(message.embeds), 10)]
    errors = {
        field: _error("BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
        for field, size, limit in sizes
        if size > limit
    }
    if sum(len(text) for _, text, _ in texts) > _MAX_EMBED_TEXT:
        errors["embeds"] = _error("MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum of 6000")
    return errors


def _texts(number: int, embed: _Embed) -> Iterator[tuple[str, str, int]]:
    """Yield the field, the text and the length limit of each text in an embed."""
    prefix = f"embeds.{number}"
    yield f"{prefix}.title", embed.title, 256
    yield f"{prefix}.description", embed.description, 4_096
    for row, field in enumerate(embed.fields):
        yield f"{prefix}.fields.{row}.name", field.name, 256
        yield f"{prefix}.fields.{row}.value", field.value, 1_024
    if embed.footer:
        yield f"{prefix}.footer.text", embed.footer.text, 2_048
    if embed.author:
        yield f"{prefix}.author.name", embed.author.name, 256


def _error(code: str, message: str) -> dict[str, Any]:
    return {"_errors": [{"code": code, "message": message}]}
