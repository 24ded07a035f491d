"""The Web API's objects of tracks, artists and audio features, looked up by id."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from songswap.dev.simulator.catalogue import Json, MusicCatalogue, features, full_artist
from songswap.dev.simulator.recorded import RecordedListener, RecordedMetadata

Mode = Literal["extended", "development"]

_CACHED_TRACKS = 16_384  # about 4 kB each
_encode = msgspec.json.encode


class MetadataLookup:
    """Finds the objects of the recordings, then those of the catalogue."""

    def __init__(
        self,
        seed: int,
        catalogue: MusicCatalogue,
        recordings: Sequence[RecordedListener | RecordedMetadata],
    ) -> None:
        self._seed = seed
        self._catalogue = catalogue
        self._tracks: dict[str, Json] = {}
        self._artists: dict[str, Json] = {}
        self._features: dict[str, Json] = {}
        for recording in recordings:
            self._tracks |= recording.tracks()
            self._features |= recording.features()
            for ident, artist in recording.artists().items():
                # A short artist object, as tracks have it, never replaces a full one.
                if _is_full(artist) or not _is_full(self._artists.get(ident, {})):
                    self._artists[ident] = artist
        self.encoded_track = lru_cache(_CACHED_TRACKS)(self._encode_track)

    def track(self, ident: str, mode: Mode) -> bytes | None:
        """Return the track object of an id, or None if the id is unknown."""
        if ident in self._tracks:
            return _encode(_track_for(mode, self._tracks[ident]))
        index = self._catalogue.track_index(ident)
        return None if index is None else self.encoded_track(index, mode)

    def artist(self, ident: str, mode: Mode) -> bytes | None:
        """Return the artist object of an id, or None if the id is unknown."""
        if ident in self._artists:
            artist = self._artists[ident]
            if not _is_full(artist):
                artist = full_artist(self._seed, artist, 50)
        else:
            index = self._catalogue.artist_index(ident)
            if index is None:
                return None
            artist = self._catalogue.artist(index)
        if mode == "development":
            artist = _without(artist, "popularity", "followers")
        return _encode(artist)

    def features(self, ident: str) -> Json | None:
        """Return the audio features object of a track's id, or None if there is none."""
        if ident in self._features:
            return self._features[ident]
        if ident in self._tracks:
            return features(self._seed, ident, self._tracks[ident].get("duration_ms") or 0)
        index = self._catalogue.track_index(ident)
        return None if index is None else self._catalogue.features(index)

    def _encode_track(self, index: int, mode: Mode) -> bytes:
        return _encode(_track_for(mode, self._catalogue.track(index)))


def _is_full(artist: Json) -> bool:
    """Return whether it is an artist object of `/artists`, not the short one of a track."""
    return "images" in artist


def _track_for(mode: Mode, track: Json) -> Json:
    """Return a track without the fields that the mode hides (spotify-web-api.md, Metadata)."""
    if mode == "extended":
        return track
    slim = _without(track, "popularity", "available_markets", "linked_from")
    if slim.get("album"):
        slim["album"] = _without(slim["album"], "popularity", "label", "available_markets")
    return slim


def _without(object_: Json, *fields: str) -> Json:
    return {field: value for field, value in object_.items() if field not in fields}
