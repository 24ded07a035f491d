"""Objects without the pipeline's metadata: those of the system before it, and copies of its own.

The system that this one replaces archived under the same keys, as plain JSON and without metadata:
at the first minute of an hour it asked for the plays of the hour before, and that hour is in the
key. Only answers that told of plays were put, some of them hours later, from the disk of a machine.
Copies of a bucket can lose the metadata of the pipeline's own objects too.
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


class OfNoUse(Exception):
    """An object is whole, and tells of no plays; the text says what it is, in words for a log."""


def observed(hour: datetime, last_modified: datetime) -> datetime:
    """When Spotify gave the answer of an object that does not say it.

    The object's own time, where it is of the hour in the key (the pipeline's own) or of the one
    after it (the system before); the end of the hour in the key where it is neither, as in a
    bucket that was copied.

    Args:
        hour: that of the key (aware, UTC).
        last_modified: when the object was put (aware).
    """
    if hour <= last_modified < hour + 2 * _HOUR:
        return last_modified.astimezone(hour.tzinfo)
    return hour + _HOUR


def answer(content: bytes) -> bytes:
    """The answer that an object holds: with gzip or without, a whole one or only its items.

    Raises:
        OfNoUse: it is JSON, and tells of no plays.
        ValueError: it is neither; the text says what it is not.
    """
    body = unpack(content, LARGEST) if content.startswith(_GZIP) else content
    is_utf_16 = body.startswith(_UTF_16)
    text = body.decode("utf-16" if is_utf_16 else "utf-8-sig", errors="replace").strip()
    if not text:
        raise OfNoUse("is empty")
    told = _json(text)
    if isinstance(told, str):
        text = told or "null"
        told = _json(text)
    items = told.get("items") if isinstance(told, dict) else told
    if isinstance(told, dict) and "error" in told and not items:
        raise OfNoUse("is an error of Spotify and no answer")
    if not items:
        raise OfNoUse("tells of no plays")
    if not isinstance(items, list) or not any(map(_is_play, items)):
        raise OfNoUse("is JSON, and no list of plays")
    whole = text if isinstance(told, dict) else f'{{"items": {text}}}'
    return whole.encode(errors="replace")


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_int=parse_int)
    except (ValueError, RecursionError):
        raise ValueError("neither an answer of the pipeline nor JSON") from None


def _is_play(item: Any) -> bool:
    return isinstance(item, dict) and ("played_at" in item or "track" in item)
