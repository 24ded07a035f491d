"""Results → docs/performance.md (its table) and docs/performance.svg (cost by users)."""

import re
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).parents[1] / "docs"
_TABLE = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)
_CURVE = re.compile(r"(curve|curve of the DAG): (\d+) users, seconds")
_WIDTH, _HEIGHT, _EDGE = 640, 320, 60
_COLOURS = {"curve": "#1f6f43", "curve of the DAG": "#8a4f9e"}
_TITLES = {"curve": "one process", "curve of the DAG": "the DAG, LocalExecutor"}

Results = dict[str, Any]
Point = tuple[int, float]


def write(results: Results) -> None:
    """Bring both up to date."""
    page = _DOCS / "performance.md"
    table = "\n".join(_lines(results))
    page.write_text(_TABLE.sub(lambda m: f"{m[1]}{table}\n{m[2]}", page.read_text()))
    curves: dict[str, list[Point]] = {}
    for part in results.values():
        for one in part["figures"]:
            if found := _CURVE.fullmatch(one["what"]):
                curves.setdefault(found[1], []).append((int(found[2]), one["ours"]))
    if curves:
        drawing = _drawn({name: sorted(points) for name, points in curves.items()})
        (_DOCS / "performance.svg").write_text(drawing)


def amount(value: float | None, unit: str) -> str:
    """A value with as many digits as mean something."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f} {unit}"


def cells(part: str, figure: dict[str, Any]) -> tuple[str, ...]:
    """A figure as a row of texts."""
    ratio, met = figure["ratio"], figure["met"]
    return (
        part,
        figure["what"],
        amount(figure["ours"], figure["unit"]),
        amount(figure["reference"], figure["unit"]),
        "–" if ratio is None else f"{ratio:.2f}×",
        figure["goal"] or "–",
        "–" if met is None else "yes" if met else "no",
    )


def _lines(results: Results) -> list[str]:
    found = [cells(name, one) for name, part in results.items() for one in part["figures"]]
    shown = [row for row in found if not row[1].startswith("curve")]
    heads = [
        "| part | what | ours | reference | ratio | goal | met |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    return [*heads, *(f"| {' | '.join(row)} |" for row in shown)]


def _drawn(curves: dict[str, list[Point]]) -> str:
    """Seconds over users as lines; both axes begin at 0, so that what is linear is straight."""
    most_users = max(users for points in curves.values() for users, _ in points)
    most_s = max(took for points in curves.values() for _, took in points)

    def place(users: float, took: float) -> str:
        x = _EDGE + users / most_users * (_WIDTH - 2 * _EDGE)
        y = _HEIGHT - _EDGE - took / most_s * (_HEIGHT - 2 * _EDGE)
        return f"{x:.1f},{y:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="13" fill="#222">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        '<g stroke="#999" fill="none"><polyline points="'
        f'{place(0, most_s)} {place(0, 0)} {place(most_users, 0)}"/></g>',
        _text(_WIDTH - _EDGE, _HEIGHT - _EDGE + 20, f"{most_users:,} users", "end"),
        _text(_EDGE - 8, _EDGE + 4, f"{most_s:,.0f} s", "end"),
        _text(_EDGE - 8, _HEIGHT - _EDGE + 4, "0", "end"),
        _text(_WIDTH / 2, 24, "Seconds of an hourly load by its users, no rate limit", "middle"),
    ]
    for number, (name, points) in enumerate(curves.items()):
        colour = _COLOURS[name]
        line = " ".join(place(*point) for point in [(0, 0.0), *points])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [_dot(place(*point), colour) for point in points]
        parts.append(_text(_EDGE + 20, _EDGE + 18 * number, _TITLES[name], "start", colour))
    return "\n".join([*parts, "</svg>", ""])


def _dot(at: str, colour: str) -> str:
    x, y = at.split(",")
    return f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#222") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
