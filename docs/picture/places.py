"""Where tables and the lines between them stand in the picture; lengths in pixels.

tables ──▶ stacks of boxes, framed by group ──▶ lines in the gutters between the stacks
"""

from collections import defaultdict
from typing import NamedTuple

from catalogue import Column, Reference, Tables

GREEN, BLUE, PURPLE, GREY = "#1a7f37", "#0969da", "#8a4f9e", "#57606a"

BOX, GUTTER, PAD, MARGIN = 232, 66, 13, 16
ROW, HEAD, FOOT, GAP, TITLE = 18, 25, 4, 14, 46
_LEGEND, _SCHEMA, _STACKS = 44, 38, 4
WIDTH = 2 * (MARGIN + PAD) + _STACKS * BOX + (_STACKS - 1) * GUTTER

SCHEMAS = {
    "public": "the platform's tables, as its contract gives them",
    "songswap": "the pipeline's own tables",
}


class Group(NamedTuple):
    """Tables that belong together, in stacks side by side; ``stack`` is the first one's number."""

    schema: str
    stack: int
    colour: str
    title: str
    note: str
    tables: tuple[tuple[str, ...], ...]


_TRACKS = ("Tracks", "TrackImages", "TrackPopularity", "TrackPreviews")
_ARTISTS = ("Artists", "ArtistImages", "ArtistPopularity", "ArtistFollowers", "ArtistGenres")
_OF_USERS = ("polls", "grants", "tokens", "token_exchanges", "gaps", "rejected_items")
_OF_EXPORTS = ("streams", "imports", "export_tracks", "estimated_durations")
_OF_APPS = ("budgets", "requests", "pauses", "refusals")

# fmt: off
GROUPS = (
    Group("public", 0, GREEN, "Users", "their tokens: renewed by the pipeline",
        (("Users", "SpotifyTokens"),)),
    Group("public", 0, BLUE, "Plays", "who played what, and when",
        (("History",),)),
    Group("public", 1, BLUE, "Tracks", "what Spotify tells of them; features from ReccoBeats, too",
        (_TRACKS, ("ArtistTracks", "TrackFeatures"))),
    Group("public", 3, BLUE, "Artists", "what Spotify tells of them",
        (_ARTISTS,)),
    Group("songswap", 0, GREY, "Bookkeeping: users", "when asked, and what is missing",
        (_OF_USERS,)),
    Group("songswap", 1, PURPLE, "What exports tell", "and which of it became plays",
        (_OF_EXPORTS,)),
    Group("songswap", 2, GREY, "Bookkeeping: runs", "what each of them did",
        (("runs", "steps", "notices"),)),
    Group("songswap", 2, GREY, "Bookkeeping: metadata", "what to ask, and what was mended",
        (("metadata", "track_forms", "notes"),)),
    Group("songswap", 3, GREY, "Bookkeeping: requests", "what an app may ask, and when",
        (_OF_APPS,)),
    Group("songswap", 3, GREY, "Bookkeeping: the schema", "its version: songswap migrate",
        (("schema_version",),)),
)
# fmt: on


class Box(NamedTuple):
    """A table's: the number of its stack, its upper edge, the colour of its group."""

    stack: int
    top: int
    colour: str


class Frame(NamedTuple):
    """A group's upper and lower edge."""

    group: Group
    top: int
    bottom: int


class Line(NamedTuple):
    """From a column to the one it refers to, along ``lane``, an x between two stacks."""

    start: tuple[int, int]
    lane: float
    end: tuple[int, int]
    colour: str


def left(stack: int) -> int:
    """The left edge of a stack's boxes."""
    return MARGIN + PAD + stack * (BOX + GUTTER)


def height(columns: list[Column]) -> int:
    """Of a table's box."""
    return HEAD + ROW * len(columns) + FOOT


def framed(tables: Tables) -> tuple[list[Frame], dict[str, Box]]:
    """All groups and tables in their places, schema below schema.

    Raises:
        ValueError: a table has no place in `GROUPS`, or a place has no table.
    """
    known = {f"{one.schema}.{name}" for one in GROUPS for stack in one.tables for name in stack}
    if stray := sorted(known ^ tables.keys()):
        raise ValueError(f"Either not in the database or not in GROUPS of {__file__}: {stray}.")
    frames: list[Frame] = []
    boxes: dict[str, Box] = {}
    top = _LEGEND
    for schema in SCHEMAS:
        free = [top + _SCHEMA] * _STACKS
        own = [_settled(one, tables, free, boxes) for one in GROUPS if one.schema == schema]
        top = max(free)
        frames += [_stretched(one, own, top - GAP) for one in own]
    return frames, boxes


def _settled(group: Group, tables: Tables, free: list[int], boxes: dict[str, Box]) -> Frame:
    """A group at the first free place of its stacks, which it takes."""
    stacks = range(group.stack, group.stack + len(group.tables))
    top = max(free[stack] for stack in stacks)
    for stack, names in zip(stacks, group.tables, strict=True):
        free[stack] = top + TITLE
        for name in names:
            table = f"{group.schema}.{name}"
            boxes[table] = Box(stack, free[stack], group.colour)
            free[stack] += height(tables[table]) + GAP
    bottom = max(free[stack] for stack in stacks)
    for stack in stacks:
        free[stack] = bottom + GAP
    return Frame(group, top, bottom)


def _stretched(frame: Frame, others: list[Frame], bottom: int) -> Frame:
    """The last frame of a stack reaches as far down as the lowest of all."""
    stack = frame.group.stack
    last = all(one.top <= frame.top for one in others if one.group.stack == stack)
    return frame._replace(bottom=bottom) if last else frame


def lines(tables: Tables, boxes: dict[str, Box], references: list[Reference]) -> list[Line]:
    """All references; those to one table share a lane of a gutter.

    Raises:
        ValueError: tables lie between the two of a reference.
    """
    gutters = {one: _gutter(one, boxes) for one in references}
    lanes: dict[int, list[str]] = defaultdict(list)
    for one in sorted(references, key=lambda one: boxes[one.target].stack):
        if one.target not in lanes[gutters[one]]:
            lanes[gutters[one]].append(one.target)
    found = []
    for one, gutter in gutters.items():
        sharing = lanes[gutter]
        space = (GUTTER - 2 * PAD) / (len(sharing) + 1)
        lane = left(gutter) + BOX + PAD + space * (sharing.index(one.target) + 1)
        start = _socket(boxes[one.table], gutter, tables[one.table], one.column)
        end = _socket(boxes[one.target], gutter, tables[one.target], one.target_column)
        found.append(Line(start, lane, end, boxes[one.target].colour))
    return found


def _gutter(reference: Reference, boxes: dict[str, Box]) -> int:
    """The gutter that both ends touch, by the number of the stack on its left."""
    own, target = boxes[reference.table].stack, boxes[reference.target].stack
    if abs(own - target) > 1:
        raise ValueError(
            f"{reference.table} refers to {reference.target}, and there are tables between."
            f" Place them in one stack or in two that touch, in GROUPS of {__file__}."
        )
    return min(own, target) if own != target else max(own - 1, 0)


def _socket(box: Box, gutter: int, columns: list[Column], name: str) -> tuple[int, int]:
    """Where a line meets the row of a column."""
    row = [column.name for column in columns].index(name)
    x = left(box.stack) + (BOX if box.stack == gutter else 0)
    return x, box.top + HEAD + ROW * row + ROW // 2 + 1
