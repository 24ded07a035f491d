"""Rows of a table as lines of CSV and of JSON Lines.

Times are in UTC and ISO 8601 with milliseconds. CSV is RFC 4180 in UTF-8: fields with commas,
quotes or line breaks are quoted, lines end with CR and LF. A text that a spreadsheet would take for
a formula has an apostrophe before it in CSV, and only there.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from songswap.transform.handover.tables import Table

Row = Mapping[str, Any]
"""A row by the names of its columns."""

# Also the full-width signs, which spreadsheets in Japanese take for the others.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def iso(moment: datetime) -> str:
    """Return a time as ``2026-11-22T18:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def csv_lines(table: Table, rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the lines of a table's CSV file, the names of its columns first."""
    names = [column.name for column in table.columns]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    yield _csv_line(text, writer, names)
    for row in rows:
        yield _csv_line(text, writer, [_cell(row[name]) for name in names])


def _csv_line(text: io.StringIO, writer: Any, cells: list[str]) -> bytes:
    writer.writerow(cells)
    line = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return line


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case datetime():
            return iso(value)
        case str():
            return f"'{value}" if value.startswith(_FORMULA) else value
    return json.dumps(value, ensure_ascii=False)


def json_line(table: Table, row: Row) -> bytes:
    """Return a row as a line of JSON with the columns of its table."""
    return (
        msgspec.json.encode({column.name: _plain(row[column.name]) for column in table.columns})
        + b"\n"
    )


def json_document(value: Mapping[str, Any]) -> bytes:
    """Return an object as JSON that people can read."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value
