"""Object keys of raw responses."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.storage import keys
from songswap.storage.keys import Place

USERS = st.integers(0, 2**31 - 1)
MOMENTS = st.integers(0, 2**31 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def test_the_platforms_key() -> None:
    """The key is the one that the platform's contract gives, with the hour in UTC."""
    at = datetime(2026, 11, 22, 8, 59, 59, 999000, tzinfo=UTC)
    expected = "history/spotify/user12/user12_spotify_2026-11-22_08.json"
    assert keys.for_hour(12, at) == expected
    assert keys.for_hour(12, at.astimezone(timezone(timedelta(hours=14)))) == expected


def test_key_beside_depends_on_the_response_only() -> None:
    """Another response has another key."""
    first = "history/spotify/user1/user1_spotify_2026-11-22_08.json"
    other = keys.beside(first, b"another response")
    assert other.startswith("history/spotify/user1/user1_spotify_2026-11-22_08_")
    assert other.endswith(".json")
    assert other == keys.beside(first, b"another response")
    assert other != keys.beside(first, b"a third response")


@given(user=USERS, moment=MOMENTS, body=st.binary())
def test_keys_are_read_as_they_are_built(user: int, moment: datetime, body: bytes) -> None:
    """A key names the user and the hour, with a digest and without."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    first = keys.for_hour(user, moment)
    for one in (first, keys.beside(first, body)):
        assert keys.parse(one) == Place(user, hour)
        assert one.startswith(keys.folder(user))
    assert keys.user_of(keys.folder(user)) == user


@given(user=USERS, moment=MOMENTS, other=MOMENTS, body=st.binary())
def test_order_of_keys(user: int, moment: datetime, other: datetime, body: bytes) -> None:
    """A listing of a user's keys goes hour by hour, and can begin with any of them."""
    hours = sorted(one.replace(minute=0, second=0, microsecond=0) for one in (moment, other))
    first, second = (keys.for_hour(user, hour) for hour in hours)
    if hours[0] < hours[1]:
        assert keys.beside(first, body) < keys.before(user, hours[1]) < second
    assert keys.before(user, hours[0]) < first < keys.beside(first, body)


@pytest.mark.parametrize(
    "foreign",
    [
        "history/spotify/user1/user2_spotify_2026-11-22_08.json",
        "history/spotify/user1/user1_spotify_2026-11-22_24.json",
        "history/spotify/user1/user1_spotify_2026-02-30_08.json",
        "history/spotify/user1/user1_spotify_2026-11-22_08.json.gz",
        "history/spotify/user1/user1_spotify_2026-11-22_08_0123.json",
        "history/spotify/user1/user1_spotify_2026-11-22_08_0123456789ABCDEF.json",
        "history/spotify/user01/user01_spotify_2026-11-22_08.json",
        "history/spotify/user3000000000/user3000000000_spotify_2026-11-22_08.json",
        "history/spotify/user1/more/user1_spotify_2026-11-22_08.json",
        "other/user1/user1_spotify_2026-11-22_08.json",
        "history/spotify/user1/notes.txt",
        "history/spotify/",
        "",
    ],
)
def test_foreign_key_is_no_response(foreign: str) -> None:
    assert keys.parse(foreign) is None


def test_rows_of_exports_are_read_by_their_kind() -> None:
    """Those of Spotify's and those that were handed over; no other."""
    for kind in ("extended", "account", "plays", "streams", "tracks"):
        assert keys.parse_export(keys.for_export(7, kind, b"[]")) == (7, kind)
    assert keys.parse_export(keys.for_export(7, "artists", b"[]")) is None
