"""Turn rows that a warehouse handed over into plays, streams and tracks, or say why they are none.

    plays_1.jsonl    ──▶ plays of the API; those of exports come with their streams
    streams_1.jsonl  ──▶ streams, each with the play that it was
    tracks_1.jsonl   ──▶ what an export may say of tracks

A person can have edited them: they may say no more than a file of Spotify's.
"""

from datetime import datetime

from songswap.models import ExportTrack, Stream
from songswap.transform import responses
from songswap.transform.exports.intervals import LONGEST_OFFLINE
from songswap.transform.exports.rows import OwnPlay, OwnStream, OwnTrack
from songswap.transform.exports.streams import NO_TIME, File, implausible, text_of
from songswap.transform.exports.times import AHEAD, export_time
from songswap.transform.values import INTEGER_MAX, is_id, is_plausible, whole

_FROM_API, _FROM_EXPORT = "api", "export"

_NO_ID = "not an id"


def add_play(file: File, row: OwnPlay, imported_at: datetime) -> str | None:
    """Add a play of the API to a file; another one comes with its stream.

    Returns:
        Why it can be none; None where it can.
    """
    if row.source == _FROM_EXPORT:
        return None
    if row.source != _FROM_API:
        return f"source: neither {_FROM_API} nor {_FROM_EXPORT}"
    if not row.track_id:
        return f"track_id: {responses.MISSING}"
    if not is_id(row.track_id):
        return f"track_id: {_NO_ID}"
    played_at = export_time(row.played_at)
    reason = implausible("played_at", row.played_at, played_at, "", 0, imported_at)
    if reason or played_at is None:
        return reason
    file.plays.append((played_at, row.track_id))
    return None


def add_stream(file: File, row: OwnStream, imported_at: datetime) -> str | None:
    """Add a stream to a file; as `add_play`."""
    if row.track_id is not None and not is_id(row.track_id):
        return f"track_id: {_NO_ID}"
    ended_at = export_time(row.ended_at)
    reason = implausible(
        "ended_at", row.ended_at, ended_at, "ms_played", row.ms_played, imported_at
    )
    if reason or ended_at is None or row.ms_played is None:
        return reason
    if row.to_the_minute:
        ended_at = ended_at.replace(second=0, microsecond=0)
    reported_at, played_at = export_time(row.reported_at), export_time(row.played_at)
    if row.reported_at is not None and reported_at is None:
        return f"reported_at: {NO_TIME}"
    if row.played_at is not None and played_at is None:
        return f"played_at: {NO_TIME}"
    if reported_at and not ended_at - AHEAD <= reported_at <= ended_at + LONGEST_OFFLINE:
        return "reported_at: not near the end"
    if played_at and not is_plausible(played_at, imported_at):
        played_at = None
    file.streams.append(
        Stream(
            ended_at,
            row.ms_played,
            row.track_id,
            text_of(row.track_name),
            text_of(row.artist_name),
            text_of(row.album_name),
            text_of(row.reason_start),
            text_of(row.reason_end),
            row.shuffle,
            row.skipped,
            row.offline,
            row.incognito,
            text_of(row.platform),
            text_of(row.country),
            to_the_minute=bool(row.to_the_minute),
            reported_at=reported_at,
            played_at=played_at,
        )
    )
    return None


def add_track(file: File, row: OwnTrack, _: datetime) -> str | None:
    """Add what a hand-over says of a track to a file; as `add_play`."""
    if not row.id:
        return f"id: {responses.MISSING}"
    if not is_id(row.id):
        return f"id: {_NO_ID}"
    name, artist, album = map(text_of, (row.name, row.artist_name, row.album_name))
    duration_ms = whole(row.duration_ms, 0, INTEGER_MAX) or 0
    file.tracks.append(ExportTrack(row.id, name, artist or "", album or "", duration_ms))
    return None
