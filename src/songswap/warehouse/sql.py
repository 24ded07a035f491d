"""Named statements, in ``.sql`` files beside the modules that execute them."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg

_HEADING = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def statements(file: str, package: str = "songswap.warehouse") -> dict[str, bytes]:
    """Return the statements of a file by the name above each (``-- name: insert_plays``).

    They are bytes, which psycopg takes as a trusted query. ``file`` is a path below the folder of
    ``package``.
    """
    return named(files(package).joinpath(file).read_text())


def named(text: str) -> dict[str, bytes]:
    """Return the statements in the text of such a file."""
    _, *parts = _HEADING.split(text)
    return {name: body.strip().encode() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def scalar(cursor: psycopg.Cursor) -> Any:
    """Return the value of a result with one row and one column."""
    ((value,),) = cursor.fetchall()
    return value
