"""Does Discord take messages for the engineers' channel? What is sent is deleted again."""

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import aiohttp
import msgspec

from songswap.alerts.webhook import Webhook
from songswap.checks.sanity.given import Given, Step, connection_named, installed
from songswap.errors import CheckFailed, SettingsError
from songswap.settings.addresses import plain_hosts
from songswap.web.bodies import BodyTooLarge, read

CONNECTION = "Discord_Notifier"
VARIABLE = "discord_webhook_endpoint"
_WHERE = (
    "in Airflow's UI under Admin, Connections or Variables; or as"
    f" AIRFLOW_CONN_{CONNECTION.upper()} or AIRFLOW_VAR_{VARIABLE.upper()} in the environment"
)
_PLACES = f"the connection {CONNECTION} or the variable {VARIABLE} ({_WHERE})"
_TIMEOUT_S = 15
_SILENT = 1 << 12  # Discord's flag for a message that notifies nobody


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Message(msgspec.Struct):
    id: str


def provider(_given: Given) -> str:
    """The provider that alerts are sent with is installed."""
    return f"Installed: {installed('apache-airflow-providers-discord')}."


def webhook(given: Given) -> str:
    """A webhook is set, and looks like one."""
    return f"A webhook at {_webhook(given).base} is set."


def message(given: Given) -> str:
    """A message is taken and deleted again."""
    url = _webhook(given).url
    return asyncio.run(_send_and_delete(url))


STEPS = (Step("provider", provider), Step("webhook", webhook), Step("message", message))


def _webhook(given: Given) -> Webhook:
    connection = given.find_connection(CONNECTION)
    if connection is not None and connection.type != "discord":
        raise CheckFailed(
            f"Its type has to be discord, and is {connection.type or 'not set'}:"
            f" {connection_named(CONNECTION)}."
        )
    try:
        variable = given.find_variable(VARIABLE)
        return Webhook.parse(connection, variable, plain_hosts(given.environment))
    except SettingsError as error:
        raise CheckFailed(f"{error} Where: {_WHERE}.") from error


async def _send_and_delete(url: str) -> str:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        headers={"User-Agent": f"songswap-airflow/{version('songswap-airflow')}"},
        trust_env=True,
    ) as session:
        body = {"content": "Sanity check: this message goes away by itself.", "flags": _SILENT}
        sent = await _call(session, "POST", f"{url}?wait=true", json=body)
        if sent.status != 200:
            raise CheckFailed(_refusal(sent))
        try:
            number = msgspec.json.decode(sent.body, type=_Message).id
        except msgspec.MsgspecError:
            raise CheckFailed(
                f"What answers there is not Discord's API: correct the address of {_PLACES}."
            ) from None
        deleted = await _call(session, "DELETE", f"{url}/messages/{number}")
        if deleted.status != 204:
            raise CheckFailed(
                f"Discord took a message and did not delete it again ({deleted.status}). Delete it"
                " in the channel by hand; nothing has to be set."
            )
    return "A message was taken and deleted again."


async def _call(session: aiohttp.ClientSession, method: str, url: str, **request: Any) -> _Answer:
    try:
        async with session.request(method, url, allow_redirects=False, **request) as response:
            return _Answer(response.status, response.headers, await read(response))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, BodyTooLarge) as error:
        # Not as its cause: some of these errors quote the address, which is a secret.
        raise CheckFailed(
            f"Discord cannot be reached ({type(error).__name__}). Open the way to it from here, or"
            f" correct the host of {_PLACES}."
        ) from None


def _refusal(answer: _Answer) -> str:
    if answer.status in (401, 404):
        return (
            f"Discord knows no such webhook ({answer.status}): it was deleted, or is mistyped. Make"
            f" one in the channel's settings (Integrations) and set it: {_PLACES}."
        )
    if answer.status == 429:
        wait = answer.headers.get("Retry-After", "")
        wait_s = f"{wait} s" if wait.replace(".", "", 1).isdecimal() else "a while"
        return (
            f"Discord takes no more messages for {wait_s} (429). Nothing has to be set: clear the"
            " task after that. If it comes back, another program uses the same webhook."
        )
    if 300 <= answer.status < 400:
        return (
            f"What answers there is not Discord's API but a redirect ({answer.status}), which is"
            f" not followed: correct the address of {_PLACES}."
        )
    if answer.status >= 500:
        return (
            f"Discord failed ({answer.status}). Nothing has to be set: look at discordstatus.com"
            " and clear the task when it is well."
        )
    return (
        f"Discord refused a message ({answer.status}). Check that the webhook is right: {_PLACES}."
    )
