"""What answers tell of tracks one after the other → what they tell together."""

from collections.abc import Sequence

from songswap.models import Catalogue


def joined(told: Sequence[Catalogue]) -> Catalogue:
    """The rows of catalogues: what is told first stands, and what it left out is filled in.

    Notes, and which tracks are incomplete, stay with the answers that told them.
    """
    if len(told) == 1:
        return told[0]
    rows = Catalogue()
    for one in told:
        _add(rows, one)
    for one in reversed(told):
        rows.artist_tracks |= one.artist_tracks
        rows.track_images |= one.track_images
        rows.track_previews |= one.track_previews
    return rows


def _add(rows: Catalogue, told: Catalogue) -> None:
    """Add what is filled in by later answers, or observed earlier."""
    for id_, track in told.tracks.items():
        known = rows.tracks.setdefault(id_, track)
        if not known.name or not known.duration_ms:
            name, duration_ms = known.name or track.name, known.duration_ms or track.duration_ms
            rows.tracks[id_] = track._replace(name=name, duration_ms=duration_ms)
    for id_, artist in told.artists.items():
        if not rows.artists.setdefault(id_, artist).name:
            rows.artists[id_] = artist
    for key, observed in told.track_popularity.items():
        if observed.date < rows.track_popularity.setdefault(key, observed).date:
            rows.track_popularity[key] = observed
