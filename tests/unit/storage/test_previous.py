"""Objects without the pipeline's metadata, such as those of the system before it."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.models import Catalogue
from songswap.storage.previous import NoPlays, observed_at, response
from songswap.transform.recent_plays import transform

HOUR = datetime(2026, 11, 22, 8, tzinfo=UTC)
PLAY = {
    "track": {"id": "4uLU6hMCjMI75M1A2tKUQC", "name": "Ä", "type": "track", "artists": []},
    "played_at": "2026-11-22T08:15:00.250Z",
}
PAGE = {
    "items": [PLAY],
    "next": "https://api.spotify.com/v1/me/player/recently-played?after=1795335300250&limit=50",
    "cursors": {"after": "1795335300250", "before": "1795335300250"},
    "limit": 50,
}
TEXT = json.dumps(PAGE)


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        json.dumps(PAGE, ensure_ascii=False, indent=4).encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        b"\n  " + TEXT.encode() + b"\r\n\r\n",
        TEXT.encode("utf-16"),
        gzip.compress(TEXT.encode(), mtime=0),
        gzip.compress(b"\xef\xbb\xbf " + TEXT.encode(), mtime=0),
        json.dumps(PAGE["items"]).encode(),
        json.dumps(TEXT).encode(),
        json.dumps({"items": [PLAY, None, 5], "error": {"status": 200}}).encode(),
    ],
)
def test_response_in_any_form_is_read(content: bytes) -> None:
    """With gzip or without, whole or only its items."""
    history = transform(response(content), 1, HOUR + timedelta(hours=1), Catalogue())
    assert [(play.track_id, play.played_at.minute) for play in history.plays] == [
        ("4uLU6hMCjMI75M1A2tKUQC", 15)
    ]
    assert not history.full


@pytest.mark.parametrize(
    ("content", "said"),
    [
        *(
            (content, "empty")
            for content in (b"", b" \n\t", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0))
        ),
        *((content, "no plays") for content in (b"null", b"{}", b"[]", b'""', b"0", b"false")),
        *((content, "no plays") for content in (b'{"items": []}', b'{"items": null, "limit": 50}')),
        (b'{"error": {"status": 401, "message": "The access token expired"}}', "error of Spotify"),
        (b'{"error": "invalid_grant", "error_description": "x"}', "error of Spotify"),
        *(
            (content, "no list of plays")
            for content in (b"[1, 2]", b'{"items": "x"}', b"5", b"true")
        ),
        (b'{"items": {"played_at": "x"}}', "no list of plays"),
    ],
)
def test_json_without_plays_is_unusable(content: bytes, said: str) -> None:
    with pytest.raises(NoPlays, match=said):
        response(content)


@pytest.mark.parametrize(
    "content",
    [
        TEXT[:-9].encode(),
        gzip.compress(TEXT.encode(), mtime=0)[:-9],
        b"<html>",
        b"\x1f\x8b",
        b"\x00" * 9,
    ],
)
def test_cut_or_invalid_json_is_damaged(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"neither a response|not a whole gzip"):
        response(content)


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_any_content_is_a_response_unusable_or_damaged(content: bytes) -> None:
    try:
        json.loads(response(content))
    except (NoPlays, ValueError):
        return


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (60, 60),  # the system before: the first minutes of the next hour
        (61.5, 61.5),
        (119, 119),
        (0, 0),  # the pipeline's own, whose copy lost its metadata
        (59, 59),
        (-1, 60),  # a clock that is wrong
        (120, 60),  # put later, from the disk of a machine
        (60 * 24 * 365, 60),  # a copied bucket
    ],
)
def test_time_of_a_response_follows_from_object_and_key(minutes: float, expected: float) -> None:
    """The object's own time holds where it fits the key, else the end of the key's hour."""
    put = (HOUR + timedelta(minutes=minutes)).astimezone(timezone(timedelta(hours=-8)))
    assert observed_at(HOUR, put) == HOUR + timedelta(minutes=expected)
    assert observed_at(HOUR, put).tzinfo is UTC
