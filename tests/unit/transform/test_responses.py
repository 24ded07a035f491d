"""Read responses: strictly and leniently with the same result."""

import json

import pytest
from spotify_json import track

from songswap.transform import responses, shapes


def read(text: str | bytes) -> list[responses.Parsed[shapes.Track]] | None:
    body = text if isinstance(text, bytes) else text.encode()
    return responses.read(body, shapes.Tracks, shapes.Track)


def test_whole_entry_reads_the_same_beside_a_broken_one() -> None:
    alone = read(json.dumps({"tracks": [track(1)]}))
    beside = read(json.dumps({"tracks": [track(1), {"id": 5}]}))
    assert alone is not None
    assert beside is not None
    assert alone[0].value == beside[0].value
    assert beside[1].problems == {"id": responses.WRONG_TYPE}


@pytest.mark.parametrize(
    ("written", "value"),
    [("35", 35), ("35.0", 35), ("3.5e1", 35), ("35.5", None), ("true", None), ('"35"', None)],
)
def test_whole_number_is_accepted_however_it_is_written(written: str, value: int | None) -> None:
    """Nothing is rounded into one."""
    entries = read('{"tracks": [{"id": "x", "popularity": ' + written + "}]}")
    assert entries is not None
    assert entries[0].value is not None
    assert entries[0].value.popularity == value
    assert entries[0].problems == ({} if value else {"popularity": responses.WRONG_TYPE})


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 400, "1e999", "NaN", "Infinity"])
def test_absurd_number_costs_itself(number: str) -> None:
    """No number, however long, costs more than its field."""
    entries = read('{"tracks": [{"id": "x", "name": "N", "duration_ms": ' + number + "}]}")
    assert entries is not None
    assert entries[0].value is not None
    assert entries[0].value.name == "N"
    assert entries[0].value.duration_ms is None or entries[0].value.duration_ms < -(10**300)


@pytest.mark.parametrize(
    "body",
    [
        b'{"tracks": [{"id": "x", "name": "\\ud83c"}, {"id": "y"}]}',
        b'{"tracks": [{"id": "x", "name": "\xff\xfe"}, {"id": "y"}]}',
        b'\xef\xbb\xbf{"tracks": [{"id": "x"}, {"id": "y"}]}',
    ],
)
def test_broken_text_costs_itself(body: bytes) -> None:
    """Half a surrogate, bytes that are no UTF-8 or a byte order mark cost no entry."""
    entries = read(body)
    assert entries is not None
    assert [entry.value.id for entry in entries if entry.value] == ["x", "y"]
