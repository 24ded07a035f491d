"""The manifest of a hand-over."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.errors import ExportRefused
from songswap.transform.handover import manifest

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)


def test_manifest_is_read_back() -> None:
    built = manifest.build("Anna", {"plays_1.jsonl": 3}, NOW)
    found = manifest.parse("m", json.dumps(built).encode())
    assert found == (manifest.VERSION, manifest.owner_digest("anna "), {"plays_1.jsonl": 3})
    assert "Anna" not in json.dumps(built)


def test_owner_is_one_user() -> None:
    """Whatever the case, width and composition of the characters."""
    assert manifest.owner_digest("JOSÉ") == manifest.owner_digest("jose\u0301")
    assert manifest.owner_digest("anna") != manifest.owner_digest("anna1")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000),
        b'{"format": "web-app", "version": 1}',
    ],
)
def test_manifest_of_another_program_is_none(content: bytes) -> None:
    assert manifest.parse("m", content) is None


@pytest.mark.parametrize(
    "change", [{"version": "x"}, {"files": {"plays_1.jsonl": {"rows": 1.5}}}, {"files": None}]
)
def test_damaged_manifest_of_ours_is_refused(change: dict[str, Any]) -> None:
    """Else its files in Spotify's form would be taken for all that there is."""
    built = manifest.build("Anna", {"plays_1.jsonl": 3}, NOW) | change
    with pytest.raises(ExportRefused, match=r"m is damaged.*Nothing was imported"):
        manifest.parse("m", json.dumps(built).encode())


@given(st.binary(max_size=50))
def test_any_bytes_are_read(content: bytes) -> None:
    assert manifest.parse("m", content) is None
