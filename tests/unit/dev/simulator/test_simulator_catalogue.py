"""The music is believable, in Spotify's shape, and the same for the same seed."""

from collections import Counter

import msgspec
import pytest

from songswap.dev.simulator import market
from songswap.dev.simulator.catalogue import Catalogue
from songswap.dev.simulator.shelf import Shelf

CATALOGUE = Catalogue(3, 4_000)
TRACKS = [CATALOGUE.track(index) for index in range(1_500)]
ARTISTS = [CATALOGUE.artist(index) for index in range(800)]
FEATURES = [CATALOGUE.features(index) for index in range(3_000)]


def test_same_seed_gives_the_same_bytes() -> None:
    """Two catalogues of one seed say the same, of two seeds something else."""
    again, other = Catalogue(3, 4_000), Catalogue(4, 4_000)
    things = (lambda c: c.track(9), lambda c: c.artist(9), lambda c: c.features(9))
    for thing in things:
        assert msgspec.json.encode(thing(again)) == msgspec.json.encode(thing(CATALOGUE))
        assert msgspec.json.encode(thing(other)) != msgspec.json.encode(thing(CATALOGUE))


def test_large_catalogue_is_derived_on_demand() -> None:
    """Any of 200,000 tracks by 40,000 artists is there without the others."""
    large = Catalogue(1, 200_000)
    assert large.artists == 40_000
    track = large.track(199_999)
    assert large.track_index(track["id"]) == 199_999
    assert large.artist_index(track["artists"][0]["id"]) is not None


def test_ids_beyond_the_catalogue_are_unknown() -> None:
    """An id of a larger catalogue of the same seed is not in this one."""
    assert CATALOGUE.track_index(Catalogue(3, 5_000).track_id(4_000)) is None
    assert CATALOGUE.artist_index(CATALOGUE.artist_id(CATALOGUE.artists)) is None


def test_tracks_have_one_to_three_different_artists() -> None:
    """Artists of a track differ, and the first is the album's."""
    sizes = Counter()
    for track in TRACKS:
        ids = [artist["id"] for artist in track["artists"]]
        assert len(set(ids)) == len(ids)
        assert ids[0] == track["album"]["artists"][0]["id"]
        sizes[len(ids)] += 1
    assert set(sizes) == {1, 2, 3}


def test_tracks_of_an_album_share_it() -> None:
    """An album is the same object in each of its tracks, and numbers run from 1 to its length."""
    albums: dict[str, list] = {}
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
    """Mostly three sizes, sometimes none; genres too can be missing."""
    sides = Counter(tuple(i["width"] for i in track["album"]["images"]) for track in TRACKS)
    assert set(sides) == {(640, 300, 64), ()}
    assert {len(artist["images"]) for artist in ARTISTS} == {0, 3}
    assert {len(artist["genres"]) for artist in ARTISTS} == {0, 1, 2, 3, 4}


def test_names_vary_and_some_are_far_too_long() -> None:
    """Unicode, quotes, and classical titles of over 240 characters about once in 500."""
    titles = [CATALOGUE.track(index)["name"] for index in range(4_000)]
    assert 2 <= sum(len(title) > 240 for title in titles) <= 20
    assert any('"' in title for title in titles)
    assert any("'" in title for title in titles)
    assert any(not title.isascii() for title in titles)
    assert len(set(titles)) > 2_000


def test_features_lie_in_the_contracts_ranges() -> None:
    """Shares lie in 0 to 1; speech has no tempo; loud masters pass 0 dB; 1 % have no features."""
    known = [each for each in FEATURES if each is not None]
    assert 10 <= len(FEATURES) - len(known) <= 60
    shares = "acousticness danceability energy instrumentalness liveness speechiness valence"
    for each in known:
        assert all(0 <= each[name] <= 1 for name in shares.split())
        assert -60 <= each["loudness"] <= 3
        assert each["key"] in range(-1, 12)
        assert each["mode"] in (0, 1)
        assert (each["tempo"] == 0) == (each["time_signature"] in (0, 1))
        assert each["tempo"] <= 250
    assert any(each["loudness"] > 0 for each in known)
    assert any(each["tempo"] == 0 for each in known)


def test_popularity_follows_the_plays() -> None:
    """What is drawn often is popular: a fiftieth of the tracks has a third of the draws."""
    draws = Counter(CATALOGUE.ranked(n / 20_000) for n in range(20_000))
    top = draws.most_common(len(range(CATALOGUE.size)) // 50)
    assert sum(count for _, count in top) > 20_000 * 0.25
    popular = [CATALOGUE.popularity(index) for index, _ in top]
    everybody = [CATALOGUE.popularity(index) for index in range(CATALOGUE.size)]
    assert sum(popular) / len(popular) > 2 * sum(everybody) / len(everybody)


@pytest.mark.parametrize("kind", ["track", "artist"])
def test_development_mode_leaves_fields_out(kind: str) -> None:
    """Development mode drops popularity, markets and followers, and nothing else."""
    shelf = Shelf(3, CATALOGUE, [])
    ident = TRACKS[0]["id"] if kind == "track" else ARTISTS[0]["id"]
    full = msgspec.json.decode(getattr(shelf, kind)(ident, "extended"))
    slim = msgspec.json.decode(getattr(shelf, kind)(ident, "development"))
    gone = {"track": {"popularity", "available_markets"}, "artist": {"popularity", "followers"}}
    assert full.keys() - slim.keys() == gone[kind]
    if kind == "track":
        assert full["album"].keys() - slim["album"].keys() == {"available_markets"}
