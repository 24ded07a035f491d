"""Check that messages reach the engineers: Discord takes one, and what else is set can be used.

Other services are sent nothing: there it could not be deleted.
"""

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import aiohttp
import msgspec

from songswap.alerts.message import label
from songswap.alerts.webhook import SERVICES, Webhook
from songswap.checks.sanity.context import CheckContext, Step, connection_named, installed
from songswap.errors import CheckFailed, SettingsError
from songswap.schedule import minute_of
from songswap.settings.addresses import plain_hosts
from songswap.settings.time_zones import time_zones
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


class _Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Message(msgspec.Struct):
    id: str


def provider(_context: CheckContext) -> str:
    """Check that the provider that sends the alerts is installed."""
    return f"Installed: {installed('apache-airflow-providers-discord')}."


def time(context: CheckContext) -> str:
    """Check the time zones of messages, and the minute of the hourly load."""
    labels = ["UTC", *map(label, time_zones(context.environment))]
    minute = minute_of(context.environment)
    return f"Messages show: {', '.join(labels)}. The hourly load runs at minute {minute}."


def services(context: CheckContext) -> str:
    """Check that the addresses of other services can be used, where there are any."""
    connection = context.find_connection(SERVICES)
    if connection is None:
        return f"Messages go to Discord alone: {SERVICES} is not set."
    versions = installed("apprise")
    from songswap.alerts.services import Services

    read = Services.parse(connection, plain_hosts(context.environment))
    if read.problems:
        raise CheckFailed(f"{' '.join(read.problems)} Where: {connection_named(SERVICES)}.")
    names = ", ".join(service.name for service in read.usable)
    return f"Messages also go to: {names} ({versions}). Nothing was sent there."


def webhook(context: CheckContext) -> str:
    """Check that a webhook is set, and looks like one; other services can replace it."""
    if _is_replaced(context):
        return f"No webhook is set: messages go to the services of {SERVICES} alone."
    return f"A webhook at {_webhook(context).base} is set."


def message(context: CheckContext) -> str:
    """Send a silent message and delete it, where a webhook is set."""
    if _is_replaced(context):
        return "Nothing was sent: no webhook is set."
    url = _webhook(context).url
    return asyncio.run(_send_and_delete(url))


STEPS = (
    Step("provider", provider),
    Step("time", time),
    Step("services", services),
    Step("webhook", webhook),
    Step("message", message),
)


def _is_replaced(context: CheckContext) -> bool:
    """Whether no webhook is set, but other services are."""
    is_set = context.find_connection(CONNECTION) or context.find_variable(VARIABLE)
    return not is_set and context.find_connection(SERVICES) is not None


def _webhook(context: CheckContext) -> Webhook:
    connection = context.find_connection(CONNECTION)
    if connection is not None and connection.type != "discord":
        raise CheckFailed(
            f"Its type has to be discord, and is {connection.type or 'not set'}:"
            f" {connection_named(CONNECTION)}."
        )
    try:
        variable = context.find_variable(VARIABLE)
        return Webhook.parse(connection, variable, plain_hosts(context.environment))
    except SettingsError as error:
        raise CheckFailed(f"{error} Where: {_WHERE}.") from error


async def _send_and_delete(url: str) -> str:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        headers={"User-Agent": f"songswap-airflow/{version('songswap-airflow')}"},
        trust_env=True,
    ) as session:
        body = {"content": "Sanity check: this message is deleted at once.", "flags": _SILENT}
        sent = await _call(session, "POST", f"{url}?wait=true", json=body)
        if sent.status != 200:
            raise CheckFailed(_refusal(sent))
        try:
            message_id = msgspec.json.decode(sent.body, type=_Message).id
        except msgspec.MsgspecError:
            raise CheckFailed(
                f"The address does not lead to Discord's API: correct the address of {_PLACES}."
            ) from None
        deleted = await _call(session, "DELETE", f"{url}/messages/{message_id}")
        if deleted.status != 204:
            raise CheckFailed(
                f"Discord took a message but did not delete it ({deleted.status}). Delete it"
                " in the channel by hand; nothing has to be set."
            )
    return "A message was sent and deleted."


async def _call(session: aiohttp.ClientSession, method: str, url: str, **request: Any) -> _Response:
    try:
        async with session.request(method, url, allow_redirects=False, **request) as response:
            return _Response(response.status, response.headers, await read(response))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, BodyTooLarge) as error:
        # Not as its cause: some of these errors quote the address, which is a secret.
        raise CheckFailed(
            f"Discord cannot be reached ({type(error).__name__}). Open the route to it, or"
            f" correct the host of {_PLACES}."
        ) from None


def _refusal(response: _Response) -> str:
    if response.status in (401, 404):
        return (
            f"Discord knows no such webhook ({response.status}): it was deleted, or is mistyped."
            f" Make one in the channel's settings (Integrations) and set it: {_PLACES}."
        )
    if response.status == 429:
        wait = response.headers.get("Retry-After", "")
        wait_s = f"{wait} s" if wait.replace(".", "", 1).isdecimal() else "a while"
        return (
            f"Discord takes no more messages for {wait_s} (429). Nothing has to be set: clear the"
            " task then. If it comes back, another program uses the same webhook."
        )
    if 300 <= response.status < 400:
        return (
            f"The address does not lead to Discord's API but to a redirect ({response.status}),"
            f" which is not followed: correct the address of {_PLACES}."
        )
    if response.status >= 500:
        return (
            f"Discord failed ({response.status}). Nothing has to be set: look at discordstatus.com"
            " and clear the task once it has recovered."
        )
    return (
        f"Discord refused a message ({response.status}). Check that the webhook is right:"
        f" {_PLACES}."
    )
