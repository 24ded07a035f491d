"""The artists of ``artists_spotify.json``: two in another order than requested, and one unknown.

One has only a name, and a popularity and followers of 0: a complete artist all the same.
"""

from functools import partial

from songswap.checks.acceptance import metadata
from songswap.checks.acceptance.load import LoadCheck
from songswap.checks.acceptance.metadata import AT
from songswap.checks.acceptance.sample import Sample
from songswap.transform import metadata as transform

_ARTIST_1, _ARTIST_2, _UNKNOWN = _ARTISTS = (
    "SongSwapTestAArtist001",
    "SongSwapTestAArtist002",
    "SongSwapTestAArtist003",
)
_SAMPLE = Sample(AT, artists=_ARTISTS, kind="artist", requested=_ARTISTS)
_IMAGES = "https://images.songswap.invalid/marble-staircase"
_KNOWN_ARTISTS = [(_ARTIST_1, "Marble Staircase"), (_ARTIST_2, "Ñandú Orchestra")]

CHECK = LoadCheck(
    file="artists_spotify.json",
    sample=_SAMPLE,
    transform=partial(transform.artists, requested=_ARTISTS, observed_at=AT),
    rows_of=metadata.rows_of,
    load=partial(metadata.load, _SAMPLE),
    transform_module=metadata.TRANSFORM_MODULE,
    load_module=metadata.LOAD_MODULE,
    common={
        "ArtistImages": [
            (_ARTIST_1, 640, 633, f"{_IMAGES}/640"),
            (_ARTIST_1, 320, 316, f"{_IMAGES}/320"),
            (_ARTIST_1, 160, 160, f"{_IMAGES}/160"),
        ],
        "ArtistPopularity": [(_ARTIST_1, AT, 53), (_ARTIST_2, AT, 0)],
        "ArtistFollowers": [(_ARTIST_1, AT, 1204377), (_ARTIST_2, AT, 0)],
        "ArtistGenres": [(_ARTIST_1, "chamber pop"), (_ARTIST_1, "neo-classical")],
    },
    transformed={
        "Artists": _KNOWN_ARTISTS,
        "known": [(_ARTIST_1,), (_ARTIST_2,)],
        "unknown": [(_UNKNOWN,)],
    },
    stored={
        "Artists": [*_KNOWN_ARTISTS, (_UNKNOWN, "")],
        "metadata": [
            ("artist", _ARTIST_1, True, False),
            ("artist", _ARTIST_2, True, False),
            ("artist", _UNKNOWN, False, True),
        ],
    },
)
