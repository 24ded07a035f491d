"""The tracks of ``tracks_spotify.json``: two in another order than requested, and one unknown.

One has two artists and no preview.
"""

from functools import partial

from songswap.checks.acceptance import metadata
from songswap.checks.acceptance.load import LoadCheck
from songswap.checks.acceptance.metadata import AT
from songswap.checks.acceptance.sample import Sample
from songswap.transform import metadata as transform

_TRACK_1, _TRACK_2, _UNKNOWN = _TRACKS = (
    "SongSwapTestTTrack0001",
    "SongSwapTestTTrack0002",
    "SongSwapTestTTrack0003",
)
_ARTIST_1, _ARTIST_2 = _ARTISTS = ("SongSwapTestTArtist001", "SongSwapTestTArtist002")
_SAMPLE = Sample(AT, _TRACKS, _ARTISTS, kind="track", requested=_TRACKS)
_IMAGES = "https://images.songswap.invalid"
_KNOWN_TRACKS = [(_TRACK_1, "Platform Nine", 187250), (_TRACK_2, "Ça va, Miroir?", 312500)]

CHECK = LoadCheck(
    file="tracks_spotify.json",
    sample=_SAMPLE,
    transform=partial(transform.tracks, requested=_TRACKS, observed_at=AT),
    rows_of=metadata.rows_of,
    load=partial(metadata.load, _SAMPLE),
    transform_module="songswap/transform/metadata.py and track.py",
    load_module=metadata.LOAD_MODULE,
    common={
        "Artists": [(_ARTIST_1, "Velvet Turnstile"), (_ARTIST_2, "Ines of the Hill")],
        "ArtistTracks": [
            (_TRACK_1, _ARTIST_1, True),
            (_TRACK_2, _ARTIST_2, True),
            (_TRACK_2, _ARTIST_1, False),
        ],
        "TrackPopularity": [(_TRACK_1, AT, 72), (_TRACK_2, AT, 44)],
        "TrackImages": [
            (_TRACK_1, 640, 640, f"{_IMAGES}/last-train/640"),
            (_TRACK_1, 300, 298, f"{_IMAGES}/last-train/300"),
            (_TRACK_1, 64, 64, f"{_IMAGES}/last-train/64"),
            (_TRACK_2, 640, 640, f"{_IMAGES}/glass-weather/640"),
            (_TRACK_2, 300, 298, f"{_IMAGES}/glass-weather/300"),
            (_TRACK_2, 64, 64, f"{_IMAGES}/glass-weather/64"),
        ],
        "TrackPreviews": [(_TRACK_1, "https://previews.songswap.invalid/platform")],
    },
    transformed={
        "Tracks": _KNOWN_TRACKS,
        "known": [(_TRACK_1,), (_TRACK_2,)],
        "unknown": [(_UNKNOWN,)],
    },
    stored={
        "Tracks": [*_KNOWN_TRACKS, (_UNKNOWN, "", 0)],
        "metadata": [
            ("track", _TRACK_1, True, False),
            ("track", _TRACK_2, True, False),
            ("track", _UNKNOWN, False, True),
            ("artist", _ARTIST_1, False, False),
            ("artist", _ARTIST_2, False, False),
            *(("features", track, False, False) for track in _TRACKS),
        ],
    },
)
