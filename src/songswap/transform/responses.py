"""Read a response without losing what is whole in a broken one.

A response is decoded in one pass into one of the `shapes`. When that fails anywhere, it is read
again leniently: each value of a wrong type is taken out alone and named by its path, so that one
broken field never costs its neighbours.
"""

import json
import math
from functools import cache, partial
from itertools import repeat
from types import UnionType
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

MISSING = "missing"
WRONG_TYPE = "wrong type"

BROKEN = (msgspec.MsgspecError, ValueError, RecursionError)
"""The errors of decoding a body that is not wholly of its shape."""

Entry = TypeVar("Entry")
Page = TypeVar("Page", bound=msgspec.Struct)
Problems = dict[str, str]
NONE: Problems = {}


class Parsed(NamedTuple, Generic[Entry]):
    """One entry of a response's list.

    ``value`` is None for a null and for anything but an object; ``problems`` maps the path of each
    value that was taken out to what was wrong ("" is the entry itself); ``raw`` is the JSON of an
    entry that was read leniently.
    """

    value: Entry | None
    problems: Problems
    raw: Any = None


_parsed = partial(tuple.__new__, Parsed)


def read(body: bytes, page: type[msgspec.Struct], entry: type[Entry]) -> list[Parsed[Entry]] | None:
    """Read the one list of a response.

    Args:
        body: the response's body as it came, whatever it is.
        page: the shape of the response.
        entry: the shape of the entries of its list.

    Returns:
        The entries in their order, or None when the body is no such response at all.
    """
    parsed = read_page(body, page, entry)
    return parsed and parsed[0]


def read_page(
    body: bytes, page: type[Page], entry: type[Entry]
) -> tuple[list[Parsed[Entry]], Page] | None:
    """Read the list of a response, and the fields beside it; otherwise as `read`.

    Returns:
        The entries, and the response, whose other fields may be of any type.
    """
    try:
        whole = decode(body, page)
    except BROKEN:
        return _read_leniently(body, page, entry)
    entries = getattr(whole, _list_of(page))
    if entries is None:
        return None
    return [*map(_parsed, zip(entries, repeat(NONE), repeat(None)))], whole


def decode(body: bytes, page: type[Page]) -> Page:
    """Decode a response that is wholly of its shape.

    Raises:
        BROKEN: a value in it is of a wrong type, or it is no JSON.
    """
    whole: Page = _decoder(page).decode(body)
    return whole


def _list_of(page: type[msgspec.Struct]) -> str:
    """Return the name of a response's one list."""
    return page.__struct_fields__[0]


@cache
def _decoder(page: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(page)


def _read_leniently(
    body: bytes, page: type[Page], entry: type[Entry]
) -> tuple[list[Parsed[Entry]], Page] | None:
    try:
        # The standard decoder takes lone surrogates and NaN, which must not cost the response.
        text = body.decode("utf-8-sig", errors="replace")
        whole = json.loads(text, parse_int=parse_int)
    except (ValueError, RecursionError):
        return None
    name, *others = page.__struct_fields__
    entries = whole.get(name) if isinstance(whole, dict) else None
    if not isinstance(entries, list):
        return None
    beside = page(**{other: whole.get(other) for other in others})
    return [parse_leniently(raw, entry) for raw in entries], beside


def parse_leniently(raw: Any, kind: type[Entry]) -> Parsed[Entry]:
    """Parse a value of JSON as ``kind``, without the parts that are of a wrong type."""
    problems: Problems = {}
    return Parsed(_parse(raw, kind, "", problems), problems, raw)


def parse_int(digits: str) -> int | float:
    """Parse an integer of JSON; one that is absurdly long becomes infinite, and is taken out.

    The standard parser would refuse it, and with it the whole response.
    """
    return int(digits) if len(digits) < 30 else float(digits)


def _parse(value: Any, kind: Any, path: str, problems: Problems) -> Any:
    """Parse ``value`` as ``kind``; adds everything of a wrong type to ``problems``."""
    if value is None:
        return None
    if isinstance(kind, UnionType):
        # Text or a number, see `exports.rows`.
        kind = str if isinstance(value, str) else float
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(
            **{
                name: _parse(value.get(name), inner, f"{path}.{name}".lstrip("."), problems)
                for name, inner in _fields(kind).items()
            }
        )
    if isinstance(value, list) and get_origin(kind) is list:
        inner = _without_none(get_args(kind)[0])
        return [_parse(element, inner, path, problems) for element in value]
    number = _as_number(value, kind)
    if number is not None:
        return number
    if kind in (str, bool) and isinstance(value, kind):
        return value
    problems[path] = WRONG_TYPE
    return None


def _as_number(value: Any, kind: Any) -> int | float | None:
    """Return a number as ``kind`` where nothing of it is lost: 35.0 is 35, true is not 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind is int:
        if isinstance(value, float):
            return int(value) if math.isfinite(value) and value.is_integer() else None
        return value
    if kind is float:
        try:
            return float(value)
        except OverflowError:
            return None
    return None


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: _without_none(hint) for name, hint in get_type_hints(kind).items()}


def _without_none(hint: Any) -> Any:
    if isinstance(hint, UnionType) and len(get_args(hint)) == 2:
        return next(kind for kind in get_args(hint) if kind is not type(None))
    return hint
