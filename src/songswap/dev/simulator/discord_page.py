"""The stored Discord messages as cards, with their Markdown as it was written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from songswap.dev.simulator.page import document, text

_MAX_MESSAGES = 200


def discord_page(messages: list[dict[str, Any]]) -> bytes:
    """Return a page of the stored messages, newest first."""
    newest = list(reversed(messages[-_MAX_MESSAGES:]))
    count = f"{len(messages):,} message{'' if len(messages) == 1 else 's'}, newest first"
    if len(messages) > _MAX_MESSAGES:
        count += f"; the newest {_MAX_MESSAGES} are shown"
    status = count if messages else "No messages yet. Failed and recovered runs appear here."
    head = f'<p class="quiet">{status} · <a href="/">the simulator</a></p>'
    return document("Simulated Discord", "\n".join([head, *map(_message, newest)]))


def _message(message: dict[str, Any]) -> str:
    name = _string(message, "username") or "webhook"
    parts = [f'<b>{text(name)}</b> <span class="quiet">{text(message["received_at"])}</span>']
    if content := _string(message, "content"):
        parts.append(f'<div class="prose">{text(content)}</div>')
    parts += map(_embed, message.get("embeds", []))
    return f'<article class="message">{"".join(parts)}</article>'


def _embed(embed: dict[str, Any]) -> str:
    parts = []
    if author := _string(embed.get("author"), "name"):
        parts.append(f'<div class="quiet">{text(author)}</div>')
    if title := _string(embed, "title"):
        parts.append(f"<h3>{_link(text(title), _string(embed, 'url'))}</h3>")
    if description := _string(embed, "description"):
        parts.append(f'<div class="prose">{text(description)}</div>')
    parts.append(_fields(embed.get("fields") or ()))
    below = [_string(embed.get("footer"), "text"), _string(embed, "timestamp")]
    if footer := " · ".join(filter(None, below)):
        parts.append(f'<p class="quiet">{text(footer)}</p>')
    return f'<div class="embed"{_color(embed.get("color"))}>{"".join(parts)}</div>'


def _fields(fields: Iterable[dict[str, Any]]) -> str:
    cells = "".join(
        f"<div{' class=inline' if field.get('inline') is True else ''}>"
        f'<b>{text(field["name"])}</b><span class="prose">{text(field["value"])}</span></div>'
        for field in fields
    )
    return f'<div class="fields">{cells}</div>' if cells else ""


def _string(fields: object, name: str) -> str:
    """Return a text, or "" for all else, since the webhook does not check every field."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else ""


def _link(shown: str, url: str) -> str:
    """Return a link if the URL is one of HTTP, else only what it shows, which is HTML already."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        return shown
    return f'<a href="{text(url)}" rel="noreferrer noopener">{shown}</a>'


def _color(value: object) -> str:
    if type(value) is not int or not 0 <= value <= 0xFFFFFF:
        return ""
    return f' style="border-color:#{value:06x}"'
