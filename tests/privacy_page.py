"""The table of docs/privacy.md: which kinds of personal data are in which place.

Its first column has tables in backquotes, or other places in bold; its second has kinds in
backquotes. The kinds are those of the table before it.
"""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "docs/privacy.md"
_CODE = re.compile(r"`([^`]+)`")
_TABLE = "\n## What lies where\n"
_BOLD = re.compile(r"\*\*([^*]+)\*\*")


class Row(NamedTuple):
    """A row of the table: places, and the kinds that may be in each of them."""

    places: tuple[str, ...]
    kinds: frozenset[str]


def kinds() -> set[str]:
    """Return the kinds that the page explains."""
    return set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text().partition(_TABLE)[0], re.M))


def rows() -> list[Row]:
    """Return the rows of the table of places."""
    known, found = kinds(), []
    for line in PAGE.read_text().partition(_TABLE)[2].partition("\n## ")[0].splitlines():
        cells = line.strip("| ").split(" | ")
        places = tuple(_BOLD.findall(cells[0]) or _CODE.findall(cells[0]))
        if line.startswith("|") and places:
            found.append(Row(places, frozenset(_CODE.findall(cells[1])) & known))
    return found


def documented() -> dict[str, frozenset[str]]:
    """Return the kinds by place."""
    return {place: row.kinds for row in rows() for place in row.places}
