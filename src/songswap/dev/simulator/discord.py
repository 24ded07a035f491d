"""A Discord webhook that keeps what it is sent, within Discord's own limits."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from songswap.dev.simulator.answer import Answer, json_answer
from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.simulation import Simulation

WEBHOOK_ID = "1000000000000000001"
WEBHOOK_TOKEN = "simulated-webhook-token"  # noqa: S105 - the token of a simulated webhook
_ALL_TEXT = 6_000
_FIRST_ID = 2_000_000_000_000_000_000
_UNKNOWN_WEBHOOK = json_answer({"message": "Unknown Webhook", "code": 10015}, 404)


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


async def execute(sim: Simulation, request: web.Request) -> Answer:
    """POST /discord/webhooks/{id}/{token}: keep a message, or say what is wrong with it."""
    if not _is_known(request):
        return _UNKNOWN_WEBHOOK
    data = await request.read()
    try:
        message = msgspec.json.decode(data, type=_Message)
    except msgspec.MsgspecError as error:
        return json_answer(
            {"message": f"The request body is not valid: {error}", "code": 50109}, 400
        )
    wrong = _problems(message)
    if wrong:
        return json_answer({"message": "Invalid Form Body", "code": 50035, "errors": wrong}, 400)
    sim.discord_ids += 1
    kept: dict[str, Any] = {
        "id": str(_FIRST_ID + sim.discord_ids),
        "received_at": iso(sim.clock.now()),
        **msgspec.json.decode(data),
    }
    sim.discord.append(kept)
    if sim.options.discord_log:
        with sim.options.discord_log.open("ab") as log:
            log.write(msgspec.json.encode(kept) + b"\n")
    if request.query.get("wait") != "true":
        return Answer(204)
    return json_answer(_told(kept))


async def message(sim: Simulation, request: web.Request) -> Answer:
    """GET or DELETE /discord/webhooks/{id}/{token}/messages/{message}: what the webhook sent."""
    if not _is_known(request):
        return _UNKNOWN_WEBHOOK
    for place, kept in enumerate(sim.discord):
        if kept["id"] == request.match_info["message"]:
            if request.method == "GET":
                return json_answer(_told(kept))
            del sim.discord[place]
            return Answer(204)
    return json_answer({"message": "Unknown Message", "code": 10008}, 404)


def _is_known(request: web.Request) -> bool:
    told = request.match_info
    return (told["id"], told["token"]) == (WEBHOOK_ID, WEBHOOK_TOKEN)


def _told(kept: dict[str, Any]) -> dict[str, Any]:
    """A message as Discord gives it back."""
    rest = {name: value for name, value in kept.items() if name != "received_at"}
    own = {"type": 0, "channel_id": "1", "webhook_id": WEBHOOK_ID}
    return {**own, "timestamp": kept["received_at"], **rest}


def _problems(message: _Message) -> dict[str, Any]:
    """Return what Discord would refuse, by field; empty when all is well."""
    found: dict[str, Any] = {}

    def check(field: str, text: str, most: int) -> None:
        if len(text) > most:
            found[field] = _error("BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")

    if not message.content and not message.embeds:
        return {"content": _error("BASE_TYPE_REQUIRED", "Cannot send an empty message")}
    check("content", message.content or "", 2_000)
    if len(message.embeds) > 10:
        found["embeds"] = _error("BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    everything = 0
    for place, embed in enumerate(message.embeds):
        at = f"embeds.{place}"
        texts = [(f"{at}.title", embed.title, 256), (f"{at}.description", embed.description, 4_096)]
        for row, each in enumerate(embed.fields):
            texts.append((f"{at}.fields.{row}.name", each.name, 256))
            texts.append((f"{at}.fields.{row}.value", each.value, 1_024))
        if embed.footer:
            texts.append((f"{at}.footer.text", embed.footer.text, 2_048))
        if embed.author:
            texts.append((f"{at}.author.name", embed.author.name, 256))
        for field, text, most in texts:
            check(field, text, most)
        if len(embed.fields) > 25:
            found[f"{at}.fields"] = _error("BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        everything += sum(len(text) for _, text, _ in texts)
    if everything > _ALL_TEXT:
        found["embeds"] = _error("MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum of 6000")
    return found


def _error(code: str, message: str) -> dict[str, Any]:
    return {"_errors": [{"code": code, "message": message}]}
