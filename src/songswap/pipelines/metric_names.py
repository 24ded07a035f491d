"""The metrics that runs emit: their names, and what they say.

All are gauges. A task's process lives for seconds: a counter that each one begins at zero does not
add up, while a total that the warehouse keeps is right however often it is emitted.

Airflow puts its prefix before the names and gives gauges no unit, so the name has it.
"""

from typing import NamedTuple


class Metric(NamedTuple):
    """One value. ``tags`` are those of its name in `METRICS`."""

    name: str
    value: float
    tags: dict[str, str]


class Definition(NamedTuple):
    """What a metric says, its tags, and whether it ``grows``: a total, of which increases count."""

    what: str
    tags: tuple[str, ...] = ()
    grows: bool = False


METRICS = {
    # Since the first run.
    "songswap.plays": Definition("new plays", grows=True),
    "songswap.requests": Definition(
        "requests, by endpoint and by status or error", ("endpoint", "outcome"), grows=True
    ),
    "songswap.enrichment": Definition(
        "ids of enrichment: requested, received, unknown, postponed or not loaded",
        ("kind", "outcome"),
        grows=True,
    ),
    "songswap.rows": Definition("new rows of other tables than plays", ("table",), grows=True),
    "songswap.rejected.items": Definition("items that cannot be rows", grows=True),
    "songswap.gaps.found": Definition("gaps found", grows=True),
    "songswap.gaps.closed": Definition("gaps closed again", grows=True),
    "songswap.import.rows": Definition(
        "rows of imported exports, by outcome", ("outcome",), grows=True
    ),
    "songswap.wait.seconds": Definition(
        "time of requests in flight, before they could be sent, of puts, and until locks were held",
        ("for",),
        grows=True,
    ),
    "songswap.work.seconds": Definition(
        "time of fetching, loading and enriching, waits included", ("step",), grows=True
    ),
    # Of the run that emits it.
    "songswap.run.success": Definition("1 if the last run ended well, else 0", ("dag_id",)),
    "songswap.run.success.timestamp.seconds": Definition("when a run ended well last", ("dag_id",)),
    "songswap.run.duration.seconds": Definition("how long the last run took", ("dag_id",)),
    "songswap.run.step.seconds": Definition(
        "when the last part of a step had ended, after the start of the run", ("dag_id", "step")
    ),
    "songswap.run.plays": Definition("new plays of the last run", ("dag_id",)),
    "songswap.run.users": Definition(
        "users of the last run by their last outcome", ("dag_id", "outcome")
    ),
    # At the end of the last hourly run.
    "songswap.users.pollable": Definition("users who can be polled"),
    "songswap.play.newest.timestamp.seconds": Definition("time of the newest play"),
    "songswap.response.timestamp.seconds": Definition(
        "since when so large a share of these users had a response", ("share",)
    ),
    "songswap.gaps.open": Definition("gaps that no later response covered"),
    "songswap.grants": Definition("users by the state of their grant", ("state",)),
    "songswap.grants.ending": Definition(
        "valid grants that end within so many days", ("within_days",)
    ),
    "songswap.spool.waiting": Definition(
        "what waits on a host: responses for s3, for the warehouse, or tokens", ("host", "target")
    ),
    "songswap.spool.waiting.seconds": Definition(
        "for how long the oldest of it waits; 0 if nothing does", ("host",)
    ),
    "songswap.spool.report.timestamp.seconds": Definition("when a host last reported", ("host",)),
    "songswap.quota.used": Definition("requests in the last 30 s, and in 24 hours", ("span",)),
    "songswap.quota.limit": Definition("how many Spotify accepts, once it is known", ("span",)),
    "songswap.pause.seconds": Definition(
        "how long Spotify, its endpoints, or ReccoBeats accept no request", ("service",)
    ),
    "songswap.tracks": Definition("tracks, and those that have rows of a kind", ("having",)),
    "songswap.artists": Definition("artists, and those that have rows of a kind", ("having",)),
    "songswap.queue": Definition(
        "ids that enrichment fetches next, fetches later, or that are unknown", ("kind", "state")
    ),
}
"""By name."""

PREFIX = "airflow"
"""Airflow's own default, for its metrics and for ours."""


def in_prometheus(name: str) -> str:
    """Return the name that a metric has in Prometheus, when it comes there through OTLP."""
    return f"{PREFIX}_{name.replace('.', '_')}"
