"""The one place that sends messages: to Discord, and to the services of ``SongSwap_Alerts``.

Each is told by itself and at the same time: one that fails, or takes too long, keeps no other from
being told. The DAG files import this to be parsed: what only a message needs is imported inside it.
"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from songswap.alerts import plain_text
from songswap.alerts.embed import embed
from songswap.alerts.message import Message
from songswap.errors import SettingsError, SongSwapError

if TYPE_CHECKING:
    from songswap.alerts.services import Services

log = logging.getLogger(__name__)

_NOWHERE = (
    "Nobody can be told: set the connection Discord_Notifier or the variable"
    " discord_webhook_endpoint to a webhook of Discord, or the connection SongSwap_Alerts to"
    " addresses of other services."
)


_NOT_FOR_SERVICES = (
    "This message is for Discord alone, where no webhook is set: other services were not told."
)


def send(message: Message, *, to_services: bool = True) -> str | None:
    """Send a message to everybody who is set, and return its id on Discord.

    What fails is logged in a sentence each, with the message if nobody took it.

    Args:
        to_services: false for a message to Discord alone.
    """
    zones = _zones()
    title, body = plain_text.title(message), plain_text.body(message, zones)
    # Airflow ends a task's process 20 s after the task, and apprise takes a second or more to load.
    services, problems = _services() if to_services else (None, [])
    told = False
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(services.send, title, body, message.color) if services else None
        message_id, problem = _to_discord(message, zones)
        if sending and services:
            failures = sending.result()
            problems += failures
            told = len(failures) < len(services.usable)
    problems += [problem] if problem else []
    if message_id is None and not told:
        nowhere = _NOWHERE if to_services or not _services()[0] else _NOT_FOR_SERVICES
        sentences = " ".join(problems) or nowhere
        log.error("%s This message was not sent:\n%s\n%s", sentences, title, body)
    elif problems:
        log.error("%s The others were told.", " ".join(problems))
    return message_id


def _zones() -> tuple[ZoneInfo, ...]:
    from songswap.settings.time_zones import time_zones

    try:
        return time_zones(os.environ)
    except SettingsError as error:
        log.error("%s Until then messages show UTC alone.", error)  # noqa: TRY400 - a sentence
        return ()


def _services() -> tuple["Services | None", list[str]]:
    """The services to tell, and sentences about those that cannot be; None if none can be."""
    from songswap.alerts.webhook import SERVICES
    from songswap.installation.extras import pip_command
    from songswap.orchestration.connections import find_services

    try:
        services = find_services()
    except SongSwapError as error:
        return None, [str(error)]
    except ImportError:
        return None, [
            f"The connection {SERVICES} is set, and apprise, which sends to it, is not installed:"
            f" {pip_command('airflow')} installs it."
        ]
    if services is None:
        return None, []
    return services if services.usable else None, list(services.problems)


def _to_discord(message: Message, zones: tuple[ZoneInfo, ...]) -> tuple[str | None, str]:
    """Send a message to Discord where a webhook is set.

    Returns: its id, or None and why not; an empty sentence where no webhook is set.
    """
    from songswap.orchestration.connections import find_webhook
    from songswap.orchestration.discord import DiscordHook

    try:
        webhook = find_webhook()
        return (DiscordHook(webhook).send(embed(message, zones)) if webhook else None), ""
    except SongSwapError as error:
        return None, str(error)
