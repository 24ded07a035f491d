"""Tracks, albums and artists, each derived from its index when it is looked up."""

from __future__ import annotations

from bisect import bisect
from functools import lru_cache
from math import gcd, log
from typing import Any

from songswap.dev.simulator import draw, market, names
from songswap.dev.simulator.ident import Ids

Json = dict[str, Any]

TRACKS_PER_ARTIST = 5
_ALBUM_SIZES = (12, 1, 9, 10, 1, 14, 1, 8)  # albums and singles, repeated
_ALBUM_STARTS = [sum(_ALBUM_SIZES[:position]) for position in range(len(_ALBUM_SIZES))]
_CYCLE = sum(_ALBUM_SIZES)
_ZIPF_SHIFT = 20  # of the Zipf-Mandelbrot law: without it the first track has a tenth of all plays
_IMAGE_SIDES = {640: "ab67616d0000b273", 300: "ab67616d00001e02", 64: "ab67616d00004851"}
_WITHOUT_FEATURES = 0.01  # share of tracks


class MusicCatalogue:
    """`size` tracks by a fifth as many artists, each identified by an index from 0."""

    def __init__(self, seed: int, size: int) -> None:
        self.size = size
        self.artists = max(3, size // TRACKS_PER_ARTIST)
        self._seed = seed
        self._track_ids = Ids(seed, "track")
        self._artist_ids = Ids(seed, "artist")
        self._album_ids = Ids(seed, "album")
        self._step = next(n for n in range(int(size * 0.618) + 1, 2 * size) if gcd(n, size) == 1)
        self._rank_step = pow(self._step, -1, size)
        self.track_id = lru_cache(65_536)(self._track_ids.of)
        self.duration_ms = lru_cache(65_536)(self._duration_ms)
        self.names = lru_cache(65_536)(self._names)
        self._artist_link = lru_cache(16_384)(self._make_artist_link)
        self._album = lru_cache(16_384)(self._make_album)

    def ranked(self, quantile: float) -> int:
        """Return the track at a quantile, in [0, 1), of all plays, the most popular first."""
        rank = int(_ZIPF_SHIFT * ((self.size / _ZIPF_SHIFT + 1) ** quantile - 1))
        return min(rank, self.size - 1) * self._step % self.size

    def track_index(self, ident: str) -> int | None:
        """Return the index of a track's id, or None if it is unknown."""
        index = self._track_ids.index(ident)
        return index if index is not None and index < self.size else None

    def artist_index(self, ident: str) -> int | None:
        """Return the index of an artist's id, or None if it is unknown."""
        index = self._artist_ids.index(ident)
        return index if index is not None and index < self.artists else None

    def artist_id(self, index: int) -> str:
        """Return the id of an artist."""
        return self._artist_ids.of(index)

    def album_id(self, album: int) -> str:
        """Return the id of an album."""
        return self._album_ids.of(album)

    def album_of(self, track: int) -> tuple[int, int, int]:
        """Return the album of a track, the track's number on it from 1, and the album's length."""
        cycle, offset = divmod(track, _CYCLE)
        position = bisect(_ALBUM_STARTS, offset) - 1
        first = cycle * _CYCLE + _ALBUM_STARTS[position]
        length = min(_ALBUM_SIZES[position], self.size - first)
        return cycle * len(_ALBUM_SIZES) + position, track - first + 1, length

    def lead_artist(self, album: int) -> int:
        """Return the artist of an album; few artists have most albums."""
        return int(self.artists * draw.share(self._seed, "lead", album) ** 1.5)

    def artists_of(self, track: int) -> list[int]:
        """Return one to three different artists; the first is the album's."""
        rng = draw.stream(self._seed, "artists", track)
        lead = self.lead_artist(self.album_of(track)[0])
        guests = rng.choices((0, 1, 2), (78, 17, 5))[0]
        step = rng.randint(1, self.artists // 3)  # two steps never reach the lead again
        return [(lead + n * step) % self.artists for n in range(guests + 1)]

    def track(self, index: int) -> Json:
        """Return the full track object."""
        rng = draw.stream(self._seed, "track", index)
        album_number, position, length = self.album_of(index)
        album = self._album(album_number, length)
        ident = self.track_id(index)
        preview = f"https://p.scdn.co/mp3-preview/{rng.getrandbits(160):040x}"
        return {
            "album": album,
            "artists": [self._artist_link(artist) for artist in self.artists_of(index)],
            "available_markets": album["available_markets"],
            "disc_number": 1,
            "duration_ms": self.duration_ms(index),
            "explicit": rng.random() < 0.15,
            "external_ids": {"isrc": f"QZ{rng.choice('ABCDEFGH')}{index % 10**9:09d}"},
            "external_urls": {"spotify": f"https://open.spotify.com/track/{ident}"},
            "href": f"https://api.spotify.com/v1/tracks/{ident}",
            "id": ident,
            "is_local": False,
            "name": names.title(rng),
            "popularity": self.popularity(index),
            "preview_url": preview if rng.random() < 0.1 else None,
            "track_number": position,
            "type": "track",
            "uri": f"spotify:track:{ident}",
        }

    def _make_album(self, album: int, length: int) -> Json:
        """Return the album object within a track object; one in 50 has no image."""
        rng = draw.stream(self._seed, "album", album)
        ident = self.album_id(album)
        art = f"{rng.getrandbits(96):024x}"
        images = [
            {"height": side, "url": f"https://i.scdn.co/image/{prefix}{art}", "width": side}
            for side, prefix in _IMAGE_SIDES.items()
        ]
        released = f"{rng.randint(1962, 2026)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        precision = rng.choices(("day", "month", "year"), (90, 2, 8))[0]
        return {
            "album_type": "single" if length == 1 else "album",
            "artists": [self._artist_link(self.lead_artist(album))],
            "available_markets": _markets(draw.share(self._seed, "markets", album)),
            "external_urls": {"spotify": f"https://open.spotify.com/album/{ident}"},
            "href": f"https://api.spotify.com/v1/albums/{ident}",
            "id": ident,
            "images": images if rng.random() >= 0.02 else [],
            "name": names.title(rng),
            "release_date": released[: {"day": 10, "month": 7, "year": 4}[precision]],
            "release_date_precision": precision,
            "total_tracks": length,
            "type": "album",
            "uri": f"spotify:album:{ident}",
        }

    def artist(self, index: int) -> Json:
        """Return the full artist object."""
        popularity = 90 * (1 - index / self.artists)
        return full_artist(self._seed, self._artist_link(index), popularity)

    def features(self, index: int) -> Json | None:
        """Return the audio features object, or None for one track in 100."""
        if draw.share(self._seed, "unanalysed", index) < _WITHOUT_FEATURES:
            return None
        ident = self.track_id(index)
        return features(self._seed, ident, self.duration_ms(index))

    def popularity(self, index: int) -> int:
        """Return a track's popularity, 0 to 100, which follows its rank by plays."""
        rank = index * self._rank_step % self.size
        jitter = draw.number(self._seed, "popularity", index) % 11 - 5
        return max(0, min(100, round(95 * (1 - log(rank + 1) / log(self.size + 1))) + jitter))

    def _names(self, index: int) -> tuple[str, str, str]:
        """Return the names of a track, of its album's artist and of its album."""
        track = self.track(index)
        album = track["album"]
        return track["name"], album["artists"][0]["name"], album["name"]

    def _duration_ms(self, index: int) -> int:
        """Return a track's duration: mostly 2 to 5 minutes, at least 31 s, at most 20 minutes."""
        drawn = draw.share(self._seed, "duration", index)
        if drawn < 0.02:
            return 31_000 + int(drawn * 50 * 60_000)
        if drawn > 0.98:
            return 420_000 + int((drawn - 0.98) * 50 * 780_000)
        return 120_000 + int((drawn - 0.02) / 0.96 * 180_000)

    def _make_artist_link(self, index: int) -> Json:
        ident = self.artist_id(index)
        return {
            "external_urls": {"spotify": f"https://open.spotify.com/artist/{ident}"},
            "href": f"https://api.spotify.com/v1/artists/{ident}",
            "id": ident,
            "name": names.artist(draw.stream(self._seed, "artist name", index)),
            "type": "artist",
            "uri": f"spotify:artist:{ident}",
        }


def full_artist(seed: int, link: Json, popularity: float) -> Json:
    """Return the full artist object of a short one; one in 20 has no image, one in 4 no genre."""
    rng = draw.stream(seed, "artist", link["id"])
    art = f"{rng.getrandbits(96):024x}"
    popularity = max(0, min(100, round(popularity) + rng.randint(-10, 10)))
    images = [
        {"height": side, "url": f"https://i.scdn.co/image/ab6761610000{part}{art}", "width": side}
        for side, part in ((640, "e5eb"), (320, "5174"), (160, "f178"))
    ]
    return {
        "external_urls": link["external_urls"],
        "followers": {"href": None, "total": int(1.17**popularity) + rng.randint(0, 99)},
        "genres": names.genres(rng),
        "href": link["href"],
        "id": link["id"],
        "images": images if rng.random() >= 0.05 else [],
        "name": link["name"],
        "popularity": popularity,
        "type": "artist",
        "uri": link["uri"],
    }


def features(seed: int, ident: str, duration_ms: int) -> Json:
    """Return the audio features of a track; one in 100 is speech or noise without a beat."""
    rng = draw.stream(seed, "features", ident)
    spoken = rng.random() < 0.01
    loudness = rng.uniform(-2, 3) if rng.random() < 0.02 else max(-60.0, rng.gauss(-9, 5))
    return {
        "danceability": 0.0 if spoken else _unit(rng.betavariate(5, 3)),
        "energy": _unit(rng.betavariate(4, 3)),
        "key": rng.choice((-1, *range(12))),
        "loudness": round(min(loudness, 3.0), 3),
        "mode": rng.randint(0, 1),
        "speechiness": _unit(rng.uniform(0.7, 0.97) if spoken else rng.betavariate(1, 12)),
        "acousticness": _unit(rng.betavariate(1, 2)),
        "instrumentalness": _unit(rng.betavariate(0.3, 1.5)),
        "liveness": _unit(rng.betavariate(2, 9)),
        "valence": _unit(rng.random()),
        "tempo": 0.0 if spoken else round(rng.uniform(55, 215), 3),
        "type": "audio_features",
        "id": ident,
        "uri": f"spotify:track:{ident}",
        "track_href": f"https://api.spotify.com/v1/tracks/{ident}",
        "analysis_url": f"https://api.spotify.com/v1/audio-analysis/{ident}",
        "duration_ms": duration_ms,
        "time_signature": rng.choice((0, 1)) if spoken else rng.choices((3, 4, 5), (8, 90, 2))[0],
    }


def _unit(value: float) -> float:
    return round(value, 4)


def _markets(drawn: float) -> list[str]:
    """Return an album's markets: all of 80 % of albums, all but 3 of 17 %, 12 of the others."""
    if drawn < 0.8:
        return market.ALL
    count = len(market.ALL) - 3 if drawn < 0.97 else 12
    first = int(drawn * 10_000) % 20
    return (market.ALL * 2)[first : first + count]
