"""Decide the values of the metrics that a run emits at its end: pure.

A series is emitted each time, zero included: receivers show the last value of one that is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from songswap.pipelines.metric_names import Metric
from songswap.warehouse.runs import OUTCOMES
from songswap.warehouse.totals import Totals

_CALLS = "calls "
_ROWS = (
    *("tracks", "artists", "artist_tracks", "track_images", "track_popularity"),
    *("track_previews", "features"),
)
_KINDS = ("track", "artist", "features")
_ENRICHED = ("requested", "received", "unknown", "postponed", "not_loaded")
_SHARES = {"p50_minutes": "0.5", "p90_minutes": "0.9", "oldest_minutes": "1"}
_DAYS = (1, 7, 30)
_WAITING = {
    "waiting_for_s3": "s3",
    "waiting_for_warehouse": "warehouse",
    "waiting_tokens": "tokens",
}
_RECCOBEATS = "reccobeats"
_SPOTIFY = "spotify"
_ENDPOINTS = "spotify_endpoints"
_WAITED_FOR = {
    "spotify": "spotify_ms",
    "spotify_budget": "spotify_wait_ms",
    "reccobeats": "reccobeats_ms",
    "reccobeats_pause": "reccobeats_wait_ms",
    "s3": "s3_ms",
    "locks": "lock_wait_ms",
}
_WORKED = ("fetch", "load", "enrich")


class Run(NamedTuple):
    """A run that ended.

    ``counts`` are as `songswap.pipelines.hourly_load.summarise` returns them, ``steps`` the seconds
    from its start to the end of each of its steps.
    """

    dag_id: str
    state: str
    ended_at: datetime
    counts: Mapping[str, int]
    steps: Mapping[str, float]


def of_run(run: Run) -> Iterator[Metric]:
    """Yield what is known of a run alone."""
    tags = {"dag_id": run.dag_id}
    is_good = run.state == "success"
    yield Metric("songswap.run.success", is_good, tags)
    if is_good:
        at = run.ended_at.timestamp()
        yield Metric("songswap.run.success.timestamp.seconds", at, tags)
    yield Metric("songswap.run.duration.seconds", run.counts.get("seconds", 0), tags)
    yield Metric("songswap.run.plays", run.counts.get("plays", 0), tags)
    for outcome in (*OUTCOMES, "paused", "deferred"):
        users = run.counts.get(outcome, 0)
        yield Metric("songswap.run.users", users, tags | {"outcome": outcome})
    for step, seconds in run.steps.items():
        yield Metric("songswap.run.step.seconds", seconds, tags | {"step": step})


def of_totals(totals: Totals) -> Iterator[Metric]:
    """Yield what all runs and imports together did."""
    runs = totals.runs
    yield Metric("songswap.plays", runs.get("plays", 0), {})
    yield Metric("songswap.rejected.items", runs.get("rejected_items", 0), {})
    yield Metric("songswap.gaps.found", runs.get("gaps", 0), {})
    yield Metric("songswap.gaps.closed", runs.get("gaps_closed", 0), {})
    for table in _ROWS:
        yield Metric("songswap.rows", runs.get(table, 0), {"table": table})
    for kind in _KINDS:
        for outcome in _ENRICHED:
            tags = {"kind": kind, "outcome": outcome}
            yield Metric("songswap.enrichment", runs.get(f"{kind}_{outcome}", 0), tags)
    for waited_for, name in _WAITED_FOR.items():
        yield Metric("songswap.wait.seconds", runs.get(name, 0) / 1000, {"for": waited_for})
    for step in _WORKED:
        yield Metric("songswap.work.seconds", runs.get(f"{step}_ms", 0) / 1000, {"step": step})
    for name, number in runs.items():
        if name.startswith(_CALLS):
            endpoint, _, outcome = name.removeprefix(_CALLS).rpartition(" ")
            tags = {"endpoint": endpoint, "outcome": outcome}
            yield Metric("songswap.requests", number, tags)
    for name, number in totals.imports.items():
        yield Metric("songswap.import.rows", number, {"outcome": name})


def of_snapshot(facts: Mapping[str, Any], taken_at: datetime) -> Iterator[Metric]:
    """Yield the state of the platform.

    Args:
        facts: those of a snapshot; docs/json.md explains its keys.
    """
    yield from _freshness(facts["freshness"], taken_at)
    yield Metric("songswap.gaps.open", facts["gaps"]["open"], {})
    yield from _grants(facts["grants"], taken_at)
    yield from _spools(facts["hosts"], taken_at)
    yield from _quota(facts["requests"], taken_at)
    yield from _catalogue(facts["catalogue"])


def _freshness(freshness: Mapping[str, Any], taken_at: datetime) -> Iterator[Metric]:
    """Yield points in time: the ages grow by themselves when no run emits anything any more."""
    yield Metric("songswap.users.pollable", freshness["users"], {})
    if newest := freshness["newest_play"]:
        at = datetime.fromisoformat(newest).timestamp()
        yield Metric("songswap.play.newest.timestamp.seconds", at, {})
    for key, share in _SHARES.items():
        minutes = freshness["answered"][key]
        if minutes is not None:
            since = taken_at - timedelta(minutes=minutes)
            tags = {"share": share}
            yield Metric("songswap.response.timestamp.seconds", since.timestamp(), tags)


def _grants(grants: Mapping[str, Any], taken_at: datetime) -> Iterator[Metric]:
    for state, users in grants["states"].items():
        yield Metric("songswap.grants", users, {"state": state})
    for days in _DAYS:
        last = taken_at.date() + timedelta(days=days)
        users = sum(
            ending["users"]
            for ending in grants["ending"]
            if date.fromisoformat(ending["day"]) <= last
        )
        yield Metric("songswap.grants.ending", users, {"within_days": str(days)})


def _spools(spools: Sequence[Mapping[str, Any]], taken_at: datetime) -> Iterator[Metric]:
    """Yield what waits on each host, which may have had several spools."""
    for host in sorted({spool["host"] for spool in spools}):
        own = [spool for spool in spools if spool["host"] == host]
        tags = {"host": host}
        for key, target in _WAITING.items():
            waiting = sum(spool[key] for spool in own)
            yield Metric("songswap.spool.waiting", waiting, tags | {"target": target})
        oldest = max(_age(spool["waiting_since"], taken_at) for spool in own)
        yield Metric("songswap.spool.waiting.seconds", oldest, tags)
        seen_at = min(datetime.fromisoformat(spool["seen_at"]) for spool in own)
        yield Metric("songswap.spool.report.timestamp.seconds", seen_at.timestamp(), tags)


def _quota(requests: Mapping[str, Any], taken_at: datetime) -> Iterator[Metric]:
    spans = {"window": ("in_window", "per_window"), "day": ("last_day", "per_day")}
    for span, (used, limit) in spans.items():
        yield Metric("songswap.quota.used", requests[used], {"span": span})
        if requests[limit] is not None:
            yield Metric("songswap.quota.limit", requests[limit], {"span": span})
    left = {_SPOTIFY: 0.0, _ENDPOINTS: 0.0, _RECCOBEATS: 0.0}
    for pause in requests["pauses"]:
        service = _paused_service(pause["app"])
        seconds = (datetime.fromisoformat(pause["until"]) - taken_at).total_seconds()
        left[service] = max(left[service], seconds)
    for service, seconds in left.items():
        yield Metric("songswap.pause.seconds", seconds, {"service": service})


def _paused_service(app: str) -> str:
    """Return the service of a pause, by its name: see `songswap.warehouse.limits.pauses`."""
    if app == _RECCOBEATS:
        return _RECCOBEATS
    return _ENDPOINTS if " " in app else _SPOTIFY


def _catalogue(catalogue: Mapping[str, Any]) -> Iterator[Metric]:
    for name in ("tracks", "artists"):
        for key, number in catalogue[name].items():
            having = "any" if key == "total" else key
            yield Metric(f"songswap.{name}", number, {"having": having})
    for kind, states in catalogue["missing"].items():
        for state, ids in states.items():
            yield Metric("songswap.queue", ids, {"kind": kind, "state": state})


def _age(since: str | None, now: datetime) -> float:
    """Return the seconds since a time, 0 without one; clocks of hosts may be ahead."""
    return max((now - datetime.fromisoformat(since)).total_seconds(), 0) if since else 0
