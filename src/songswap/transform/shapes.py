"""The shapes of the responses of Spotify and ReccoBeats: only the fields that become rows.

Every field is optional, because the API leaves each of them out somewhere (development mode, local
files). Shapes hold no cycles, so the garbage collector may skip them (``gc=False``).
"""

from typing import Any

import msgspec


class Image(msgspec.Struct, gc=False):
    """An image of an album or artist; height and width in pixels."""

    url: str | None = None
    height: int | None = None
    width: int | None = None


class Followers(msgspec.Struct, gc=False):
    """The followers of an artist."""

    total: int | None = None


class Artist(msgspec.Struct, gc=False):
    """An artist: the short form has only id and name."""

    id: str | None = None
    name: str | None = None
    genres: list[str | None] | None = None
    images: list[Image | None] | None = None
    popularity: int | None = None
    followers: Followers | None = None


class Album(msgspec.Struct, gc=False):
    """The album of a track."""

    images: list[Image | None] | None = None


class Track(msgspec.Struct, gc=False):
    """A track as plays and ``/tracks`` have it.

    ``type`` and ``uri`` name what it is: an episode can be in a track's place.
    """

    id: str | None = None
    type: str | None = None
    uri: str | None = None
    name: str | None = None
    duration_ms: int | None = None
    popularity: int | None = None
    preview_url: str | None = None
    artists: list[Artist | None] | None = None
    album: Album | None = None


class Item(msgspec.Struct, gc=False):
    """One play of recently played."""

    played_at: str | None = None
    track: Track | None = None


class Features(msgspec.Struct, gc=False):
    """The audio features of a track."""

    id: str | None = None
    acousticness: float | None = None
    danceability: float | None = None
    energy: float | None = None
    instrumentalness: float | None = None
    key: int | None = None
    liveness: float | None = None
    loudness: float | None = None
    mode: int | None = None
    speechiness: float | None = None
    tempo: float | None = None
    time_signature: int | None = None
    valence: float | None = None


class LinkedFeatures(Features):
    """The audio features of the track that ``href`` links to; ``id`` is ReccoBeats' own."""

    href: str | None = None


class RecentlyPlayed(msgspec.Struct, gc=False):
    """``GET /v1/me/player/recently-played``: a page of plays, newest first.

    The fields beside the items only show how full the page is. They may be of any type, so that a
    broken one does not cost the items.
    """

    items: list[Item | None] | None = None
    limit: Any = None
    next: Any = None
    cursors: Any = None
    href: Any = None


class PlayedTrack(msgspec.Struct, gc=False):
    """The id of a track, and none of its other fields."""

    id: str | None = None


class Played(msgspec.Struct, gc=False):
    """One play of recently played: its time and its track's id."""

    played_at: str | None = None
    track: PlayedTrack | None = None


class PlayKeys(msgspec.Struct, gc=False):
    """`RecentlyPlayed` without the fields that a fingerprint does not need, to save time."""

    items: list[Played | None] | None = None
    next: Any = None
    cursors: Any = None


class Tracks(msgspec.Struct, gc=False):
    """``GET /v1/tracks``."""

    tracks: list[Track | None] | None = None


class Artists(msgspec.Struct, gc=False):
    """``GET /v1/artists``."""

    artists: list[Artist | None] | None = None


class AudioFeatures(msgspec.Struct, gc=False):
    """``GET /v1/audio-features``."""

    audio_features: list[Features | None] | None = None


class ReccoBeatsFeatures(msgspec.Struct, gc=False):
    """``GET /v1/audio-features`` of ReccoBeats."""

    content: list[LinkedFeatures | None] | None = None
