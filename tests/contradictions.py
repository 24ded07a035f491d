"""Tracks and artists of which several sources say different things.

Tracks 1 and 127 are of one shard, whose number is larger than that of track 2; their artists are in
the reverse order. Track 2 comes whole and, in `NEW`, without much that it needs.
"""

import random
from typing import Any

from spotify_json import track

ARTISTS = [{"id": f"{letter}{0:021d}", "name": letter} for letter in "ABYZ"]
A, B, Y, Z = ARTISTS


def song(number: int, *artists: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A track of these artists."""
    return track(number, artists=list(artists), **changes)


OLD = {10: song(1, Z, A), 11: song(2, A), 12: song(127, Y)}
NEW = {
    20: song(1, Z, B, name="Z", popularity=5, preview_url="z"),
    21: song(2, B, A, name="", duration_ms=0, album=None),
    22: song(127, Y, B, popularity=28),
    11: song(2, B, A, name="", duration_ms=0, album=None),
}
FETCHED = [
    song(127, Y, A, name="Fetched", preview_url="a"),
    song(1, B, Z, name="Fetched", popularity=5),
    song(2, A, name="Fetched", duration_ms=1, album={"images": []}),
]
"""What the endpoint says, which holds, however large the values of plays are."""
RENAMED = [artist | {"name": f"{artist['name']} again", "popularity": 5} for artist in ARTISTS]
HEARD = {11: song(2, A), 30: song(1, Z), 31: song(3, B), 32: song(127, Y)}
"""Each by the minutes before the response at which it was played."""


def drawn(seed: int) -> dict[int, dict[str, Any]]:
    """Some of the tracks, with values of which there are so few that others draw the same."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    names = {artist["id"]: choose.choice("MN") for artist in ARTISTS}
    tracks = {}
    for minute, number in enumerate(choose.sample([1, 2, 3, 127], 3), 10):
        artists = choose.sample(ARTISTS, 2)
        tracks[minute] = song(
            number,
            *(artist | {"name": names[artist["id"]]} for artist in artists),
            name=choose.choice(["M", "N"]),
            popularity=choose.choice([5, 6]),
            preview_url=choose.choice([None, "m"]),
        )
    return tracks
