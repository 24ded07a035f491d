"""The plays of the simulator's ledger."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Self


class Play(NamedTuple):
    """A play of the ledger. It is in its feed from ``listed_at`` to ``left_at`` (None: still)."""

    played_at: datetime
    track_id: str | None
    listed_at: datetime
    reachable: bool
    left_at: datetime | None = None

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Self:
        """Return the play of a line of the ledger."""
        left_at = line["reachable_until"]
        return cls(
            datetime.fromisoformat(line["played_at"]),
            line["track_id"],
            datetime.fromisoformat(line["listed_at"]),
            line["reachable_when_polled"],
            datetime.fromisoformat(left_at) if left_at else None,
        )
