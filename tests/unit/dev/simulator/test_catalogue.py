"""The catalogue is plausible, in Spotify's shape, and the same for the same seed."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from songswap.dev.simulator import market
from songswap.dev.simulator.catalogue import MusicCatalogue
from songswap.dev.simulator.metadata import MetadataLookup

CATALOGUE = MusicCatalogue(3, 4_000)
TRACKS = [CATALOGUE.track(index) for index in range(1_500)]
ARTISTS = [CATALOGUE.artist(index) for index in range(800)]
FEATURES = [CATALOGUE.features(index) for index in range(3_000)]


def test_same_seed_gives_the_same_bytes() -> None:
    """Catalogues of one seed are equal, of two seeds they differ."""
    again, other = MusicCatalogue(3, 4_000), MusicCatalogue(4, 4_000)
    for get in (MusicCatalogue.track, MusicCatalogue.artist, MusicCatalogue.features):
        assert msgspec.json.encode(get(again, 9)) == msgspec.json.encode(get(CATALOGUE, 9))
        assert msgspec.json.encode(get(other, 9)) != msgspec.json.encode(get(CATALOGUE, 9))


def test_large_catalogue_is_derived_on_demand() -> None:
    """Any of 200,000 tracks by 40,000 artists is made without the others."""
    large = MusicCatalogue(1, 200_000)
    assert large.artists == 40_000
    track = large.track(199_999)
    assert large.track_index(track["id"]) == 199_999
    assert large.artist_index(track["artists"][0]["id"]) is not None


def test_ids_beyond_the_catalogue_are_unknown() -> None:
    """An id of a larger catalogue of the same seed is not in this one."""
    assert CATALOGUE.track_index(MusicCatalogue(3, 5_000).track_id(4_000)) is None
    assert CATALOGUE.artist_index(CATALOGUE.artist_id(CATALOGUE.artists)) is None


def test_tracks_have_one_to_three_different_artists() -> None:
    """The artists of a track differ, and the first is the album's."""
    sizes: Counter[int] = Counter()
    for track in TRACKS:
        ids = [artist["id"] for artist in track["artists"]]
        assert len(set(ids)) == len(ids)
        assert ids[0] == track["album"]["artists"][0]["id"]
        sizes[len(ids)] += 1
    assert set(sizes) == {1, 2, 3}


def test_tracks_of_an_album_share_it() -> None:
    """An album is the same object in each of its tracks, and numbers run from 1 to its length."""
    albums: dict[str, list[dict[str, Any]]] = {}
    for track in TRACKS[:560]:
        albums.setdefault(track["album"]["id"], []).append(track)
    assert len(albums) == 80
    for tracks in albums.values():
        assert all(track["album"] == tracks[0]["album"] for track in tracks)
        numbers = [track["track_number"] for track in tracks]
        assert numbers == list(range(1, tracks[0]["album"]["total_tracks"] + 1))


def test_track_values_lie_in_their_ranges() -> None:
    """Durations, popularity and markets are possible, and vary."""
    assert all(30_000 <= track["duration_ms"] <= 1_260_000 for track in TRACKS)
    assert all(0 <= track["popularity"] <= 100 for track in TRACKS)
    assert all(set(track["available_markets"]) <= set(market.ALL) for track in TRACKS)
    assert len({track["popularity"] for track in TRACKS}) > 20
    assert 0.8 < sum(track["preview_url"] is None for track in TRACKS) / len(TRACKS) < 0.97


def test_some_albums_and_artists_have_no_image() -> None:
    """Mostly three sizes, sometimes none; genres can be missing too."""
    sides = Counter(tuple(i["width"] for i in track["album"]["images"]) for track in TRACKS)
    assert set(sides) == {(640, 300, 64), ()}
    assert {len(artist["images"]) for artist in ARTISTS} == {0, 3}
    assert {len(artist["genres"]) for artist in ARTISTS} == {0, 1, 2, 3, 4}


def test_names_vary_and_some_are_very_long() -> None:
    """Unicode, quotes, and classical titles of over 240 characters about once in 500."""
    titles = [CATALOGUE.track(index)["name"] for index in range(4_000)]
    assert 2 <= sum(len(title) > 240 for title in titles) <= 20
    assert any('"' in title for title in titles)
    assert any("'" in title for title in titles)
    assert any(not title.isascii() for title in titles)
    assert len(set(titles)) > 2_000


def test_features_lie_in_the_contracts_ranges() -> None:
    """Shares lie in 0 to 1; speech has no tempo; loud masters exceed 0 dB; 1 % have no features."""
    known = [features for features in FEATURES if features is not None]
    assert 10 <= len(FEATURES) - len(known) <= 60
    shares = "acousticness danceability energy instrumentalness liveness speechiness valence"
    for features in known:
        assert all(0 <= features[name] <= 1 for name in shares.split())
        assert -60 <= features["loudness"] <= 3
        assert features["key"] in range(-1, 12)
        assert features["mode"] in (0, 1)
        assert (features["tempo"] == 0) == (features["time_signature"] in (0, 1))
        assert features["tempo"] <= 250
    assert any(features["loudness"] > 0 for features in known)
    assert any(features["tempo"] == 0 for features in known)


def test_popularity_follows_the_plays() -> None:
    """A fiftieth of the tracks has a quarter of the plays, and twice the mean popularity."""
    draws = Counter(CATALOGUE.ranked(n / 20_000) for n in range(20_000))
    top = draws.most_common(CATALOGUE.size // 50)
    assert sum(count for _, count in top) > 20_000 * 0.25
    popular = [CATALOGUE.popularity(index) for index, _ in top]
    everything = [CATALOGUE.popularity(index) for index in range(CATALOGUE.size)]
    assert sum(popular) / len(popular) > 2 * sum(everything) / len(everything)


@pytest.mark.parametrize("kind", ["track", "artist"])
def test_development_mode_leaves_fields_out(kind: str) -> None:
    """Development mode removes popularity, markets and followers, and nothing else."""
    metadata = MetadataLookup(3, CATALOGUE, [])
    ident = TRACKS[0]["id"] if kind == "track" else ARTISTS[0]["id"]
    full = msgspec.json.decode(getattr(metadata, kind)(ident, "extended"))
    slim = msgspec.json.decode(getattr(metadata, kind)(ident, "development"))
    hidden = {"track": {"popularity", "available_markets"}, "artist": {"popularity", "followers"}}
    assert full.keys() - slim.keys() == hidden[kind]
    if kind == "track":
        assert full["album"].keys() - slim["album"].keys() == {"available_markets"}
