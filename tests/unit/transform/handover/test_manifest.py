"""The manifest of a hand-over."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.transform.handover import manifest

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)


def test_manifest_is_read_back() -> None:
    built = manifest.build("Anna", {"plays_1.jsonl": 3}, NOW)
    found = manifest.parse(json.dumps(built).encode())
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
        b'{"format": "songswap-export"}',
        b'{"format": "web-app", "version": 1}',
        b'{"format": "songswap-export", "version": "x"}',
    ],
)
def test_manifest_of_another_program_is_none(content: bytes) -> None:
    assert manifest.parse(content) is None


@given(st.binary(max_size=50))
def test_any_bytes_are_read(content: bytes) -> None:
    assert manifest.parse(content) is None
