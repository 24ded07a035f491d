"""The counts of a run as the commands give them to machines: always the same keys."""

from collections.abc import Mapping
from typing import Any

_CALLS = "calls "
_ENRICHED = tuple(
    f"{kind}_{what}"
    for kind in ("track", "artist", "features")
    for what in ("requested", "received", "unknown", "postponed", "not_loaded", "held_back")
)
NAMES = (
    *("users", "missing_users", "polled", "paused", "answered", "unchanged", "failed", "refused"),
    *("forbidden", "deleted", "tokens_put_back", "lost_tokens", "responses", "archived", "dropped"),
    *("plays", "merged", "gone", "tracks", "artists", "artist_tracks", "track_images"),
    *("track_popularity", "track_previews", "features", "rejected_items", "data_fixes", "gaps"),
    *("gaps_closed", *_ENRICHED, "calls", "retried_archived", "retried_loaded", "tokens_stored"),
    *("expiring_in_30_days", "expiring_in_7_days", "expiring_in_1_days", "waiting_for_s3"),
    *("waiting_for_warehouse", "waiting_tokens", "seconds"),
)
"""What docs/data-model.md explains; `docs/json.md` names them too."""


def as_json(counts: Mapping[str, int]) -> dict[str, Any]:
    """Give each count that there can be, and the calls by endpoint and outcome.

    Args:
        counts: of a run, in which what did not happen is missing.
    """
    calls = (
        (name.removeprefix(_CALLS).rpartition(" "), number)
        for name, number in sorted(counts.items())
        if name.startswith(_CALLS)
    )
    return {
        **{name: counts.get(name, 0) for name in NAMES},
        "calls_by_outcome": [
            {"endpoint": endpoint, "outcome": outcome, "calls": number}
            for (endpoint, _, outcome), number in calls
        ],
    }
