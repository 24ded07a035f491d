"""Match plays with streams by the names of track and artist, where their ids differ.

One recording can have several ids, and the API may give another than an export; account data has
names alone, which several tracks may share.
"""

from collections.abc import Callable, Mapping, Sequence

from songswap.models import Stream
from songswap.transform.exports.intervals import StreamInterval
from songswap.transform.exports.matching import Play, match
from songswap.transform.track import ARTIST_NAME, TRACK_NAME

TrackNames = tuple[str, str]
"""The names of a track and of its first artist, empty where they are missing."""

NameLookup = Callable[[Sequence[str]], Mapping[str, TrackNames]]
"""Returns the known names of tracks by their ids."""


def names_of(stream: Stream) -> TrackNames:
    """Return the names of a stream's track and artist."""
    return stream.track_name or "", stream.artist_name or ""


def match_by_names(
    plays: Sequence[Play],
    streams: Sequence[StreamInterval],
    stream_names: Sequence[TrackNames],
    names: NameLookup,
) -> dict[int, int]:
    """Pair plays with streams of the same track, one to one, and the rest by names.

    Args:
        streams: the track id is empty where it is not known.
        stream_names: the names of each of ``streams``.

    Returns:
        The positions in ``plays`` by the positions of their streams in ``streams``.
    """
    pairs = match(plays, streams)
    paired = set(pairs.values())
    left_plays = [play for play in range(len(plays)) if play not in paired]
    left_streams = [
        stream for stream, (name, _) in enumerate(stream_names) if name and stream not in pairs
    ]
    if not left_plays or not left_streams:
        return pairs
    play_names = names(sorted({plays[play][1] for play in left_plays}))
    left_plays = [play for play in left_plays if plays[play][1] in play_names]
    if left_plays:
        named = [(at, _key(play_names[id_])) for at, id_ in map(plays.__getitem__, left_plays)]
        renamed = [_by_names(streams[stream], stream_names[stream]) for stream in left_streams]
        more = match(named, renamed)
        pairs |= {left_streams[stream]: left_plays[play] for stream, play in more.items()}
    return pairs


def _by_names(stream: StreamInterval, names: TrackNames) -> StreamInterval:
    """Return a stream with its names in the place of its track id."""
    # A play with another id is not matched across a long pause.
    if stream.track_id:
        stream = stream._replace(after=stream.started_at, until=None)
    return stream._replace(track_id=_key(names))


def _key(names: TrackNames) -> str:
    """Return names as they are compared: cut to the length of the API's in the warehouse."""
    name, artist = names
    return f"{name[:TRACK_NAME]}\n{artist[:ARTIST_NAME]}".casefold()
