"""Placed tables as an SVG that needs nothing from outside."""

from collections import defaultdict
from html import escape

from catalogue import Column, Reference, Tables
from places import (
    BLUE,
    BOX,
    FOOT,
    GAP,
    GREEN,
    GREY,
    GUTTER,
    HEAD,
    MARGIN,
    PAD,
    PURPLE,
    ROW,
    SCHEMAS,
    WIDTH,
    Box,
    Frame,
    Line,
    framed,
    height,
    left,
    lines,
)

_INK, _GOLD, _EDGE, _SHADE = "#1f2328", "#9a6700", "#d0d7de", "#f6f8fa"
_BEND = 6
_MEANINGS = {
    GREEN: "written by the web app",
    BLUE: "by the pipeline, for the platform",
    PURPLE: "what exports tell",
    GREY: "bookkeeping",
}
# As the migrations write them.
_TYPES = {
    "character varying": "varchar",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "double precision": "float",
}


def svg(tables: Tables, references: list[Reference]) -> str:
    """The whole picture.

    Raises:
        ValueError: a table or a reference has no place.
    """
    frames, boxes = framed(tables)
    bottom = max(frame.bottom for frame in frames) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}"'
        ' font-family="system-ui, sans-serif" font-size="12" role="img" aria-labelledby="title">',
        '<title id="title">All tables with their columns and keys, by who writes them</title>',
        *_definitions(),
        f'<rect width="{WIDTH}" height="{bottom}" fill="#fff"/>',
        *_legend(),
    ]
    for schema, note in SCHEMAS.items():
        y = min(frame.top for frame in frames if frame.group.schema == schema) - GAP
        parts.append(_text(MARGIN, y, f"schema {schema}", size=15, weight=600))
        parts.append(_text(left(1) - PAD, y, note, GREY, size=13))
    parts += [part for frame in frames for part in _frame(frame)]
    parts += _paths(lines(tables, boxes, references))
    parts += [part for table, box in boxes.items() for part in _table(table, box, tables[table])]
    return "\n".join([*parts, "</svg>", ""])


def _definitions() -> list[str]:
    """The tips of lines, by colour, and the signs before columns."""
    tips = [
        f'<marker id="{_tip(colour)}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6"'
        f' markerHeight="6" orient="auto"><path d="M0 0 10 5 0 10z" fill="{colour}"/></marker>'
        for colour in _MEANINGS
    ]
    key = (
        f'<g id="key" fill="none" stroke="{_GOLD}" stroke-width="1.6">'
        '<circle cx="3" r="2.5"/><path d="M5.5 0H12M9 0V3M12 -.8V3"/></g>'
    )
    null = f'<circle id="null" cx="6" r="2.8" fill="none" stroke="{GREY}" stroke-width="1.1"/>'
    return ["<defs>", *tips, key, null, "</defs>"]


def _tip(colour: str) -> str:
    return f"tip{colour[1:]}"


def _legend() -> list[str]:
    """What the colours and the signs mean, in one row."""
    square = 'y="15" width="14" height="14" rx="3" fill-opacity=".14"'
    signs = [
        (f'<rect x="{{x}}" {square} fill="{colour}" stroke="{colour}"/>', meaning)
        for colour, meaning in _MEANINGS.items()
    ]
    signs += [
        ('<use href="#key" x="{x}" y="22"/>', "primary key"),
        ('<use href="#null" x="{x}" y="22"/>', "may be NULL"),
        (
            f'<path d="M{{x}} 22h17" stroke="{GREY}" stroke-width="1.6"'
            f' marker-end="url(#{_tip(GREY)})"/>',
            "foreign key",
        ),
    ]
    parts = []
    x = MARGIN
    for sign, meaning in signs:
        parts += [sign.format(x=x), _text(x + 22, 27, meaning, size=13)]
        x += 54 + 7 * len(meaning)
    return parts


def _frame(frame: Frame) -> list[str]:
    group, top, bottom = frame
    x = left(group.stack) - PAD
    width = len(group.tables) * (BOX + GUTTER) - GUTTER + 2 * PAD
    return [
        f'<rect x="{x}" y="{top}" width="{width}" height="{bottom - top}" rx="12"'
        f' fill="{_SHADE}" stroke="{_EDGE}"/>',
        _text(x + PAD, top + 20, group.title, group.colour, size=14, weight=600),
        _text(x + PAD, top + 36, group.note, GREY, size=11),
    ]


def _paths(drawn: list[Line]) -> list[str]:
    """Lines to one end as one path: drawn one over another, they would look thicker there."""
    trunks: dict[tuple[tuple[int, int], str], list[str]] = defaultdict(list)
    for line in drawn:
        trunks[line.end, line.colour].append(_way(line))
    return [
        f'<path d="{"".join(ways)}" fill="none" stroke="{colour}" stroke-width="1.6"'
        f' marker-end="url(#{_tip(colour)})"/>'
        for (_, colour), ways in trunks.items()
    ]


def _way(line: Line) -> str:
    (x, y), lane, (to_x, to_y), _ = line
    if y == to_y:
        return f"M{x} {y}H{to_x}"
    down = _BEND if to_y > y else -_BEND
    before = _BEND if x < lane else -_BEND
    after = _BEND if to_x > lane else -_BEND
    return (
        f"M{x} {y}H{lane - before:g}Q{lane:g} {y} {lane:g} {y + down}"
        f"V{to_y - down}Q{lane:g} {to_y} {lane + after:g} {to_y}H{to_x}"
    )


def _table(table: str, box: Box, columns: list[Column]) -> list[str]:
    x, top = left(box.stack), box.top
    shape = f'x="{x}" y="{top}" width="{BOX}" height="{height(columns)}" rx="8"'
    band = f"M{x} {top + HEAD - FOOT}V{top + 8}q0 -8 8 -8h{BOX - 16}q8 0 8 8V{top + HEAD - FOOT}z"
    parts = [
        f'<rect {shape} fill="#fff"/>',
        f'<path d="{band}" fill="{box.colour}" fill-opacity=".14"/>',
        f'<rect {shape} fill="none" stroke="{box.colour}"/>',
        _text(x + 10, top + 16, table.partition(".")[2], size=13, weight=600),
    ]
    for row, column in enumerate(columns):
        y = top + HEAD + ROW * row + 14
        if column.key or column.nullable:
            sign = "key" if column.key else "null"
            parts.append(f'<use href="#{sign}" x="{x + 8}" y="{y - 4}"/>')
        parts.append(_text(x + 26, y, column.name))
        parts.append(_text(x + BOX - 9, y, _short(column.type), GREY, size=11, anchor="end"))
    return parts


def _short(name: str) -> str:
    for long, short in _TYPES.items():
        name = name.replace(long, short)
    return name


def _text(
    x: int,
    y: int,
    text: str,
    colour: str = _INK,
    *,
    size: int = 12,
    weight: int = 400,
    anchor: str = "start",
) -> str:
    look = f' font-size="{size}"' if size != 12 else ""
    look += f' font-weight="{weight}"' if weight != 400 else ""
    look += f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x}" y="{y}" fill="{colour}"{look}>{escape(text)}</text>'
