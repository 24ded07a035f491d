"""A track, as a play or ``/tracks`` tells it → its rows in a catalogue."""

from datetime import datetime

from songswap.models import (
    Artist,
    ArtistTrack,
    Catalogue,
    Image,
    Note,
    Popularity,
    Preview,
    Track,
)
from songswap.transform import answer
from songswap.transform.value import INTEGER_MAX, clean, is_id, whole

TRACK_NAME = 240
ARTIST_NAME = 120
URL = 240


def add_track(
    catalogue: Catalogue, told: answer.Track, problems: answer.Problems, observed_at: datetime
) -> None:
    """Add a track to ``catalogue``, with its artists, images, preview and popularity.

    What an earlier item told of the same track stands; what it left out is filled in. The
    popularity is an observation of its own, whatever was told before.

    Args:
        told: the track; its id must be a valid one.
        problems: what was taken out of it while it was read, by path.
        observed_at: when Spotify told it (aware, UTC).
    """
    track_id = told.id
    if track_id is None:
        return
    known = catalogue.tracks.get(track_id)
    if known and track_id not in catalogue.incomplete:
        _observe(catalogue, track_id, whole(told.popularity, 0, 100), observed_at)
        return
    notes = {Note("track", track_id, path, problem) for path, problem in problems.items()}
    duration_ms = whole(told.duration_ms, 0, INTEGER_MAX)
    if duration_ms is None:
        notes.add(Note("track", track_id, "duration_ms", "missing or out of range, kept as 0"))
    if told.name is None:
        notes.add(Note("track", track_id, "name", "missing, kept as empty"))
    name = fit(told.name or "", TRACK_NAME, "track", track_id, notes)
    if known:
        name, duration_ms = known.name or name, known.duration_ms or duration_ms
    catalogue.tracks[track_id] = Track(track_id, name, duration_ms or 0)

    _add_artists(catalogue, track_id, told.artists, notes)
    images = told.album.images if told.album else None
    for image in usable_images("track", track_id, images, notes):
        catalogue.track_images.setdefault(image[:3], image)
    _add_preview(catalogue, track_id, told.preview_url, notes)
    popularity = usable_popularity("track", track_id, told.popularity, notes)
    _observe(catalogue, track_id, popularity, observed_at)

    # A cut name is as complete as the column allows: asking again would tell nothing new.
    broken = notes and any(
        note.field != "name" or note.problem.startswith("missing") for note in notes
    )
    if broken or images is None or popularity is None or not told.artists:
        catalogue.incomplete.add(track_id)
    else:
        catalogue.incomplete.discard(track_id)
    catalogue.notes |= notes


def _observe(
    catalogue: Catalogue, track_id: str, popularity: int | None, observed_at: datetime
) -> None:
    """Keep the earliest observation of each value in a day, so that no order of answers matters."""
    if popularity is None:
        return
    key = (track_id, observed_at.date(), popularity)
    earliest = catalogue.track_popularity.get(key)
    if earliest is None or observed_at < earliest.date:
        catalogue.track_popularity[key] = Popularity(track_id, observed_at, popularity)


def _add_artists(
    catalogue: Catalogue,
    track_id: str,
    artists: list[answer.Artist | None] | None,
    notes: set[Note],
) -> None:
    for position, artist in enumerate(artists or []):
        if artist is None or artist.id is None or not is_id(artist.id):
            notes.add(Note("track", track_id, "artists", "an artist without a usable id left out"))
            continue
        # The first artist alone is primary: where that one has no id, nobody is.
        link = ArtistTrack(track_id, artist.id, position == 0)
        catalogue.artist_tracks.setdefault((track_id, artist.id), link)
        known = catalogue.artists.get(artist.id)
        if known is None or not known.name:
            if artist.name is None:
                notes.add(Note("artist", artist.id, "name", "missing, kept as empty"))
            name = fit(artist.name or "", ARTIST_NAME, "artist", artist.id, notes)
            catalogue.artists[artist.id] = Artist(artist.id, name)


def _add_preview(catalogue: Catalogue, track_id: str, url: str | None, notes: set[Note]) -> None:
    if url is None:
        return
    url = clean(url)
    if 0 < len(url) <= URL:
        catalogue.track_previews[track_id] = Preview(track_id, url)
    else:
        notes.add(Note("track", track_id, "preview_url", "empty or too long, left out"))


def usable_images(
    kind: str, of: str, images: list[answer.Image | None] | None, notes: set[Note]
) -> list[Image]:
    """The images that can be rows; each other one is noted. A cut URL would be a wrong one."""
    rows = []
    for image in images or []:
        height = whole(image.height, 1, INTEGER_MAX) if image else None
        width = whole(image.width, 1, INTEGER_MAX) if image else None
        url = clean(image.url or "") if image else ""
        if height is None or width is None or not 0 < len(url) <= URL:
            notes.add(Note(kind, of, "images", "an image without a usable size or URL left out"))
        else:
            rows.append(Image(of, height, width, url))
    return rows


def usable_popularity(kind: str, of: str, value: int | None, notes: set[Note]) -> int | None:
    """A popularity of 0-100, or None; a value out of range is noted."""
    popularity = whole(value, 0, 100)
    if value is not None and popularity is None:
        notes.add(Note(kind, of, "popularity", "outside of 0-100, left out"))
    return popularity


def fit(text: str, length: int, kind: str, of: str, notes: set[Note]) -> str:
    """``text`` cleaned and cut to ``length`` characters; both are noted."""
    cleaned = clean(text)
    if cleaned != text:
        notes.add(Note(kind, of, "name", "characters that cannot be stored dropped"))
    if len(cleaned) > length:
        notes.add(Note(kind, of, "name", f"cut to {length} characters"))
    return cleaned[:length]
