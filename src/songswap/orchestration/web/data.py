"""What the page shows, as JSON."""

from typing import Any

from fastapi import APIRouter

router = APIRouter()


@router.get("/snapshot")
def snapshot() -> dict[str, Any]:
    """Return the latest snapshot."""
    return {}
