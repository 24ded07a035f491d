"""Plays as listens in the form in which ListenBrainz exports and imports them.

Its importer reads each ``.jsonl`` file of a zip, a listen a line, and refuses other keys than
``listened_at`` and ``track_metadata``, and listens without the names of track and artist. Its own
export has a file a month, ``listens/2026/11.jsonl``.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec

from songswap import __version__
from songswap.transform.handover.lines import Row

_TRACK = "https://open.spotify.com/track/"


def listen(play: Row) -> dict[str, Any] | None:
    """Return a play as a listen, with its time in whole seconds; None where a name is missing.

    A length that is an estimate is left out: ListenBrainz would take it for the recording's.
    """
    if not play["track_name"] or not play["artist_name"]:
        return None
    url = f"{_TRACK}{play['track_id']}"
    more = {
        "music_service": "spotify.com",
        "origin_url": url,
        "spotify_id": url,
        "submission_client": "SongSwap Airflow",
        "submission_client_version": __version__,
        "duration_ms": play["duration_ms"],
        "ms_played": play["ms_played"],
    }
    metadata = {
        "track_name": play["track_name"],
        "artist_name": play["artist_name"],
        "release_name": play["album_name"],
        "additional_info": {name: value for name, value in more.items() if value is not None},
    }
    return {
        "listened_at": int(play["played_at"].timestamp()),
        "track_metadata": {name: value for name, value in metadata.items() if value is not None},
    }


def months(plays: Iterable[Row]) -> Iterator[tuple[str, Iterator[Row]]]:
    """Yield the files of listens in the order of time: each name, and the plays of its month."""
    for (year, month), of_month in groupby(plays, key=_month):
        yield f"listenbrainz/listens/{year}/{month}.jsonl", of_month


def _month(play: Row) -> tuple[int, int]:
    return play["played_at"].year, play["played_at"].month


def line(listen: dict[str, Any]) -> bytes:
    """Return a listen as a line of JSON."""
    return msgspec.json.encode(listen) + b"\n"
