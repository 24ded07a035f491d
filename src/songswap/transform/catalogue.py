"""Merge the tracks of several responses: of two values the larger wins, in any order.

So responses give the same rows one by one, in batches of any size, and in a replay (docs/adr/0012).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from songswap.models import Artist, ArtistTrack, Catalogue, Image, Popularity, Preview, Track


def merge_catalogues(catalogues: Sequence[Catalogue]) -> Catalogue:
    """Merge the rows of catalogues, without their data fixes.

    Tracks are incomplete that are so in any of them.
    """
    if len(catalogues) == 1:
        return catalogues[0]
    rows = Catalogue()
    for catalogue in catalogues:
        for track in catalogue.tracks.values():
            add_track(rows, track)
        for artist in catalogue.artists.values():
            add_artist(rows, artist)
        for link in catalogue.artist_tracks.values():
            add_link(rows, link)
        add_images(rows.track_images, catalogue.track_images.values())
        for preview in catalogue.track_previews.values():
            add_preview(rows, preview)
        for observed in catalogue.track_popularity.values():
            add_popularity(rows, observed)
        for id_, form in catalogue.forms.items():
            if rows.forms.setdefault(id_, form) != form:
                rows.forms[id_] = 0
        rows.incomplete |= catalogue.incomplete
    return rows


def split_catalogue(catalogue: Catalogue, shard_of: Callable[[str], int]) -> dict[int, Catalogue]:
    """Split the rows of a catalogue by the shard of their track, without data fixes.

    An artist is in each shard that has a track of theirs.
    """
    parts: defaultdict[int, Catalogue] = defaultdict(Catalogue)
    for id_, track in catalogue.tracks.items():
        parts[shard_of(id_)].tracks[id_] = track
    for link_key, link in catalogue.artist_tracks.items():
        part = parts[shard_of(link.track_id)]
        part.artist_tracks[link_key] = link
        if artist := catalogue.artists.get(link.artist_id):
            part.artists[artist.id] = artist
    for popularity_key, observed in catalogue.track_popularity.items():
        parts[shard_of(observed.id)].track_popularity[popularity_key] = observed
    for image_key, image in catalogue.track_images.items():
        parts[shard_of(image.id)].track_images[image_key] = image
    for id_, preview in catalogue.track_previews.items():
        parts[shard_of(id_)].track_previews[id_] = preview
    for id_, form in catalogue.forms.items():
        parts[shard_of(id_)].forms[id_] = form
    for id_ in catalogue.incomplete:
        parts[shard_of(id_)].incomplete.add(id_)
    return parts


def larger_track(left: Track, right: Track) -> Track:
    """Return the larger of each value of two rows of a track."""
    if left == right:
        return left
    return Track(left.id, max(left.name, right.name), max(left.duration_ms, right.duration_ms))


def add_track(rows: Catalogue, track: Track) -> None:
    """Add a track's name and duration."""
    known = rows.tracks.setdefault(track.id, track)
    if known is not track and known != track:
        rows.tracks[track.id] = larger_track(known, track)


def add_artist(rows: Catalogue, artist: Artist) -> None:
    """Add an artist's name."""
    known = rows.artists.setdefault(artist.id, artist)
    if known.name < artist.name:
        rows.artists[artist.id] = artist


def add_link(rows: Catalogue, link: ArtistTrack) -> None:
    """Add an artist of a track; primary if any response says so."""
    key = link[:2]
    if link.is_primary > rows.artist_tracks.setdefault(key, link).is_primary:
        rows.artist_tracks[key] = link


def add_images(images: dict[tuple[str, int, int], Image], more: Iterable[Image]) -> None:
    """Add images, by their track or artist, height and width."""
    for image in more:
        key = image[:3]
        known = images.setdefault(key, image)
        if known is not image and known.url < image.url:
            images[key] = image


def add_preview(rows: Catalogue, preview: Preview) -> None:
    """Add a track's preview."""
    if rows.track_previews.setdefault(preview.id, preview).url < preview.url:
        rows.track_previews[preview.id] = preview


def add_popularity(rows: Catalogue, observed: Popularity) -> None:
    """Keep the earliest observation of each value in a day."""
    key = (observed.id, observed.date.date(), observed.popularity)
    if observed.date < rows.track_popularity.setdefault(key, observed).date:
        rows.track_popularity[key] = observed


def with_one_primary(links: Iterable[ArtistTrack]) -> list[ArtistTrack]:
    """Leave each track one primary artist: of several, the one with the largest id.

    Args:
        links: all of each track, received and stored.
    """
    links = list(links)
    primary: dict[str, str] = {}
    for track_id, artist_id, is_primary in links:
        if is_primary and primary.get(track_id, "") < artist_id:
            primary[track_id] = artist_id
    return [
        link
        if link.is_primary == (primary.get(link.track_id) == link.artist_id)
        else link._replace(is_primary=False)
        for link in links
    ]
