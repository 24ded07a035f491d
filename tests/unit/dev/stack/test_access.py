"""The rights of the S3 endpoint's keys."""

import pytest

from songswap.dev.stack.access import Access, platform_access

HISTORY = "history/spotify/user1/user1_spotify_2026-11-22_08.json"
TEST_USER = "history/spotify/user0/file"


@pytest.mark.parametrize(
    ("access_key", "method", "key", "allowed"),
    [
        ("pipeline", "PUT", HISTORY, True),
        ("pipeline", "GET", HISTORY, False),
        ("pipeline", "PUT", "historyless/file", False),
        ("pipeline", "PUT", "history/file", False),
        ("pipeline", "PUT", "history/export/user1/user1_extended_0123456789abcdef.json", True),
        ("pipeline", "PUT", "", False),
        ("reader", "GET", HISTORY, True),
        ("reader", "PUT", HISTORY, False),
        ("reader", "DELETE", HISTORY, False),
        ("reader", "GET", "tests/file", False),
        ("reader", "GET", "", False),
        ("tests", "PUT", TEST_USER, True),
        ("tests", "DELETE", TEST_USER, True),
        ("tests", "GET", HISTORY, False),
        ("tests", "PUT", "tests/file", True),
        ("admin", "DELETE", HISTORY, True),
        ("admin", "PUT", "", True),
        ("stranger", "GET", "tests/file", False),
    ],
)
def test_key_may_do_exactly_what_it_may_in_production(
    access_key: str, method: str, key: str, allowed: bool
) -> None:
    assert platform_access().allows(access_key, method, key) is allowed


def test_the_file_brings_all_back() -> None:
    """What is written is what is read; secrets differ from one making to the next."""
    access = platform_access()
    assert Access.from_json(access.to_json()) == access
    assert platform_access().secrets != access.secrets
