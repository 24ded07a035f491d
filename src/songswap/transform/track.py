"""Turn a track, as plays and ``/tracks`` have it, into its rows in a catalogue."""

from datetime import datetime
from functools import partial

import msgspec
from zlib_ng import zlib_ng

from songswap.models import (
    Artist,
    ArtistTrack,
    Catalogue,
    DataFix,
    Image,
    Popularity,
    Preview,
    Track,
)
from songswap.transform import catalogue as merge
from songswap.transform import responses, shapes
from songswap.transform.values import INTEGER_MAX, clean, is_id, whole

TRACK_NAME = 240
ARTIST_NAME = 120
URL = 240

# Named tuples from tuples, without the calls in Python that their own constructors are.
_track = partial(tuple.__new__, Track)
_artist = partial(tuple.__new__, Artist)
_link = partial(tuple.__new__, ArtistTrack)
_image = partial(tuple.__new__, Image)
_popularity = partial(tuple.__new__, Popularity)


def add_track(
    catalogue: Catalogue, track: shapes.Track, problems: responses.Problems, observed_at: datetime
) -> None:
    """Add a track to ``catalogue``, with its artists, images, preview and popularity.

    Where several items differ about one track, the larger value wins, see
    `songswap.transform.catalogue`; each popularity is an observation of its own.

    Args:
        track: its id must be a valid one.
        problems: the parts of it that could not be read, by path.
        observed_at: when Spotify returned it (aware, UTC).
    """
    track_id = track.id
    if track_id is None:
        return
    if not problems:
        catalogue.last[track_id] = track
    form = _form(track)
    if catalogue.forms.setdefault(track_id, form) != form:
        catalogue.forms[track_id] = 0
    data_fixes = {DataFix("track", track_id, path, problem) for path, problem in problems.items()}
    is_known = track_id in catalogue.tracks
    merge.add_track(catalogue, _row(track_id, track, data_fixes))
    _add_artists(catalogue, track_id, track.artists, data_fixes)
    images = track.album.images if track.album else None
    add_usable_images(catalogue.track_images, "track", track_id, images, data_fixes)
    _add_preview(catalogue, track_id, track.preview_url, data_fixes)
    popularity = usable_popularity("track", track_id, track.popularity, data_fixes)
    _observe(catalogue, track_id, popularity, observed_at)
    if images is not None and popularity is not None and track.artists and _is_whole(data_fixes):
        catalogue.incomplete.discard(track_id)
    elif not is_known:
        catalogue.incomplete.add(track_id)
    catalogue.data_fixes |= data_fixes


def add_again(catalogue: Catalogue, track: shapes.Track, observed_at: datetime) -> bool:
    """Add the popularity of a track whose last entry without a problem was equal to this one.

    Returns:
        Whether it was: everything else of it is in ``catalogue`` already.
    """
    if track.id is None or catalogue.last.get(track.id) != track:
        return False
    _observe(catalogue, track.id, whole(track.popularity, 0, 100), observed_at)
    return True


def _row(track_id: str, track: shapes.Track, data_fixes: set[DataFix]) -> Track:
    """Return the row of "Tracks"; what it lacks is added to ``data_fixes``."""
    duration_ms = whole(track.duration_ms, 0, INTEGER_MAX)
    if duration_ms is None:
        data_fixes.add(
            DataFix("track", track_id, "duration_ms", "missing or out of range, stored as 0")
        )
    if track.name is None:
        data_fixes.add(DataFix("track", track_id, "name", "missing, stored as empty"))
    name = fit(track.name or "", TRACK_NAME, "track", track_id, data_fixes)
    return _track((track_id, name, duration_ms or 0))


def _is_whole(data_fixes: set[DataFix]) -> bool:
    """Return whether a call for the track could add nothing: a cut name fills its column."""
    return all(fix.field == "name" and not fix.problem.startswith("missing") for fix in data_fixes)


def _observe(
    catalogue: Catalogue, track_id: str, popularity: int | None, observed_at: datetime
) -> None:
    """Add a popularity; of equal ones on a day, the earliest stays."""
    if popularity is None:
        return
    key = track_id, observed_at.date(), popularity
    known = catalogue.track_popularity.get(key)
    if known is None or observed_at < known.date:
        catalogue.track_popularity[key] = _popularity((track_id, observed_at, popularity))


_encode = msgspec.msgpack.Encoder().encode


def _form(track: shapes.Track) -> int:
    """Return a signed 64-bit checksum of all fields of a track but its popularity."""
    values = (track.name, track.duration_ms, track.preview_url, track.artists, track.album)
    try:
        text = _encode(values)
    except (ValueError, OverflowError):  # half of a surrogate pair, a number beyond 64 bits
        text = repr(values).encode("utf-8", "backslashreplace")
    return (zlib_ng.crc32(text) << 32 | zlib_ng.adler32(text)) - 2**63


def _add_artists(
    catalogue: Catalogue,
    track_id: str,
    artists: list[shapes.Artist | None] | None,
    data_fixes: set[DataFix],
) -> None:
    for position, artist in enumerate(artists or ()):
        artist_id = artist and artist.id
        known = catalogue.artists.get(artist_id) if artist_id else None
        if not artist or not artist_id or not (known or is_id(artist_id)):
            data_fixes.add(
                DataFix("track", track_id, "artists", "an artist without a usable id left out")
            )
            continue
        # Only the first artist is primary: where that one has no id, none is.
        if position == 0 or (track_id, artist_id) not in catalogue.artist_tracks:
            link = _link((track_id, artist_id, position == 0))
            catalogue.artist_tracks[track_id, artist_id] = link
        if known and known.name == artist.name:
            continue
        if artist.name is None:
            data_fixes.add(DataFix("artist", artist_id, "name", "missing, stored as empty"))
        name = fit(artist.name or "", ARTIST_NAME, "artist", artist_id, data_fixes)
        if not known or known.name < name:
            catalogue.artists[artist_id] = _artist((artist_id, name))


def _add_preview(
    catalogue: Catalogue, track_id: str, url: str | None, data_fixes: set[DataFix]
) -> None:
    if url is None:
        return
    url = clean(url)
    if 0 < len(url) <= URL:
        merge.add_preview(catalogue, Preview(track_id, url))
    else:
        data_fixes.add(DataFix("track", track_id, "preview_url", "empty or too long, left out"))


def add_usable_images(
    rows: dict[tuple[str, int, int], Image],
    kind: str,
    id_: str,
    images: list[shapes.Image | None] | None,
    data_fixes: set[DataFix],
) -> None:
    """Add the images that can be rows to ``rows``; a data fix names each other one.

    A URL that is too long is left out: cut, it would lead nowhere.
    """
    for image in images or ():
        if (
            image
            and (height := image.height)
            and (width := image.width)
            and (url := image.url)
            and 0 < height <= INTEGER_MAX
            and 0 < width <= INTEGER_MAX
            and 0 < len(url := clean(url)) <= URL
        ):
            key = id_, height, width
            if key not in rows or rows[key].url < url:
                rows[key] = _image((id_, height, width, url))
        else:
            data_fixes.add(
                DataFix(kind, id_, "images", "an image without a usable size or URL left out")
            )


def usable_popularity(
    kind: str, id_: str, value: int | None, data_fixes: set[DataFix]
) -> int | None:
    """Return a popularity of 0-100; None, with a data fix, where it is out of range."""
    popularity = whole(value, 0, 100)
    if value is not None and popularity is None:
        data_fixes.add(DataFix(kind, id_, "popularity", "outside of 0-100, left out"))
    return popularity


def fit(text: str, length: int, kind: str, id_: str, data_fixes: set[DataFix]) -> str:
    """Return a name cleaned and cut to ``length`` characters, with a data fix for either."""
    if len(text) <= length and text.isprintable():
        return text
    cleaned = clean(text)
    if cleaned != text:
        data_fixes.add(DataFix(kind, id_, "name", "characters that cannot be stored dropped"))
    if len(cleaned) > length:
        data_fixes.add(DataFix(kind, id_, "name", f"cut to {length} characters"))
    return cleaned[:length]
