"""Audio features of ``features_spotify.json``: two in another order than requested, one unknown.

One is noise: values at the edge of their ranges, no key, no tempo, no time signature.
"""

from functools import partial

from songswap.checks.acceptance import metadata
from songswap.checks.acceptance.load import LoadCheck
from songswap.checks.acceptance.metadata import AT
from songswap.checks.acceptance.sample import Sample
from songswap.transform import metadata as transform

_TRACK_1, _NOISE, _UNKNOWN = _TRACKS = (
    "SongSwapTestFTrack0001",
    "SongSwapTestFTrack0002",
    "SongSwapTestFTrack0003",
)
_SAMPLE = Sample(AT, _TRACKS, kind="features", requested=_TRACKS)

CHECK = LoadCheck(
    file="features_spotify.json",
    sample=_SAMPLE,
    transform=partial(transform.features, requested=_TRACKS),
    rows_of=metadata.rows_of,
    load=partial(metadata.load, _SAMPLE),
    transform_module=metadata.TRANSFORM_MODULE,
    load_module=metadata.LOAD_MODULE,
    common={
        # acousticness, danceability, energy, instrumentalness, key, liveness, loudness, mode,
        # speechiness, tempo, time_signature, valence
        "TrackFeatures": [
            (_TRACK_1, 0.514, 0.735, 0.578, 0.0902, 5, 0.159, -11.84, 1, 0.0461, 98.002, 4, 0.624),
            (_NOISE, 0.0, 0.0, 1.0, 1.0, -1, 0.05, -41.5, 0, 0.95, 0.0, 0, 0.25),
        ],
    },
    transformed={"known": [(_TRACK_1,), (_NOISE,)], "unknown": [(_UNKNOWN,)]},
    stored={
        "Tracks": [(track, "", 0) for track in _TRACKS],
        "metadata": [
            ("features", _TRACK_1, True, False),
            ("features", _NOISE, True, False),
            ("features", _UNKNOWN, False, True),
            *(("track", track, False, False) for track in _TRACKS),
        ],
    },
)
