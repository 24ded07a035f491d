"""Turn responses of ``/tracks``, ``/artists`` and ``/audio-features`` into rows, matched by id.

Features come from Spotify or ReccoBeats. Entries may be in any order. A requested id that is
missing in the response is unknown to Spotify only if the response has exactly as many nulls as ids
are missing: otherwise one of them may be a relinked or broken entry, and they stay unanswered.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from songswap.models import Artist, DataFix, Features, Followers, Genre, Metadata, Popularity
from songswap.transform import responses, shapes
from songswap.transform.track import (
    ARTIST_NAME,
    add_track,
    add_usable_images,
    fit,
    usable_popularity,
)
from songswap.transform.values import INTEGER_MAX, clean, whole

GENRE = 120

# TrackFeatures as the platform's contract bounds them. Louder masters than 0 dB exist up to about
# +5, and noise or speech has a time signature of 0 or 1.
_RANGES: dict[str, tuple[float, float]] = {
    "acousticness": (0, 1),
    "danceability": (0, 1),
    "energy": (0, 1),
    "instrumentalness": (0, 1),
    "key": (-1, 11),
    "liveness": (0, 1),
    "loudness": (-60, 5),
    "mode": (0, 1),
    "speechiness": (0, 1),
    "tempo": (0, 250),
    "time_signature": (0, 7),
    "valence": (0, 1),
}


def tracks(body: bytes, requested: Collection[str], observed_at: datetime) -> Metadata:
    """Read a response of ``/tracks``; see `songswap.transform.track`."""
    metadata = Metadata()
    for track, problems in _entries(metadata, body, requested, shapes.Tracks, shapes.Track):
        add_track(metadata.catalogue, track, problems, observed_at)
    return metadata


def artists(body: bytes, requested: Collection[str], observed_at: datetime) -> Metadata:
    """Read a response of ``/artists``: names, images, popularity, followers, genres."""
    metadata = Metadata()
    for artist, problems in _entries(metadata, body, requested, shapes.Artists, shapes.Artist):
        _add_artist(metadata, artist, problems, observed_at)
    return metadata


def features(body: bytes, requested: Collection[str]) -> Metadata:
    """Read a response of ``/audio-features``; a row with one bad value is left out."""
    metadata = Metadata()
    entries = _entries(metadata, body, requested, shapes.AudioFeatures, shapes.Features)
    for entry, problems in entries:
        _add_features(metadata, entry, problems)
    return metadata


def reccobeats_features(body: bytes, requested: Collection[str]) -> Metadata:
    """Read a response of ReccoBeats; a track's id is at the end of its ``href``.

    ReccoBeats has no time signatures: 0, with which Spotify says "none found", is stored instead,
    with a data fix. A track without a whole row is neither received nor unknown: ReccoBeats may
    have it later.
    """
    metadata = Metadata()
    wanted = set(requested)
    entries = responses.read(body, shapes.ReccoBeatsFeatures, shapes.LinkedFeatures)
    for entry, problems, _ in entries or ():
        track_id = (entry.href or "").rpartition("/")[2] if entry else ""
        if entry is None or track_id not in wanted - metadata.received:
            continue
        no_signature = entry.time_signature is None
        entry.id, entry.time_signature = track_id, entry.time_signature or 0
        if _add_features(metadata, entry, problems):
            metadata.received.add(track_id)
            if no_signature:
                problem = "missing at ReccoBeats, stored as 0"
                metadata.data_fixes.add(DataFix("features", track_id, "time_signature", problem))
    return metadata


def _entries(
    metadata: Metadata,
    body: bytes,
    requested: Collection[str],
    shape: type[Any],
    entry: type[Any],
) -> Iterator[tuple[Any, responses.Problems]]:
    """Yield the requested entries of a response, and set ``received`` and ``unknown``."""
    entries = responses.read(body, shape, entry)
    if entries is None:
        return
    wanted = set(requested)
    nulls = 0
    for value, problems, _ in entries:
        if value is None:
            nulls += not problems
        elif value.id in wanted and value.id not in metadata.received:
            metadata.received.add(value.id)
            yield value, problems
    missing = wanted - metadata.received
    if len(missing) == nulls:
        metadata.unknown = missing


def _add_artist(
    metadata: Metadata, artist: shapes.Artist, problems: responses.Problems, observed_at: datetime
) -> None:
    artist_id = artist.id or ""
    data_fixes = {DataFix("artist", artist_id, path, problem) for path, problem in problems.items()}
    if artist.name is not None:
        name = fit(artist.name, ARTIST_NAME, "artist", artist_id, data_fixes)
        metadata.catalogue.artists[artist_id] = Artist(artist_id, name)
    add_usable_images(metadata.images, "artist", artist_id, artist.images, data_fixes)
    popularity = usable_popularity("artist", artist_id, artist.popularity, data_fixes)
    if popularity is not None:
        metadata.popularity.append(Popularity(artist_id, observed_at, popularity))
    total = artist.followers.total if artist.followers else None
    followers = whole(total, 0, INTEGER_MAX)
    if followers is not None:
        metadata.followers.append(Followers(artist_id, observed_at, followers))
    elif total is not None:
        data_fixes.add(DataFix("artist", artist_id, "followers", "out of range, left out"))
    for genre in artist.genres or []:
        text = clean(genre or "")
        if 0 < len(text) <= GENRE:
            metadata.genres.add(Genre(artist_id, text))
        else:
            data_fixes.add(DataFix("artist", artist_id, "genres", "empty or too long, left out"))
    metadata.data_fixes |= data_fixes


def _add_features(metadata: Metadata, entry: shapes.Features, problems: responses.Problems) -> bool:
    """Add a row of features; returns whether it is whole."""
    track_id = entry.id or ""
    values = {name: getattr(entry, name) for name in _RANGES}
    bad = [name for name, value in values.items() if not _is_in_range(name, value)]
    for name in bad:
        problem = problems.get(name, "missing or out of range")
        metadata.data_fixes.add(DataFix("features", track_id, name, f"{problem}: no row"))
    if not bad:
        metadata.features.append(Features(track_id, **values))
    return not bad


def _is_in_range(name: str, value: float | None) -> bool:
    low, high = _RANGES[name]
    return value is not None and low <= value <= high
