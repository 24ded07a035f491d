"""Answers of the real API, recorded in files and told as they stand.

A recently-played answer is a listener's feed. Any other, with tracks, artists or audio features in
it, is what the catalogue says of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from songswap.dev.simulator.clock import parse_iso
from songswap.dev.simulator.play import NEWEST, Play


class RecordingError(ValueError):
    """The file is no recorded answer of recently-played."""


Json = dict[str, Any]

_KINDS = ("track", "artist", "audio_features")


class _Recording(msgspec.Struct):
    items: list[msgspec.Raw]


class RecordedThings:
    """What a recorded answer that is no feed tells of tracks, artists and their features.

    Raises:
        RecordingError: There is nothing of them in what the file holds.
    """

    def __init__(self, file: Path, whole: Any) -> None:
        self._found: dict[str, dict[str, Json]] = {kind: {} for kind in _KINDS}
        for thing in [whole, *_listed(whole)]:
            if isinstance(thing, dict) and thing.get("type") in _KINDS and thing.get("id"):
                self._found[thing["type"]][thing["id"]] = thing
        if not any(self._found.values()):
            raise RecordingError(f"{file} tells of no plays, tracks, artists or audio features")

    def tracks(self) -> dict[str, Json]:
        """Return the full track objects by their ids."""
        return self._found["track"]

    def artists(self) -> dict[str, Json]:
        """Return the artist objects by their ids; those that only a track names are short ones."""
        return _artists_of(self.tracks()) | self._found["artist"]

    def features(self) -> dict[str, Json]:
        """Return the audio features by the ids of their tracks."""
        return self._found["audio_features"]


class Recorded:
    """The listener `name`, who made the plays in `file` and makes no more.

    `items` are the bytes of the file's items in its order; a play's `track` is its place there.

    Raises:
        RecordingError: The file cannot be read as a recently-played answer.
    """

    def __init__(self, name: str, file: Path) -> None:
        self.id = name
        self.name = name[:20]
        self.email = f"{name}@example.com"
        try:
            recording = msgspec.json.decode(file.read_bytes(), type=_Recording)
            self.items = [bytes(item) for item in recording.items]
            self.decoded: list[Json] = [msgspec.json.decode(item) for item in self.items]
            times = [(parse_iso(item["played_at"]), n) for n, item in enumerate(self.decoded)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordingError(f"{file} is no recently-played answer: {error}") from error
        self._plays = [
            Play(0, place, at, at, at, item) for place, (at, item) in enumerate(sorted(times))
        ]

    def plays(self, until: int) -> list[Play]:
        """Return every play that ended by a time in ms, oldest first."""
        return [play for play in self._plays if play.played_at <= until]

    def newest(self, at: int) -> list[Play]:
        """Return the plays that the API can tell at a time in ms: at most 50, newest first."""
        return self.plays(at)[-NEWEST:][::-1]

    def track_id(self, play: Play) -> str | None:
        """Return the id of the played track, or None where the recording has none."""
        return (self.decoded[play.track].get("track") or {}).get("id")

    def tracks(self) -> dict[str, Json]:
        """Return the full track objects in the recording by their ids."""
        tracks = [item.get("track") for item in self.decoded]
        return {track["id"]: track for track in tracks if track and track.get("id")}

    def artists(self) -> dict[str, Json]:
        """Return the short artist objects in the recording, of tracks and albums, by their ids."""
        return _artists_of(self.tracks())

    def features(self) -> dict[str, Json]:
        """Return nothing: a feed tells of no audio features."""
        return {}


def read(name: str, file: Path) -> Recorded | RecordedThings:
    """Read a recorded answer: a feed, whose listener is called `name`, or another.

    Raises:
        RecordingError: The file is no recorded answer.
    """
    try:
        whole = msgspec.json.decode(file.read_bytes())
    except (OSError, ValueError) as error:
        raise RecordingError(f"{file} is no recently-played answer: {error}") from error
    items = whole.get("items") if isinstance(whole, dict) else None
    things = [isinstance(item, dict) and item.get("type") in _KINDS for item in items or []]
    is_feed = isinstance(items, list) and not any(things)
    return Recorded(name, file) if is_feed else RecordedThings(file, whole)


def _listed(whole: Any) -> list[Any]:
    lists = whole.values() if isinstance(whole, dict) else ()
    return [thing for each in lists if isinstance(each, list) for thing in each]


def _artists_of(tracks: dict[str, Json]) -> dict[str, Json]:
    found = {}
    for track in tracks.values():
        album = track.get("album") or {}
        for artist in [*(track.get("artists") or []), *(album.get("artists") or [])]:
            if artist.get("id"):
                found[artist["id"]] = artist
    return found
