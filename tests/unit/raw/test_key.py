"""Object keys of raw answers."""

from datetime import UTC, datetime, timedelta, timezone

from songswap.raw import key


def test_the_platforms_key() -> None:
    """The key is the one that the platform's contract gives, with the hour in UTC."""
    at = datetime(2026, 11, 22, 8, 59, 59, 999000, tzinfo=UTC)
    expected = "history/spotify/user12/user12_spotify_2026-11-22_08.json"
    assert key.for_hour(12, at) == expected
    assert key.for_hour(12, at.astimezone(timezone(timedelta(hours=14)))) == expected


def test_beside() -> None:
    """Another answer lies beside the first; the same answer always at the same place."""
    first = "history/spotify/user1/user1_spotify_2026-11-22_08.json"
    other = key.beside(first, b"another answer")
    assert other.startswith("history/spotify/user1/user1_spotify_2026-11-22_08_")
    assert other.endswith(".json")
    assert other == key.beside(first, b"another answer")
    assert other != key.beside(first, b"a third answer")
