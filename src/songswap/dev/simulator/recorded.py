"""Responses of the real API, recorded in files and returned unchanged.

A response of recently-played becomes a listener's feed. Any other, with tracks, artists or audio
features, becomes metadata of the catalogue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from songswap.dev.simulator.clock import parse_iso
from songswap.dev.simulator.play import FEED_SIZE, SimulatedPlay


class RecordingError(ValueError):
    """The file is no recorded response that the simulator can use."""


Json = dict[str, Any]

_TYPES = ("track", "artist", "audio_features")


class _Profile(msgspec.Struct):
    display_name: str
    email: str


class _Feed(msgspec.Struct):
    items: list[msgspec.Raw]
    profile: _Profile | None = None


class RecordedMetadata:
    """The tracks, artists and audio features of a recorded response.

    Raises:
        RecordingError: The file has none of them.
    """

    def __init__(self, file: Path, response: Any) -> None:
        self._found: dict[str, dict[str, Json]] = {type_: {} for type_ in _TYPES}
        for item in [response, *_items_of_lists(response)]:
            if isinstance(item, dict) and item.get("type") in _TYPES and item.get("id"):
                self._found[item["type"]][item["id"]] = item
        if not any(self._found.values()):
            raise RecordingError(f"{file} has no plays, tracks, artists or audio features")

    def tracks(self) -> dict[str, Json]:
        """Return the full track objects by id."""
        return self._found["track"]

    def artists(self) -> dict[str, Json]:
        """Return the artist objects by id; those that only a track mentions are short ones."""
        return _artists_of(self.tracks()) | self._found["artist"]

    def features(self) -> dict[str, Json]:
        """Return the audio features by track id."""
        return self._found["audio_features"]


class RecordedListener:
    """The listener `name`, whose plays are those in `file` and no others.

    `items` are the encoded items of the file in its order; a play's `track` is an index of them. A
    `profile` beside them has the listener's name and e-mail address, which are made up otherwise.

    Raises:
        RecordingError: The file cannot be read as a recently-played response.
    """

    def __init__(self, name: str, file: Path) -> None:
        self.id = name
        try:
            feed = msgspec.json.decode(file.read_bytes(), type=_Feed)
            profile = feed.profile or _Profile(name[:20], f"{name}@example.com")
            self.name, self.email = profile.display_name, profile.email
            self.items = [bytes(item) for item in feed.items]
            self.decoded: list[Json] = [msgspec.json.decode(item) for item in self.items]
            times = [(parse_iso(item["played_at"]), n) for n, item in enumerate(self.decoded)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordingError(f"{file} is no recently-played response: {error}") from error
        self._plays = [
            SimulatedPlay(0, index, at, at, at, item)
            for index, (at, item) in enumerate(sorted(times))
        ]

    def plays(self, until: int) -> list[SimulatedPlay]:
        """Return every play that ended by a time in ms, oldest first."""
        return [play for play in self._plays if play.played_at <= until]

    def newest(self, at: int) -> list[SimulatedPlay]:
        """Return the plays that the API returns at a time in ms: at most 50, newest first."""
        return self.plays(at)[-FEED_SIZE:][::-1]

    def track_id(self, play: SimulatedPlay) -> str | None:
        """Return the id of the played track, or None if the recording has none."""
        return (self.decoded[play.track].get("track") or {}).get("id")

    def tracks(self) -> dict[str, Json]:
        """Return the full track objects of the recording by id."""
        tracks = [item.get("track") for item in self.decoded]
        return {track["id"]: track for track in tracks if track and track.get("id")}

    def artists(self) -> dict[str, Json]:
        """Return the short artist objects of the recording's tracks and albums by id."""
        return _artists_of(self.tracks())

    def features(self) -> dict[str, Json]:
        """Return nothing: a feed has no audio features."""
        return {}


def read_recording(name: str, file: Path) -> RecordedListener | RecordedMetadata:
    """Read a recorded response: a feed, whose listener is called `name`, or metadata.

    Raises:
        RecordingError: The file is no such response.
    """
    try:
        response = msgspec.json.decode(file.read_bytes())
    except (OSError, ValueError) as error:
        raise RecordingError(f"{file} is no recently-played response: {error}") from error
    items = response.get("items") if isinstance(response, dict) else None
    metadata = [isinstance(item, dict) and item.get("type") in _TYPES for item in items or []]
    is_feed = isinstance(items, list) and not any(metadata)
    return RecordedListener(name, file) if is_feed else RecordedMetadata(file, response)


def _items_of_lists(response: Any) -> list[Any]:
    fields = response.values() if isinstance(response, dict) else ()
    return [item for field in fields if isinstance(field, list) for item in field]


def _artists_of(tracks: dict[str, Json]) -> dict[str, Json]:
    found = {}
    for track in tracks.values():
        album = track.get("album") or {}
        for artist in [*(track.get("artists") or []), *(album.get("artists") or [])]:
            if artist.get("id"):
                found[artist["id"]] = artist
    return found
