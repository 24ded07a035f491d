"""Read objects without the pipeline's metadata: the system before it put them, or a copy lost it.

The system that this one replaces archived under the same keys, as plain JSON and without metadata:
in the first minute of an hour it requested the plays of the hour before, and that hour is in the
key. It only put responses with plays, some of them hours later, from the disk of a machine. Copies
of a bucket can lose the metadata of the pipeline's own objects too.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from songswap.storage.records import unpack
from songswap.transform.responses import parse_int
from songswap.web.bodies import LARGEST

_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_HOUR = timedelta(hours=1)


class NoPlays(Exception):
    """An object is whole but has no plays; the text says, for a log, what it is instead."""


def observed_at(hour: datetime, last_modified: datetime) -> datetime:
    """Return when Spotify returned the response of an object, approximately.

    The object's own time, where it is of the hour in the key (the pipeline's own) or of the one
    after it (the system before); else, as in a bucket that was copied, the end of the hour in the
    key.

    Args:
        hour: that of the key (aware, UTC).
        last_modified: when the object was put (aware).
    """
    if hour <= last_modified < hour + 2 * _HOUR:
        return last_modified.astimezone(hour.tzinfo)
    return hour + _HOUR


def response(content: bytes) -> bytes:
    """Return the response in an object: with gzip or without, a whole one or only its items.

    Raises:
        NoPlays: it is JSON without plays.
        ValueError: it is no JSON; the text completes "is …".
    """
    body = unpack(content, LARGEST) if content.startswith(_GZIP) else content
    is_utf_16 = body.startswith(_UTF_16)
    text = body.decode("utf-16" if is_utf_16 else "utf-8-sig", errors="replace").strip()
    if not text:
        raise NoPlays("is empty")
    value = _json(text)
    if isinstance(value, str):
        text = value or "null"
        value = _json(text)
    items = value.get("items") if isinstance(value, dict) else value
    if isinstance(value, dict) and "error" in value and not items:
        raise NoPlays("is an error of Spotify and no response with plays")
    if not items:
        raise NoPlays("has no plays")
    if not isinstance(items, list) or not any(map(_is_play, items)):
        raise NoPlays("is JSON, and no list of plays")
    whole = text if isinstance(value, dict) else f'{{"items": {text}}}'
    return whole.encode(errors="replace")


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_int=parse_int)
    except (ValueError, RecursionError):
        raise ValueError("neither a response of the pipeline nor JSON") from None


def _is_play(item: Any) -> bool:
    return isinstance(item, dict) and ("played_at" in item or "track" in item)
