"""Plays and streams that are the same by the names of track and artist, where the ids say nothing.

One recording can have several ids, of which the API and an export tell different ones; and account
data tells names alone, which several tracks may share.
"""

from collections.abc import Callable, Mapping, Sequence

from songswap.transform.exports.matching import Play, StreamInterval, match
from songswap.transform.track import ARTIST_NAME, TRACK_NAME

Called = tuple[str, str]
"""The names of a track and of its first artist, empty where they are not told."""

Names = Callable[[Sequence[str]], Mapping[str, Called]]
"""Gives the names of tracks by their ids, as far as they are known."""


def match_by_names(
    plays: Sequence[Play], streams: Sequence[StreamInterval], called: Sequence[Called], names: Names
) -> dict[int, int]:
    """Pair plays with streams of the same track, one to one, and what is left by names.

    Args:
        streams: the track id is empty where it is not known.
        called: the names of each of ``streams``.

    Returns:
        By a stream's place in ``streams``, the place in ``plays`` of the play that it is.
    """
    pairs = match(plays, streams)
    paired = set(pairs.values())
    left = [place for place in range(len(plays)) if place not in paired]
    rest = [place for place, (name, _) in enumerate(called) if name and place not in pairs]
    named = names(sorted({plays[place][1] for place in left})) if left and rest else {}
    left = [place for place in left if plays[place][1] in named]
    if left:
        told = [(at, _spoken(named[track_id])) for at, track_id in map(plays.__getitem__, left)]
        heard = [_by_names(streams[place], called[place]) for place in rest]
        pairs |= {rest[stream]: left[play] for stream, play in match(told, heard).items()}
    return pairs


def _by_names(stream: StreamInterval, called: Called) -> StreamInterval:
    """A stream as it is compared by names."""
    # Under another id a long pause is no reason to take it for the same.
    if stream.track_id:
        stream = stream._replace(after=stream.started_at, until=None)
    return stream._replace(track_id=_spoken(called))


def _spoken(called: Called) -> str:
    """Names as they are compared: as much of them as is kept of the API's."""
    name, artist = called
    return f"{name[:TRACK_NAME]}\n{artist[:ARTIST_NAME]}".casefold()
