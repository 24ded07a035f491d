"""Answers of Spotify, made small: the shapes of the real ones with only what matters."""

from datetime import UTC, datetime
from typing import Any

import pytest

OBSERVED_AT = datetime(2026, 11, 22, 8, 1, 2, 345000, tzinfo=UTC)


def make_track(number: int, **changes: Any) -> dict[str, Any]:
    """A whole track, told apart from others by its number."""
    track = {
        "id": f"{number:022d}",
        "name": f"Track {number}",
        "duration_ms": 180_000 + number,
        "popularity": number % 101,
        "preview_url": f"https://p.scdn.co/{number}",
        "artists": [
            {"id": f"A{number:021d}", "name": f"Artist {number}"},
            {"id": f"B{number:021d}", "name": f"Guest {number}"},
        ],
        "album": {
            "images": [
                {"height": size, "width": size, "url": f"https://i.scdn.co/{number}/{size}"}
                for size in (640, 300, 64)
            ]
        },
        "available_markets": ["DE", "US"],
    }
    return track | changes


def make_item(number: int, **changes: Any) -> dict[str, Any]:
    """A play of that track, a minute before the play of the track numbered one less."""
    at = datetime.fromtimestamp(OBSERVED_AT.timestamp() - 60 * (number + 1), UTC)
    played_at = f"{at:%Y-%m-%dT%H:%M:%S}.{number % 1000:03d}Z"
    return {"track": make_track(number), "played_at": played_at, "context": None} | changes


@pytest.fixture(scope="session")
def observed_at() -> datetime:
    """When the answers of these tests were given."""
    return OBSERVED_AT


@pytest.fixture(scope="session")
def track() -> Any:
    """Makes a track: ``track(number, **changes)``."""
    return make_track


@pytest.fixture(scope="session")
def item() -> Any:
    """Makes a play: ``item(number, **changes)``."""
    return make_item
