"""Messages as Discord embeds: pure, and within Discord's limits.

A title has up to 256 characters, a description 4,096, a field 1,024, an embed 6,000:
https://discord.com/developers/docs/resources/message#embed-object-embed-limits
"""

import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from songswap.alerts.message import Link, Message, label, utc
from songswap.alerts.problem import cut

Embed = dict[str, Any]

_TITLE = 256
_DESCRIPTION = 2000
"""Of Discord's 4,096, to keep the whole embed below 6,000."""

_FIELD = 1024
_MARKDOWN = re.compile(r"([\\`*_~|\[\]<>])")


def embed(message: Message, zones: Sequence[ZoneInfo]) -> Embed:
    """Build the embed of a message, with its time in these zones beside UTC."""
    run, at = message.run, message.at
    fields = []
    if message.advice:
        fields.append(_field("What to do", "\n".join(message.advice)))
    if message.failed:
        fields.append(_field("Failed", _plain(message.failed)))
    if message.logs:
        fields.append(_field("Log", _links(message.logs)))
    fields += [
        _field("DAG", _link(Link(run.dag_id, run.dag_url)), inline=True),
        _field("Run", _link(Link(run.run_id, run.url)), inline=True),
        _field("UTC", utc(at), inline=True),
    ]
    for zone in zones:
        local = f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
        fields.append(_field(label(zone), local, inline=True))
    return {
        "title": message.title[:_TITLE],
        "color": int(message.color),
        "description": cut("\n".join(map(_plain, message.lines)), _DESCRIPTION),
        "fields": fields,
        "timestamp": at.astimezone(UTC).isoformat(),
    }


def _links(links: Sequence[Link]) -> str:
    """As many links as fit: one that is cut does not work."""
    text = ""
    for link in links:
        longer = f"{text}\n{_link(link)}".strip()
        if len(longer) <= _FIELD:
            text = longer
    return text or "Airflow has them."


def _link(link: Link) -> str:
    return f"[{_plain(link.text)}]({link.url})"


def _plain(text: str) -> str:
    """Escape Markdown: an underscore would begin italics."""
    return _MARKDOWN.sub(r"\\\1", text)


def _field(name: str, value: str, *, inline: bool = False) -> dict[str, Any]:
    return {"name": name, "value": cut(value, _FIELD), "inline": inline}
