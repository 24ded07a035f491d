"""A track, as a play or ``/tracks`` tells it → its rows in a catalogue."""

from datetime import datetime

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
from songswap.transform import responses
from songswap.transform.values import INTEGER_MAX, clean, is_id, whole

TRACK_NAME = 240
ARTIST_NAME = 120
URL = 240


def add_track(
    catalogue: Catalogue, told: responses.Track, problems: responses.Problems, observed_at: datetime
) -> None:
    """Add a track to ``catalogue``, with its artists, images, preview and popularity.

    Of what several items tell of one track the larger value stands, see
    `songswap.transform.catalogue`; the popularity is an observation of its own.

    Args:
        told: the track; its id must be a valid one.
        problems: what was taken out of it while it was read, by path.
        observed_at: when Spotify told it (aware, UTC).
    """
    track_id = told.id
    if track_id is None:
        return
    form = _form(told)
    as_told = form, told.popularity
    if not problems:
        if catalogue.last.get(track_id) == as_told:
            _observe(catalogue, track_id, whole(told.popularity, 0, 100), observed_at)
            return
        catalogue.last[track_id] = as_told
    if catalogue.forms.setdefault(track_id, form) != form:
        catalogue.forms[track_id] = 0
    data_fixes = {DataFix("track", track_id, path, problem) for path, problem in problems.items()}
    duration_ms = whole(told.duration_ms, 0, INTEGER_MAX)
    if duration_ms is None:
        data_fixes.add(
            DataFix("track", track_id, "duration_ms", "missing or out of range, kept as 0")
        )
    if told.name is None:
        data_fixes.add(DataFix("track", track_id, "name", "missing, kept as empty"))
    name = fit(told.name or "", TRACK_NAME, "track", track_id, data_fixes)
    known = track_id in catalogue.tracks
    merge.add_track(catalogue, Track(track_id, name, duration_ms or 0))

    _add_artists(catalogue, track_id, told.artists, data_fixes)
    images = told.album.images if told.album else None
    merge.add_images(catalogue.track_images, usable_images("track", track_id, images, data_fixes))
    _add_preview(catalogue, track_id, told.preview_url, data_fixes)
    popularity = usable_popularity("track", track_id, told.popularity, data_fixes)
    _observe(catalogue, track_id, popularity, observed_at)

    # A cut name is as complete as the column allows: asking again would tell nothing new.
    broken = data_fixes and any(
        note.field != "name" or note.problem.startswith("missing") for note in data_fixes
    )
    if not (broken or images is None or popularity is None or not told.artists):
        catalogue.incomplete.discard(track_id)
    elif not known:
        catalogue.incomplete.add(track_id)
    catalogue.data_fixes |= data_fixes


def _observe(
    catalogue: Catalogue, track_id: str, popularity: int | None, observed_at: datetime
) -> None:
    if popularity is None:
        return
    key = track_id, observed_at.date(), popularity
    known = catalogue.track_popularity.get(key)
    if known is None or observed_at < known.date:
        catalogue.track_popularity[key] = Popularity(track_id, observed_at, popularity)


_encode = msgspec.msgpack.Encoder().encode


def _form(told: responses.Track) -> int:
    """A checksum, of 64 bits with a sign, of all that is told of a track but its popularity."""
    values = (told.name, told.duration_ms, told.preview_url, told.artists, told.album)
    try:
        text = _encode(values)
    except (ValueError, OverflowError):  # half of a surrogate pair, a number beyond 64 bits
        text = repr(values).encode("utf-8", "backslashreplace")
    return (zlib_ng.crc32(text) << 32 | zlib_ng.adler32(text)) - 2**63


def _add_artists(
    catalogue: Catalogue,
    track_id: str,
    artists: list[responses.Artist | None] | None,
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
        # The first artist alone is primary: where that one has no id, nobody is.
        if position == 0 or (track_id, artist_id) not in catalogue.artist_tracks:
            link = ArtistTrack._make((track_id, artist_id, position == 0))
            catalogue.artist_tracks[track_id, artist_id] = link
        if known and known.name == artist.name:
            continue
        if artist.name is None:
            data_fixes.add(DataFix("artist", artist_id, "name", "missing, kept as empty"))
        name = fit(artist.name or "", ARTIST_NAME, "artist", artist_id, data_fixes)
        if not known or known.name < name:
            catalogue.artists[artist_id] = Artist(artist_id, name)


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


def usable_images(
    kind: str, of: str, images: list[responses.Image | None] | None, data_fixes: set[DataFix]
) -> list[Image]:
    """The images that can be rows; each other one is noted. A cut URL would be a wrong one."""
    rows = []
    for image in images or ():
        height, width, url = (image.height, image.width, image.url) if image else (0, 0, "")
        if (
            height
            and width
            and url
            and 0 < height <= INTEGER_MAX
            and 0 < width <= INTEGER_MAX
            and 0 < len(url := clean(url)) <= URL
        ):
            rows.append(Image._make((of, height, width, url)))
        else:
            data_fixes.add(
                DataFix(kind, of, "images", "an image without a usable size or URL left out")
            )
    return rows


def usable_popularity(
    kind: str, of: str, value: int | None, data_fixes: set[DataFix]
) -> int | None:
    """A popularity of 0-100, or None; a value out of range is noted."""
    popularity = whole(value, 0, 100)
    if value is not None and popularity is None:
        data_fixes.add(DataFix(kind, of, "popularity", "outside of 0-100, left out"))
    return popularity


def fit(text: str, length: int, kind: str, of: str, data_fixes: set[DataFix]) -> str:
    """``text`` cleaned and cut to ``length`` characters; both are noted."""
    cleaned = clean(text)
    if cleaned != text:
        data_fixes.add(DataFix(kind, of, "name", "characters that cannot be stored dropped"))
    if len(cleaned) > length:
        data_fixes.add(DataFix(kind, of, "name", f"cut to {length} characters"))
    return cleaned[:length]
