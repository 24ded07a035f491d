"""A listener whose feed is an answer of the real API, recorded in a file and told as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from songswap.simulator.clock import parse_iso
from songswap.simulator.play import NEWEST, Play


class RecordingError(ValueError):
    """The file is no recorded answer of recently-played."""


class _Recording(msgspec.Struct):
    items: list[msgspec.Raw]


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
            self.decoded: list[dict[str, Any]] = [msgspec.json.decode(item) for item in self.items]
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

    def tracks(self) -> dict[str, dict[str, Any]]:
        """Return the full track objects in the recording by their ids."""
        tracks = [item.get("track") for item in self.decoded]
        return {track["id"]: track for track in tracks if track and track.get("id")}

    def artists(self) -> dict[str, dict[str, Any]]:
        """Return the short artist objects in the recording, of tracks and albums, by their ids."""
        found = {}
        for track in self.tracks().values():
            album = track.get("album") or {}
            for artist in [*(track.get("artists") or []), *(album.get("artists") or [])]:
                if artist.get("id"):
                    found[artist["id"]] = artist
        return found
