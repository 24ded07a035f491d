"""What the Web API says about tracks, artists and features, as JSON that is encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from songswap.dev.simulator.catalogue import Catalogue, Json, features, full_artist
from songswap.dev.simulator.gzip_join import Part, compressed
from songswap.dev.simulator.recorded import Recorded, RecordedThings

Mode = Literal["extended", "development"]

_KEPT_TRACKS = 16_384  # about 5 kB each
_encode = msgspec.json.encode


class Shelf:
    """Looks up by id; the catalogue's things and those of the recordings."""

    def __init__(
        self, seed: int, catalogue: Catalogue, recordings: Sequence[Recorded | RecordedThings]
    ) -> None:
        self._seed = seed
        self._catalogue = catalogue
        self._tracks = {k: v for each in recordings for k, v in each.tracks().items()}
        self._features = {k: v for each in recordings for k, v in each.features().items()}
        # A whole artist object stands above the short one that a track names, in whichever order.
        artists = [pair for each in recordings for pair in each.artists().items()]
        self._artists = dict(sorted(artists, key=lambda pair: _is_whole(pair[1])))
        self.track_part = lru_cache(_KEPT_TRACKS)(self._track_part)

    def track(self, ident: str, mode: Mode) -> bytes | None:
        """Return the track object of an id, None when the id is unknown."""
        if ident in self._tracks:
            return _encode(_track_for(mode, self._tracks[ident]))
        index = self._catalogue.track_index(ident)
        return None if index is None else self.track_part(index, mode).raw

    def artist(self, ident: str, mode: Mode) -> bytes | None:
        """Return the artist object of an id, None when the id is unknown."""
        if ident in self._artists:
            artist = self._artists[ident]
            if not _is_whole(artist):
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
        """Return the audio features object of a track's id, None when there is none."""
        if ident in self._features:
            return self._features[ident]
        if ident in self._tracks:
            return features(self._seed, ident, self._tracks[ident].get("duration_ms") or 0)
        index = self._catalogue.track_index(ident)
        return None if index is None else self._catalogue.features(index)

    def _track_part(self, index: int, mode: Mode) -> Part:
        return compressed(_encode(_track_for(mode, self._catalogue.track(index))))


def _is_whole(artist: Json) -> bool:
    """Tell whether it is an artist object as `/artists` has it, not the short one of a track."""
    return "images" in artist


def _track_for(mode: Mode, track: Json) -> Json:
    """Return a track as the mode shows it (development mode: spotify-web-api.md, Metadata)."""
    if mode == "extended":
        return track
    slim = _without(track, "popularity", "available_markets", "linked_from")
    if slim.get("album"):
        slim["album"] = _without(slim["album"], "popularity", "label", "available_markets")
    return slim


def _without(thing: Json, *fields: str) -> Json:
    return {field: value for field, value in thing.items() if field not in fields}
