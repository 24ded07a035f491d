"""Which servers and databases are refused: pure."""

import pytest

from songswap.warehouse.server import unsupported


@pytest.mark.parametrize("version", [110000, 110022, 150004, 180006, 190000])
def test_server_from_11_on_with_utf8_is_accepted(version: int) -> None:
    """A pooler may not report the encoding."""
    assert unsupported(version, "UTF8") is None
    assert unsupported(version, "") is None


@pytest.mark.parametrize(
    ("version", "value"), [(100023, "version 10,"), (90624, "version 9.x"), (80400, "version 8.x")]
)
def test_old_server_names_its_version_and_what_is_needed(version: int, value: str) -> None:
    sentence = unsupported(version, "UTF8") or ""
    assert value in sentence
    assert "11 or later is needed" in sentence


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252", "EUC_JP"])
def test_wrong_encoding_says_how_to_make_a_database(encoding: str) -> None:
    sentence = unsupported(180000, encoding) or ""
    assert f"its encoding is {encoding}" in sentence
    assert "ENCODING 'UTF8'" in sentence
