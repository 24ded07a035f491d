"""Turn rows of an export into streams, or say why they are none."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial

from songswap.models import ExportTrack, RejectedItem, Stream
from songswap.transform import responses
from songswap.transform.exports.kinds import Kind
from songswap.transform.exports.rows import AccountEntry, Entry
from songswap.transform.exports.times import export_time, offline_end
from songswap.transform.values import INTEGER_MAX, clean, is_id, is_plausible

NO_TIME = "not a time"

_TRACK = "spotify:track:"
_LOCAL = "spotify:local:"
_OTHERS = {
    "spotify:episode:": "podcast",
    "spotify:show:": "podcast",
    "spotify:chapter:": "audiobook",
    "spotify:audiobook:": "audiobook",
}

# Without the Python function that names the fields, which takes as long as the checks of a row.
_stream = partial(tuple.__new__, Stream)


@dataclass(slots=True)
class File:
    """The content of a file of an export.

    ``rows`` counts its rows; each of them is a stream, left out or rejected. ``owners`` are the
    user names in it. ``archivable`` is a JSON list of its rows without personal fields. Of a
    hand-over there are also ``plays`` of the API, time and track, and ``tracks``; see `own`.
    ``may_have_holes`` marks rows in Spotify's form that a hand-over has written.
    """

    kind: Kind
    rows: int = 0
    streams: list[Stream] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    rejected_items: list[RejectedItem] = field(default_factory=list)
    owners: set[str] = field(default_factory=set)
    archivable: bytes = b""
    plays: list[tuple[datetime, str]] = field(default_factory=list)
    tracks: list[ExportTrack] = field(default_factory=list)
    may_have_holes: bool = False

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """The ends of the first and the last stream; None where streams may lack between."""
        ends = [] if self.may_have_holes else [stream.ended_at for stream in self.streams]
        return (min(ends), max(ends)) if ends else None

    def add(self, row: Entry, imported_at: datetime) -> str | None:
        """Add a row of the extended history as a stream or as left out.

        Returns:
            Why it can be neither; None where it was added.
        """
        if row.songswap_export is not None:
            self.may_have_holes = True
        if row.username:
            self.owners.add(row.username)
        uri = row.spotify_track_uri
        track_id = _track_of(uri) if uri else None
        if track_id is None:
            if kind := _other_kind(row):
                self.left_out[kind] += 1
                return None
            if uri and not uri.startswith(_LOCAL):
                return "spotify_track_uri: not a track's"
        ended_at = export_time(row.ts)
        reason = implausible("ts", row.ts, ended_at, "ms_played", row.ms_played, imported_at)
        if reason or ended_at is None or row.ms_played is None:
            return reason
        reported_at = None
        if row.offline:
            started_at = export_time(row.offline_timestamp)
            if end := offline_end(ended_at, started_at, row.ms_played):
                ended_at, reported_at = end, ended_at
        stream = (
            ended_at,
            row.ms_played,
            track_id,
            text_of(row.master_metadata_track_name),
            text_of(row.master_metadata_album_artist_name),
            text_of(row.master_metadata_album_album_name),
            text_of(row.reason_start),
            text_of(row.reason_end),
            row.shuffle,
            row.skipped,
            row.offline,
            row.incognito_mode,
            text_of(row.platform),
            text_of(row.conn_country),
            False,
            0,
            reported_at,
            None,
        )
        self.streams.append(_stream(stream))
        return None

    def add_account(self, row: AccountEntry, imported_at: datetime) -> str | None:
        """Add a row of account data; as `add`."""
        if row.songswap_export is not None:
            self.may_have_holes = True
        if row.podcastName and not row.trackName:
            self.left_out["podcast"] += 1
            return None
        ended_at = export_time(row.endTime)
        if ended_at:
            # Exact to the minute only, whatever else is written.
            ended_at = ended_at.replace(second=0, microsecond=0)
        reason = implausible(
            "endTime", row.endTime, ended_at, "msPlayed", row.msPlayed, imported_at
        )
        if reason or ended_at is None or row.msPlayed is None:
            return reason
        names = text_of(row.trackName), text_of(row.artistName)
        self.streams.append(Stream(ended_at, row.msPlayed, None, *names, to_the_minute=True))
        return None


def _other_kind(row: Entry) -> str | None:
    """Return what a row is that is no track, by its address, else by its other fields."""
    uri = row.spotify_track_uri
    if uri:
        if uri.startswith(_TRACK):
            return None
        return next((kind for scheme, kind in _OTHERS.items() if uri.startswith(scheme)), None)
    if row.master_metadata_track_name:
        return None
    if row.spotify_episode_uri or row.episode_name or row.episode_show_name:
        return "podcast"
    if row.audiobook_uri or row.audiobook_title or row.audiobook_chapter_uri:
        return "audiobook"
    return None


def implausible(
    time_field: str,
    text: str | float | None,
    ended_at: datetime | None,
    ms_field: str,
    ms_played: int | None,
    imported_at: datetime,
) -> str | None:
    """Return why the end and the length of a row cannot be a stream's; None where they can."""
    if not text:
        return f"{time_field}: {responses.MISSING}"
    if ended_at is None:
        return f"{time_field}: {NO_TIME}"
    if not is_plausible(ended_at, imported_at):
        return f"{time_field}: before Spotify or in the future"
    if ms_played is None:
        return f"{ms_field}: {responses.MISSING}"
    if not 0 <= ms_played <= INTEGER_MAX:
        return f"{ms_field}: out of range"
    return None


# Texts and tracks repeat: each is checked, and held in memory, once.
@lru_cache(65_536)
def text_of(text: str | None) -> str | None:
    """Return text as PostgreSQL takes it; None where it is empty."""
    return clean(text) if text else None


@lru_cache(65_536)
def _track_of(uri: str) -> str | None:
    """Return the id in a track's address; None where it is no track's."""
    track_id = uri.removeprefix(_TRACK)
    return track_id if track_id != uri and is_id(track_id) else None
