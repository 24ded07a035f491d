"""Named statements, kept in ``.sql`` files beside the module that runs them."""

import re
from functools import cache
from importlib.resources import files

_HEADING = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def statements(file: str, package: str = "songswap.warehouse") -> dict[str, bytes]:
    """The statements of ``file`` by the name in the heading above each (``-- name: insert_plays``).

    As bytes, which psycopg takes as a trusted query. ``file`` is a path below the folder of
    ``package``.
    """
    return named(files(package).joinpath(file).read_text())


def named(text: str) -> dict[str, bytes]:
    """The statements of such a file's text."""
    _, *parts = _HEADING.split(text)
    return {name: body.strip().encode() for name, body in zip(parts[::2], parts[1::2], strict=True)}
