"""Rows as CSV and JSON Lines: what is read back is what was stored."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.transform.handover.lines import csv_lines, iso, json_document, json_line
from songswap.transform.handover.tables import Column, Table

TABLE = Table("x", "", "", "", "", tuple(Column(name, "") for name in ("a", "b", "c")))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = (
    st.none() | st.booleans() | st.integers(0, 2**31) | TEXTS | st.datetimes(timezones=st.just(UTC))
)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys("abc", VALUES)), max_size=5)


def cells(*rows: dict[str, Any]) -> list[list[str]]:
    """The rows of a CSV file, without its head, as a program reads it."""
    text = b"".join(csv_lines(TABLE, rows)).decode()
    head, *found = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert head == ["a", "b", "c"]
    return found


def row(value: Any) -> dict[str, Any]:
    return {"a": value, "b": "", "c": None}


@given(ROWS)
def test_csv_has_every_value_in_its_place(rows: list[dict[str, Any]]) -> None:
    """But for the apostrophe before what a spreadsheet would compute."""
    found = cells(*rows)
    assert len(found) == len(rows)
    for given_row, read in zip(rows, found, strict=True):
        for value, text in zip(map(given_row.get, "abc"), read, strict=True):
            if isinstance(value, str):
                assert text in (value, f"'{value}")
                assert text[:1] not in set("=+-@\t\r\n＝＋－＠")  # noqa: RUF001  (these are meant)
            elif isinstance(value, bool):
                assert text == str(value).lower()
            elif isinstance(value, datetime):
                assert abs(datetime.fromisoformat(text) - value) < timedelta(milliseconds=1)
            else:
                assert text == ("" if value is None else str(value))


@given(ROWS)
def test_json_lines_have_the_exact_values(rows: list[dict[str, Any]]) -> None:
    lines = b"".join(json_line(TABLE, each) for each in rows).splitlines()
    assert len(lines) == len(rows)
    for given_row, line in zip(rows, lines, strict=True):
        read = json.loads(line)
        assert list(read) == ["a", "b", "c"]
        for name, value in given_row.items():
            assert read[name] == (iso(value) if isinstance(value, datetime) else value)


@pytest.mark.parametrize("text", ["=1+1", "+44", "-", "@a", "\tx", "\rx", "\uff1dx"])
def test_text_that_looks_like_a_formula_is_text(text: str) -> None:
    """A track's name must not run in anybody's spreadsheet; JSON has it as it is."""
    assert cells(row(text)) == [[f"'{text}", "", ""]]
    assert json.loads(json_line(TABLE, row(text)))["a"] == text


@pytest.mark.parametrize("text", ["a=b", "'", "1-2", "Ünï", 'say "x", y', "two\nlines"])
def test_other_text_stays(text: str) -> None:
    assert cells(row(text)) == [[text, "", ""]]


def test_lines_end_as_the_rfc_says() -> None:
    assert [*csv_lines(TABLE, [row("a,b")])] == [b"a,b,c\r\n", b'"a,b",,\r\n']


def test_lists_are_json_in_a_cell() -> None:
    assert json.loads(cells(row([{"id": "ä"}]))[0][0]) == [{"id": "ä"}]


def test_times_are_utc_with_milliseconds() -> None:
    at = datetime(2026, 11, 22, 20, 0, 0, 1999, timezone(timedelta(hours=2)))
    assert iso(at) == "2026-11-22T18:00:00.001Z"
    assert json.loads(json_document({"at": at})) == {"at": "2026-11-22T18:00:00.001Z"}
