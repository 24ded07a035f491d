"""The counts of a run: added up, and as the commands print them in JSON, with the same keys."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_CALLS = "calls "
_ENRICHED = tuple(
    f"{kind}_{what}"
    for kind in ("track", "artist", "features")
    for what in ("requested", "received", "unknown", "postponed", "not_loaded", "held_back")
)
DURATIONS = (
    *("fetch_ms", "load_ms", "enrich_ms", "spotify_ms", "spotify_wait_ms"),
    *("reccobeats_ms", "reccobeats_wait_ms", "s3_ms", "lock_wait_ms"),
)
"""Sums of milliseconds, see `songswap.durations`."""

NAMES = (
    *("users", "deferred", "endangered", "oldest_poll_minutes", "missing_users"),
    *("polled", "paused", "answered", "unchanged", "failed", "refused", "forbidden", "deleted"),
    *("tokens_put_back", "lost_tokens", "undecided_users", "responses", "archived", "dropped"),
    *("plays", "merged", "gone", "tracks", "artists", "artist_tracks", "track_images"),
    *("track_popularity", "track_previews", "features", "rejected_items", "data_fixes", "gaps"),
    *("gaps_closed", *_ENRICHED, "calls", "retried_archived", "retried_loaded", "tokens_stored"),
    *("expiring_in_30_days", "expiring_in_7_days", "expiring_in_1_days", "waiting_for_s3"),
    *("waiting_for_warehouse", "waiting_tokens", "seconds", *DURATIONS),
)
"""What docs/data-model.md explains; `docs/json.md` names them too."""


def total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts by name."""
    added: Counter[str] = Counter()
    for some in counts:
        added.update(some)
    return dict(added)


def of_calls(spotify: Counter[str], *others: Counter[str]) -> Counter[str]:
    """Count clients' requests: each kind by its outcome, and as ``calls`` all of Spotify's."""
    counts = Counter(calls=spotify.total())
    for calls in (spotify, *others):
        counts.update({f"{_CALLS}{kind}": number for kind, number in calls.items()})
    return counts


def in_short(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of a run that people read: without its durations."""
    return {name: count for name, count in counts.items() if name not in DURATIONS}


def as_json(counts: Mapping[str, int]) -> dict[str, Any]:
    """Return every count there can be, zero where missing, and the calls by endpoint and outcome.

    Args:
        counts: of a run.
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
