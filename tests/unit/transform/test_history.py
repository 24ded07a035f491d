"""What becomes a row of History, and what is set aside."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from songswap.models import Catalogue, History, Play
from songswap.transform import history


def transform(items: Any, observed_at: datetime) -> tuple[History, Catalogue]:
    catalogue = Catalogue()
    body = json.dumps({"items": items}).encode()
    return history.transform(body, 7, observed_at, catalogue), catalogue


def test_whole_item(item: Any, observed_at: datetime) -> None:
    """A whole item is one play at its own millisecond, and leaves nothing aside or noted."""
    told, catalogue = transform([item(5)], observed_at)
    played_at = datetime(2026, 11, 22, 7, 55, 2, 5000, tzinfo=UTC)
    assert told.plays == [Play(7, played_at, f"{5:022d}")]
    assert (told.items, told.oldest, told.newest) == (1, played_at, played_at)
    assert told.set_aside == []
    assert catalogue.notes == set()
    assert catalogue.incomplete == set()


def test_no_items(observed_at: datetime) -> None:
    """A user who has played nothing is not a malformed answer."""
    told, _ = transform([], observed_at)
    assert told == History()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"track": None}, "track: missing"),
        ({"track": "gone"}, "track: wrong type"),
        ({"track": {"id": None, "name": "A local file"}}, "track.id: missing"),
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
def test_set_aside(item: Any, observed_at: datetime, change: dict[str, Any], reason: str) -> None:
    """An item that cannot be a row is set aside with its reason; its neighbours are loaded."""
    told, catalogue = transform([item(1), item(2, **change), item(3)], observed_at)
    assert [play.track_id for play in told.plays] == [f"{1:022d}", f"{3:022d}"]
    assert [one.reason for one in told.set_aside] == [reason]
    assert set(catalogue.tracks) == {f"{1:022d}", f"{3:022d}"}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(None, "item: missing"), ("text", "item: wrong type"), ([1], "item: wrong type")],
)
def test_not_an_item(item: Any, observed_at: datetime, broken: Any, reason: str) -> None:
    """What is no item at all costs only itself."""
    told, _ = transform([item(1), broken], observed_at)
    assert len(told.plays) == 1
    assert [one.reason for one in told.set_aside] == [reason]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>busy</html>", b"[]", b"{}", b'{"items": null}', b'{"items": {}}', b"[" * 9999],
)
def test_not_an_answer(observed_at: datetime, body: bytes) -> None:
    """A body that is not a list of plays is set aside as a whole, and nothing is raised."""
    told = history.transform(body, 7, observed_at, Catalogue())
    assert told.plays == []
    assert [one.reason for one in told.set_aside] == [history.NOT_AN_ANSWER]
    assert history.fingerprint(body) is None


def test_set_aside_once(item: Any, observed_at: datetime) -> None:
    """The same broken item has the same fingerprint in each answer, however that one is read."""
    broken = item(2, track=None)
    mended_elsewhere = item(3, track=item(3)["track"] | {"popularity": "high"})
    first, _ = transform([broken], observed_at)
    second, _ = transform([item(1), mended_elsewhere, broken], observed_at)
    other, _ = transform([item(4, track=None)], observed_at)
    assert first.set_aside == second.set_aside
    assert first.set_aside[0].fingerprint != other.set_aside[0].fingerprint
    assert first.set_aside[0].played_at == broken["played_at"]


def test_bounds_name_every_time(item: Any, observed_at: datetime) -> None:
    """The bounds of an answer include items that are set aside: they were told too."""
    told, _ = transform([item(1, track=None), item(2), item(3, track=None)], observed_at)
    assert told.newest == datetime.fromisoformat(item(1)["played_at"])
    assert told.oldest == datetime.fromisoformat(item(3)["played_at"])


def test_microseconds_are_cut(item: Any, observed_at: datetime) -> None:
    """A play's key is exact to the millisecond, as the platform's contract has it."""
    told, _ = transform([item(1, played_at="2026-11-22T07:00:00.123999+01:00")], observed_at)
    assert told.plays[0].played_at == datetime(2026, 11, 22, 6, 0, 0, 123000, tzinfo=UTC)


def test_fingerprint(item: Any) -> None:
    """It changes with any play that comes or goes, and with nothing else."""

    def of(*items: Any, **more: Any) -> bytes | None:
        return history.fingerprint(json.dumps({"items": items, **more}).encode())

    one = of(item(1), item(2))
    assert one == of(item(1), item(2, context={"type": "album"}), next="https://…")
    assert one != of(item(1))
    assert one != of(item(2), item(1))
    assert one != of(item(1), item(2, track=item(3)["track"]))
    assert of(item(1), item(2, track=None)) not in (None, one, of(item(1)))
    assert of(item(1), item(2, track=5)) is None
