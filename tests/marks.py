"""A world whose users leave marks: texts that occur nowhere else, for each kind of personal data.

    world(folder) ──▶ recorded feeds for the simulator        export_zip(user) ──▶ a privacy export

A place that holds a kind holds one of its marks, and is found by it: see `kinds_in`.
"""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

USERS = ("qzspotify1", "qzspotify2", "qzspotify3", "qzspotify4")
"""Their Spotify ids."""

FIRST_ID = 198765001
"""The platform's id of the first user: no other number of any place begins like it."""

CLIENT_SECRET = "QzClientSecret"
ACCESS, REFRESH = "QzAccess", "QzRefresh"
ALERT_TOKEN = "QzAlertToken"
FILE = "qzfile"
"""How the names of an operator's files begin."""

MARKS: Mapping[str, tuple[str, ...]] = {
    "user id": (str(FIRST_ID)[:-2],),
    "name": ("qzname",),
    "e-mail": ("qzmail",),
    "Spotify id": ("qzspotify",),
    "token": (ACCESS, REFRESH),
    "track": ("qztrack", "qzartist", "qzalbum"),
    "track id": ("qzidtrack", "qzidartist", "qzidalbum"),
    "context": ("qzidplaylist",),
    "private session": ("qzhidden", "qzidhidden"),
    "device": ("qzplatform",),
    "address": ("203.0.113.177", "qzagent"),
    "profile": ("1907-07-07", "qzpostcode"),
    "file name": (FILE,),
    "secret": (CLIENT_SECRET, ALERT_TOKEN, "simulated-webhook-token"),
}
"""The marks of each kind, in any case; docs/privacy.md says what the kinds are."""

_GZIP = re.compile(rb"\x1f\x8b\x08")
_WINDOW_OF_GZIP = 31


def kinds_in(content: bytes, marks: Mapping[str, tuple[str, ...]] = MARKS) -> set[str]:
    """Return the kinds whose marks are in a content, also in what is gzipped within it."""
    texts = [part.lower() for part in _unpacked(content)]
    return {
        kind
        for kind, each in marks.items()
        if any(mark.lower().encode() in text for mark in each for text in texts)
    }


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Yield a content, and each gzip in it as far as it is whole."""
    yield content
    for found in _GZIP.finditer(content):
        unpacker = zlib.decompressobj(_WINDOW_OF_GZIP)
        unpacked = b""
        try:
            # A page of SQLite may end within it.
            for at in range(found.start(), len(content), 64):
                unpacked += unpacker.decompress(content[at : at + 64])
                if unpacker.eof:
                    break
        except zlib.error:
            pass
        yield unpacked


def spotify_id(kind: str, number: int) -> str:
    """Return a Spotify id of 22 characters that is a mark."""
    head = f"QzId{kind.capitalize()}"
    return f"{head}{number:0{22 - len(head)}d}"


def track(number: int, name: str = "QzTrack Secret") -> dict[str, Any]:
    """Return a track as Spotify does."""
    artist = {
        "external_urls": {},
        "href": "",
        "id": spotify_id("artist", number),
        "name": "QzArtist Unheard",
        "type": "artist",
        "uri": f"spotify:artist:{spotify_id('artist', number)}",
    }
    ident = spotify_id("track", number)
    return {
        "album": {
            "id": spotify_id("album", number),
            "name": "QzAlbum",
            "images": [],
            "artists": [],
        },
        "artists": [artist],
        "duration_ms": 200_000,
        "id": ident,
        "is_local": False,
        "name": name,
        "popularity": 3,
        "preview_url": None,
        "type": "track",
        "uri": f"spotify:track:{ident}",
    }


def world(folder: Path, now: datetime) -> list[str]:
    """Write the feeds of the marked users; return the simulator's options for them."""
    options = ["--client-secret", CLIENT_SECRET, "--rotate-refresh-tokens", "1"]
    for number, user in enumerate(USERS, 1):
        feed = {
            "profile": {"display_name": f"QzName {number}", "email": f"qzmail{number}@example.com"},
            "items": list(_items(user, now)),
        }
        file = folder / f"{user}.json"
        file.write_text(json.dumps(feed))
        options += ["--recorded", f"{user}={file}"]
    return options


def _items(user: str, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield plays: of a playlist and of the user's own library, and one that cannot be a row."""
    contexts = [
        {"type": "playlist", "uri": f"spotify:playlist:{spotify_id('playlist', 1)}"},
        {"type": "collection", "uri": f"spotify:user:{user}:collection"},
        None,
    ]
    for number, context in enumerate(contexts, 1):
        played_at = _iso(now - timedelta(hours=2, minutes=5 * number))
        yield {"track": track(number), "played_at": played_at, "context": context}
    broken = track(4, "QzTrack without an id") | {"id": 5}
    yield {"track": broken, "played_at": _iso(now - timedelta(hours=3)), "context": None}
    unnamed = track(5, "QzTrack \x00 " + "z" * 300)
    yield {"track": unnamed, "played_at": _iso(now - timedelta(hours=4)), "context": None}


def export_zip(user: str, now: datetime, *, is_account: bool = False) -> bytes:
    """Return the zip that Spotify sends a user: the extended history, or the account data."""
    rows = [_row(user, now - timedelta(days=day), day) for day in range(1, 4)]
    hidden = {
        "incognito_mode": True,
        "master_metadata_track_name": "QzHidden Song",
        "spotify_track_uri": f"spotify:track:{spotify_id('hidden', 1)}",
    }
    rows.append(_row(user, now - timedelta(days=5), 6) | hidden)
    rows.append(rows[0] | {"ts": "at no time"})
    files: dict[str, Any] = {"MyData/endsong_0.json": rows}
    if is_account:
        own = {"username": user, "email": "qzmail1@example.com", "birthdate": "1907-07-07"}
        files = {
            "MyData/Userdata.json": own | {"postalCode": "QzPostcode"},
            "MyData/Playlist1.json": {"playlists": [{"name": "QzPostcode"}]},
            "MyData/StreamingHistory_music_0.json": [
                {
                    "endTime": f"{now - timedelta(days=9):%Y-%m-%d %H:%M}",
                    "artistName": "QzArtist Unheard",
                    "trackName": "QzTrack Secret",
                    "msPlayed": 199_000,
                }
            ],
        }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            # Stored, so that marks can be found in it.
            archive.writestr(name, json.dumps(content))
    return packed.getvalue()


def _row(user: str, at: datetime, number: int) -> dict[str, Any]:
    return {
        "ts": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "username": user,
        "platform": "QzPlatform iOS (iPhone10,4)",
        "ms_played": 200_000,
        "conn_country": "DE",
        "ip_addr_decrypted": "203.0.113.177",
        "user_agent_decrypted": "QzAgent/1.0",
        "master_metadata_track_name": "QzTrack Secret",
        "master_metadata_album_artist_name": "QzArtist Unheard",
        "master_metadata_album_album_name": "QzAlbum",
        "spotify_track_uri": f"spotify:track:{spotify_id('track', number)}",
        "reason_start": "clickrow",
        "reason_end": "trackdone",
        "shuffle": False,
        "skipped": False,
        "offline": False,
        "offline_timestamp": 0,
        "incognito_mode": False,
    }


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
