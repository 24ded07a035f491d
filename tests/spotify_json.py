"""Spotify's tracks and plays in JSON, with only the fields that matter."""

from datetime import UTC, datetime
from typing import Any

OBSERVED_AT = datetime(2026, 11, 22, 8, 1, 2, 345000, tzinfo=UTC)


def track(number: int, **changes: Any) -> dict[str, Any]:
    """A whole track, distinguished by its number."""
    whole = {
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
    return whole | changes


def item(number: int, **changes: Any) -> dict[str, Any]:
    """A play of that track, a minute before the play of the track numbered one less."""
    at = datetime.fromtimestamp(OBSERVED_AT.timestamp() - 60 * (number + 1), UTC)
    played_at = f"{at:%Y-%m-%dT%H:%M:%S}.{number % 1000:03d}Z"
    return {"track": track(number), "played_at": played_at, "context": None} | changes
