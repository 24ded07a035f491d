"""Messages as plain text, for services that are not Discord, and for the log.

What one service shows as it is, is Markdown, HTML or a mention of everybody to another. So nothing
in a message may look like markup to any of them.
"""

import re
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from songswap.alerts.message import Link, Message, label, utc
from songswap.alerts.problem import cut

_MOST = 2000
_SPECIAL = str.maketrans(
    {"<": "(", ">": ")", "[": "(", "]": ")", "|": "/", "\\": "/", "`": "'", "*": "×", "~": "-"}
    | {"@": "(at)"}
)
"""Characters that begin a tag, a link, a mention or a style in some service, and what is as good to
read. An escape would be part of the text in a service without that markup."""

_OUTER_UNDERSCORE = re.compile(r"(?<!\w)_|_(?!\w)")
"""It would begin italics; within a name it does not."""


def title(message: Message) -> str:
    """Return a message's title."""
    return _plain(message.title)


def body(message: Message, zones: Sequence[ZoneInfo]) -> str:
    """Return the rest of a message, with its time in these zones beside UTC."""
    run, at = message.run, message.at
    blocks = [cut("\n".join(map(_plain, message.lines)), _MOST), ""]
    if message.advice:
        blocks.append(_block("What to do", message.advice))
    if message.failed:
        blocks.append(_block("Failed", [message.failed]))
    if message.logs:
        blocks.append(_block("Log", message.logs))
    blocks += [
        _block("DAG", [Link(run.dag_id, run.dag_url)]),
        _block("Run", [Link(run.run_id, run.url)]),
        f"UTC: {utc(at)}",
    ]
    blocks += [f"{label(zone)}: {at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}" for zone in zones]
    return "\n".join(blocks)


def _block(name: str, lines: Sequence[str | Link]) -> str:
    """A field: on one line if it has one, else a line each."""
    texts = [
        f"{_plain(line.text)} {line.url}" if isinstance(line, Link) else _plain(line)
        for line in lines
    ]
    return f"{name}: {texts[0]}" if len(texts) == 1 else "\n".join([f"{name}:", *texts])


def _plain(text: str) -> str:
    """Replace markup; also line breaks, which could imitate a field, and a heading's mark."""
    one_line = " ".join(text.split()).lstrip("# ")
    return _OUTER_UNDERSCORE.sub("-", one_line.translate(_SPECIAL))
