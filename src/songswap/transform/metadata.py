"""Answers of ``/tracks``, ``/artists`` and ``/audio-features`` → rows, matched by id.

For features they may be Spotify's or ReccoBeats'. An entry's place in the answer says nothing. Ids
that were asked for and are not told are unknown to Spotify only if the answer has exactly as many
nulls: otherwise a relinked or broken entry stands for one of them, and they are left unanswered
rather than remembered wrongly.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Protocol

from songswap.models import Artist, DataFix, Features, Followers, Genre, Metadata, Popularity
from songswap.transform import responses
from songswap.transform.catalogue import add_images
from songswap.transform.track import ARTIST_NAME, add_track, fit, usable_images, usable_popularity
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


class _Told(Protocol):
    id: str | None


def tracks(body: bytes, asked: Collection[str], observed_at: datetime) -> Metadata:
    """What ``/tracks`` tells; see `songswap.transform.track`."""

    def add(metadata: Metadata, told: responses.Track, problems: responses.Problems) -> None:
        add_track(metadata.catalogue, told, problems, observed_at)

    return _read(body, asked, responses.Tracks, responses.Track, add)


def artists(body: bytes, asked: Collection[str], observed_at: datetime) -> Metadata:
    """What ``/artists`` tells: names, images, popularity, followers, genres."""

    def add(metadata: Metadata, told: responses.Artist, problems: responses.Problems) -> None:
        _add_artist(metadata, told, problems, observed_at)

    return _read(body, asked, responses.Artists, responses.Artist, add)


def features(body: bytes, asked: Collection[str]) -> Metadata:
    """What ``/audio-features`` tells. A row has no column to spare: one bad value costs the row."""
    return _read(body, asked, responses.AudioFeatures, responses.Features, _add_features)


def reccobeats_features(body: bytes, asked: Collection[str]) -> Metadata:
    """What ReccoBeats tells of the features of tracks, by the track's id at the end of ``href``.

    It has no time signatures: 0, which is Spotify's word for "none found", stands in, and is noted.
    A track without a whole row is neither told nor unknown: ReccoBeats may have it later.
    """
    metadata = Metadata()
    wanted = set(asked)
    entries = responses.read(body, responses.ReccoBeatsFeatures, responses.LinkedFeatures)
    for told, problems, _ in entries or ():
        track_id = (told.href or "").rpartition("/")[2] if told else ""
        if told is None or track_id not in wanted - metadata.told:
            continue
        no_signature = told.time_signature is None
        told.id, told.time_signature = track_id, told.time_signature or 0
        rows = len(metadata.features)
        _add_features(metadata, told, problems)
        if len(metadata.features) > rows:
            metadata.told.add(track_id)
            if no_signature:
                problem = "not told by ReccoBeats, kept as 0"
                metadata.data_fixes.add(DataFix("features", track_id, "time_signature", problem))
    return metadata


def _read(
    body: bytes,
    asked: Collection[str],
    shape: type[Any],
    entry: type[Any],
    add: Callable[[Metadata, Any, responses.Problems], None],
) -> Metadata:
    metadata = Metadata()
    entries = responses.read(body, shape, entry)
    if entries is None:
        return metadata
    wanted = set(asked)
    nulls = 0
    for value, problems, _ in entries:
        told: _Told | None = value
        if told is None:
            nulls += not problems
        elif told.id in wanted and told.id not in metadata.told:
            metadata.told.add(told.id)
            add(metadata, told, problems)
    missing = wanted - metadata.told
    if len(missing) == nulls:
        metadata.unknown = missing
    return metadata


def _add_artist(
    metadata: Metadata, told: responses.Artist, problems: responses.Problems, observed_at: datetime
) -> None:
    artist_id = told.id or ""
    data_fixes = {DataFix("artist", artist_id, path, problem) for path, problem in problems.items()}
    if told.name is not None:
        name = fit(told.name, ARTIST_NAME, "artist", artist_id, data_fixes)
        metadata.catalogue.artists[artist_id] = Artist(artist_id, name)
    add_images(metadata.images, usable_images("artist", artist_id, told.images, data_fixes))
    popularity = usable_popularity("artist", artist_id, told.popularity, data_fixes)
    if popularity is not None:
        metadata.popularity.append(Popularity(artist_id, observed_at, popularity))
    total = told.followers.total if told.followers else None
    followers = whole(total, 0, INTEGER_MAX)
    if followers is not None:
        metadata.followers.append(Followers(artist_id, observed_at, followers))
    elif total is not None:
        data_fixes.add(DataFix("artist", artist_id, "followers", "out of range, left out"))
    for genre in told.genres or []:
        text = clean(genre or "")
        if 0 < len(text) <= GENRE:
            metadata.genres.add(Genre(artist_id, text))
        else:
            data_fixes.add(DataFix("artist", artist_id, "genres", "empty or too long, left out"))
    metadata.data_fixes |= data_fixes


def _add_features(
    metadata: Metadata, told: responses.Features, problems: responses.Problems
) -> None:
    track_id = told.id or ""
    values = {name: getattr(told, name) for name in _RANGES}
    bad = [name for name, value in values.items() if not _is_in_range(name, value)]
    if bad:
        for name in bad:
            problem = problems.get(name, "missing or out of range")
            metadata.data_fixes.add(DataFix("features", track_id, name, f"{problem}: no row"))
    else:
        metadata.features.append(Features(track_id, **values))


def _is_in_range(name: str, value: float | None) -> bool:
    low, high = _RANGES[name]
    return value is not None and low <= value <= high
