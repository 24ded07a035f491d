"""Merge the tracks of several responses: of two values the larger wins, in any order.

So responses give the same rows one by one, in batches of any size, and in a replay (docs/adr/0012).
"""

from collections.abc import Iterable, Sequence, Set

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


def select_tracks(catalogue: Catalogue, ids: Set[str]) -> Catalogue:
    """Return the rows of these tracks and of their artists; data fixes do not matter."""
    if not ids:
        return Catalogue()
    if ids >= catalogue.tracks.keys():
        return catalogue
    links = {key: row for key, row in catalogue.artist_tracks.items() if row.track_id in ids}
    artists = {row.artist_id for row in links.values()}
    images, observed = catalogue.track_images.items(), catalogue.track_popularity.items()
    return Catalogue(
        {id_: row for id_, row in catalogue.tracks.items() if id_ in ids},
        {id_: row for id_, row in catalogue.artists.items() if id_ in artists},
        links,
        {key: row for key, row in observed if row.id in ids},
        {key: row for key, row in images if row.id in ids},
        {id_: row for id_, row in catalogue.track_previews.items() if id_ in ids},
        incomplete=catalogue.incomplete & ids,
        forms={id_: form for id_, form in catalogue.forms.items() if id_ in ids},
    )


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
