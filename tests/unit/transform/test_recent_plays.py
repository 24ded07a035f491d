"""What becomes a row of History, and what is set aside."""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from spotify_json import OBSERVED_AT, item

from songswap.models import Catalogue, Play, Popularity, RecentPlays
from songswap.transform import recent_plays


def transform(items: Any) -> tuple[RecentPlays, Catalogue]:
    catalogue = Catalogue()
    body = json.dumps({"items": items}).encode()
    return recent_plays.transform(body, 7, OBSERVED_AT, catalogue), catalogue


def test_whole_item_is_one_play_at_its_millisecond() -> None:
    """Nothing is rejected or noted."""
    recent, catalogue = transform([item(5)])
    played_at = datetime(2026, 11, 22, 7, 55, 2, 5000, tzinfo=UTC)
    assert recent.plays == [Play(7, played_at, f"{5:022d}")]
    assert (recent.items, recent.oldest, recent.newest) == (1, played_at, played_at)
    assert recent.rejected_items == []
    assert catalogue.data_fixes == set()
    assert catalogue.incomplete == set()


def test_response_without_items_is_valid() -> None:
    recent, _ = transform([])
    assert recent == RecentPlays()


@pytest.mark.parametrize(
    ("href", "since"),
    [
        (None, None),
        (5, None),
        ("https://api.spotify.com/v1/me/player/recently-played?limit=50", None),
        ("https://api.spotify.com/v1/me/player/recently-played?before=1795334400000", None),
        (
            "https://api.spotify.com/v1/me/player/recently-played?after=1795334400250&limit=50",
            datetime(2026, 11, 22, 8, 0, 0, 250_000, tzinfo=UTC),
        ),
        *((f"https://x?after={cursor}", None) for cursor in ("", "-1", "x", "9" * 14, "\uff11")),
        ("https://[?after=1", None),
    ],
)
def test_lower_bound_is_read_from_the_address_of_the_page(
    href: Any, since: datetime | None
) -> None:
    body = json.dumps({"items": [item(5)], "href": href}).encode()
    assert recent_plays.transform(body, 7, OBSERVED_AT, Catalogue()).since == since


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"track": None}, "track: missing"),
        ({"track": "gone"}, "track: wrong type"),
        ({"track": {"id": None, "name": "A local file"}}, "track.id: missing"),
        ({"track": {"id": "1", "type": "episode"}}, "track.type: not a track"),
        ({"track": {"id": "1", "type": "Chapter"}}, "track.type: not a track"),
        ({"track": {"type": "episode"}}, "track.type: not a track"),
        ({"track": {"id": "1", "uri": "spotify:episode:1"}}, "track.type: not a track"),
        (
            {"track": {"id": "1", "type": "track", "uri": "spotify:episode:1"}},
            "track.type: not a track",
        ),
        ({"track": {"type": "track", "uri": "spotify:local:A:B:C:5"}}, "track.id: missing"),
        ({"track": {"name": "No id"}}, "track.id: missing"),
        ({"track": {"id": 5}}, "track.id: wrong type"),
        ({"track": {"id": "with a blank"}}, "track.id: not an id"),
        ({"track": {"id": "x" * 25}}, "track.id: not an id"),
        ({"track": {"id": "nul\x00"}}, "track.id: not an id"),
        ({"played_at": None}, "played_at: missing"),
        ({"played_at": 1686006313830}, "played_at: wrong type"),
        ({"played_at": "yesterday"}, "played_at: not a time with its zone"),
        ({"played_at": "2026-11-22T07:00:00"}, "played_at: not a time with its zone"),
        ({"played_at": "2026-02-30T07:00:00Z"}, "played_at: not a time with its zone"),
        ({"played_at": "9999-12-31T23:59:59-14:00"}, "played_at: not a time with its zone"),
        ({"played_at": "2003-11-22T07:00:00Z"}, "played_at: before Spotify or in the future"),
        ({"played_at": "2026-11-24T07:00:00Z"}, "played_at: before Spotify or in the future"),
    ],
)
def test_impossible_item_is_rejected_with_its_reason(change: dict[str, Any], reason: str) -> None:
    """Its neighbours are loaded."""
    recent, catalogue = transform([item(1), item(2, **change), item(3)])
    assert [play.track_id for play in recent.plays] == [f"{1:022d}", f"{3:022d}"]
    assert [item.reason for item in recent.rejected_items] == [reason]
    assert set(catalogue.tracks) == {f"{1:022d}", f"{3:022d}"}


@pytest.mark.parametrize(
    "what",
    [
        {"type": "track", "uri": f"spotify:track:{2:022d}"},
        {"type": "TRACK"},
        {"type": None, "uri": None},
        {"type": "", "uri": ""},
        {"uri": "https://open.spotify.com/track/1"},
        {"type": 5},
    ],
)
def test_tracks_by_any_name(what: dict[str, Any]) -> None:
    """Only what says that it is something else is no track: nobody's play is lost for a word."""
    recent, _ = transform([item(2, track=item(2)["track"] | what)])
    assert [play.track_id for play in recent.plays] == [f"{2:022d}"]


FEED = "https://api.spotify.com/v1/me/player/recently-played"


@pytest.mark.parametrize(
    ("items", "around", "full"),
    [
        (50, {}, True),
        (49, {}, False),
        (49, {"next": None, "limit": 50}, False),
        (48, {"next": f"{FEED}?before=1&limit=48", "limit": 48}, True),
        (48, {"next": None, "limit": 48}, True),
        (47, {"next": f"{FEED}?before=1&limit=50", "limit": 50}, True),
        (1, {"next": f"{FEED}?limit=50&before=1"}, True),
        (1, {"next": f"{FEED}?offset=50"}, True),
        (1, {"next": {"href": "elsewhere"}}, True),
        (1, {"next": "http://[broken"}, True),
        (2, {"next": f"{FEED}?after=1&limit=50", "limit": 50}, False),
        (50, {"next": f"{FEED}?after=1&limit=50", "limit": 50}, True),
        (2, {"next": "", "limit": 50}, False),
        (2, {"limit": 0}, False),
        (2, {"limit": -1}, False),
        (2, {"limit": True}, False),
        (2, {"limit": "2"}, False),
        (50, {"limit": 100}, True),
        (0, {"next": None, "cursors": None, "limit": 50}, False),
    ],
)
def test_page_is_full_by_its_items_or_its_older_cursor(
    items: int, around: dict[str, Any], full: bool
) -> None:
    """In either way of reading."""
    whole = [item(number) for number in range(items)]
    broken = [*whole[1:], item(99, track=5)] if whole else whole
    for listed in (whole, broken):
        body = json.dumps({"items": listed, **around}).encode()
        assert recent_plays.transform(body, 7, OBSERVED_AT, Catalogue()).full is full


@pytest.mark.parametrize(
    ("cursors", "newest"),
    [
        ({"after": "1795334400000", "before": "1795330000000"}, "2026-11-22T08:00:00Z"),
        (None, None),
        ([], None),
        ({"after": None}, None),
        ({"after": "-1"}, None),
        ({"after": "9" * 15}, None),
        ({"after": "9" * 40}, None),
    ],
)
def test_full_without_items(cursors: Any, newest: str | None) -> None:
    """Of a full page of which nothing is left, its newest cursor bounds what is not known."""
    around = {"items": [], "next": f"{FEED}?before=1", "cursors": cursors}
    body = json.dumps(around).encode()
    recent = recent_plays.transform(body, 7, OBSERVED_AT, Catalogue())
    expected = newest and datetime.fromisoformat(newest)
    assert (recent.full, recent.oldest, recent.newest) == (True, expected, expected)
    empty = recent_plays.fingerprint(b'{"items": [], "next": null, "cursors": null}')
    assert (recent_plays.fingerprint(body) == empty) is not bool(cursors)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(None, "item: missing"), ("text", "item: wrong type"), ([1], "item: wrong type")],
)
def test_entry_that_is_no_item_costs_only_itself(broken: Any, reason: str) -> None:
    recent, _ = transform([item(1), broken])
    assert len(recent.plays) == 1
    assert [item.reason for item in recent.rejected_items] == [reason]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>busy</html>", b"[]", b"{}", b'{"items": null}', b'{"items": {}}', b"[" * 9999],
)
def test_body_without_plays_is_rejected_whole(body: bytes) -> None:
    recent = recent_plays.transform(body, 7, OBSERVED_AT, Catalogue())
    assert recent.plays == []
    assert [item.reason for item in recent.rejected_items] == [recent_plays.NO_LIST_OF_PLAYS]
    assert recent_plays.fingerprint(body) is None


def test_broken_item_has_one_fingerprint_in_each_response() -> None:
    """However that one is read."""
    broken = item(2, track=None)
    mended_elsewhere = item(3, track=item(3)["track"] | {"popularity": "high"})
    first, _ = transform([broken])
    second, _ = transform([item(1), mended_elsewhere, broken])
    other, _ = transform([item(4, track=None)])
    assert first.rejected_items == second.rejected_items
    assert first.rejected_items[0].fingerprint != other.rejected_items[0].fingerprint
    assert first.rejected_items[0].played_at == broken["played_at"]


def test_bounds_name_every_time() -> None:
    """The bounds of a response include the items that are rejected."""
    recent, _ = transform([item(1, track=None), item(2), item(3, track=None)])
    assert recent.newest == datetime.fromisoformat(item(1)["played_at"])
    assert recent.oldest == datetime.fromisoformat(item(3)["played_at"])


def test_repeated_track_is_a_play_each_time() -> None:
    """Its other rows stay as they are; on another day its popularity is observed again."""
    catalogue = Catalogue()
    body = json.dumps({"items": [item(5)]}).encode()
    first = recent_plays.transform(body, 7, OBSERVED_AT, catalogue)
    once = deepcopy(catalogue)
    a_day_later = OBSERVED_AT + timedelta(days=1)
    second = recent_plays.transform(body, 8, a_day_later, catalogue)
    assert [play._replace(user_id=8) for play in first.plays] == second.plays != []
    [track_id] = catalogue.tracks
    key = track_id, a_day_later.date(), 5
    assert catalogue.track_popularity.pop(key) == Popularity(track_id, a_day_later, 5)
    assert catalogue == once


@pytest.mark.parametrize("played_at", [None, "yesterday", "2026-12-24T00:00:00.000Z"])
def test_repeated_track_is_no_play_at_an_impossible_time(played_at: str | None) -> None:
    """Nor is it an observation of its popularity."""
    recent, catalogue = transform([item(5)])
    body = json.dumps({"items": [item(5, played_at=played_at)]}).encode()
    once = deepcopy(catalogue)
    again = recent_plays.transform(body, 7, OBSERVED_AT - timedelta(hours=1), catalogue)
    assert (again.plays, len(again.rejected_items)) == ([], 1)
    assert catalogue == once
    assert len(recent.plays) == 1


def test_repeated_track_with_a_broken_field_is_noted() -> None:
    broken = item(5)
    broken["track"]["duration_ms"] = "long"
    recent, catalogue = transform([item(5), broken, item(5)])
    assert len(recent.plays) == 3
    assert {fix.field for fix in catalogue.data_fixes} == {"duration_ms"}


def test_repeated_episode_is_rejected_each_time() -> None:
    episode = item(5)
    episode["track"]["type"] = "episode"
    recent, _ = transform([episode, item(5), episode])
    assert [rejected.reason for rejected in recent.rejected_items] == 2 * [
        "track.type: not a track"
    ]
    assert len(recent.plays) == 1


def test_microseconds_are_cut() -> None:
    """A play's key is exact to the millisecond, as the platform's contract has it."""
    recent, _ = transform([item(1, played_at="2026-11-22T07:00:00.123999+01:00")])
    assert recent.plays[0].played_at == datetime(2026, 11, 22, 6, 0, 0, 123000, tzinfo=UTC)


def test_fingerprint_changes_with_the_plays_only() -> None:
    def of(*items: Any, **more: Any) -> bytes | None:
        return recent_plays.fingerprint(json.dumps({"items": items, **more}).encode())

    one = of(item(1), item(2))
    assert one == of(item(1), item(2, context={"type": "album"}), next="https://…")
    assert one != of(item(1))
    assert one != of(item(2), item(1))
    assert one != of(item(1), item(2, track=item(3)["track"]))
    assert of(item(1), item(2, track=None)) not in (None, one, of(item(1)))
    assert of(item(1), item(2, track=5)) is None
