"""Write the results into docs/performance.md (a table) and docs/performance.svg (a chart)."""

import re
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).parents[1] / "docs"
_TABLE = re.compile(r"(<!-- measurements -->\n).*?(<!-- end -->)", re.DOTALL)
_CURVE = re.compile(r"(curve|curve of the DAG): (\d+) users, seconds")
_CURVES = {"curve": "one process", "curve of the DAG": "the DAG, LocalExecutor"}
_GREY = "#7d8590"
"""Readable on a white page and on a dark one."""
_STYLE = {
    **dict.fromkeys(("background", "plot_background"), "transparent"),
    **dict.fromkeys(("foreground", "foreground_strong", "foreground_subtle"), _GREY),
    **dict.fromkeys(("guide_stroke_color", "major_guide_stroke_color"), _GREY),
    **dict.fromkeys(("label_font_size", "major_label_font_size"), 13),
    "colors": ("#2da44e", "#a371f7"),
    "font_family": "sans-serif",
    "opacity": "1",
    "stroke_opacity": "1",
    "stroke_width": "2",
}

Results = dict[str, Any]
Point = tuple[int, float]


def write(results: Results) -> None:
    """Update the table and the chart."""
    page = _DOCS / "performance.md"
    table = "\n".join(_table(results))
    page.write_text(_TABLE.sub(lambda m: f"{m[1]}{table}\n{m[2]}", page.read_text()))
    curves: dict[str, list[Point]] = {}
    for part in results.values():
        for measurement in part["measurements"]:
            if match := _CURVE.fullmatch(measurement["what"]):
                curves.setdefault(match[1], []).append((int(match[2]), measurement["ours"]))
    if curves:
        (_DOCS / "performance.svg").write_text(_chart(curves))


def amount(value: float | None, unit: str) -> str:
    """Format a value with as many digits as are significant."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f} {unit}"


def cells(part: str, measurement: dict[str, Any]) -> tuple[str, ...]:
    """Format a measurement as a row of texts."""
    ratio, met = measurement["ratio"], measurement["met"]
    return (
        part,
        measurement["what"],
        amount(measurement["ours"], measurement["unit"]),
        amount(measurement["reference"], measurement["unit"]),
        "–" if ratio is None else f"{ratio:.2f}×",
        measurement["goal"] or "–",
        "–" if met is None else "yes" if met else "no",
    )


def _table(results: Results) -> list[str]:
    rows = [cells(name, row) for name, part in results.items() for row in part["measurements"]]
    return [
        "| part | what | ours | reference | ratio | goal | met |",
        "|---|---|--:|--:|--:|--:|---|",
        *(f"| {' | '.join(row)} |" for row in rows if not row[1].startswith("curve")),
    ]


def _chart(curves: dict[str, list[Point]]) -> str:
    """Draw seconds by users; both axes begin at 0, so that linear growth is a straight line."""
    # Here, because pygal adds an import hook of the old kind, about which Python 3.11 warns.
    import pygal  # type: ignore[import-untyped]  # it has no types
    from pygal.style import Style  # type: ignore[import-untyped]  # as above

    most_users = max(users for points in curves.values() for users, _ in points)
    most_s = max(took for points in curves.values() for _, took in points)
    chart = pygal.XY(
        style=Style(**_STYLE),
        width=640,
        height=320,
        margin_right=30,
        js=(),  # nothing is fetched from outside
        no_prefix=True,
        disable_xml_declaration=True,
        title="Seconds of an hourly load by users, without a rate limit",
        x_title="users",
        y_title="seconds",
        xrange=(0, most_users),
        range=(0, most_s),
        max_scale=6,
        value_formatter=lambda took: f"{took:,.0f}",
        x_value_formatter=lambda users: f"{users:,.0f}",
        legend_at_bottom=True,
        dots_size=3.5,
    )
    for name, points in curves.items():
        chart.add(_CURVES[name], [(0, 0), *sorted(points)])
    return str(chart.render(is_unicode=True)) + "\n"
