"""Which metrics a run emits, with which values."""

from datetime import UTC, datetime
from typing import Any

from songswap.pipelines import metrics, run_counts
from songswap.pipelines.metric_names import METRICS, Metric, in_prometheus
from songswap.pipelines.metrics import Run
from songswap.warehouse.totals import Totals

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "freshness": {
        "newest_play": "2026-11-27T11:30:00Z",
        "users": 12,
        "answered": {"never": 1, "p50_minutes": 5, "p90_minutes": 60, "oldest_minutes": 90},
    },
    "gaps": {"open": 2, "closed_7d": 1, "newest": []},
    "catalogue": {
        "counted_at": "2026-11-27T12:00:00Z",
        "tracks": {"total": 10, "features": 4, "images": 9},
        "artists": {"total": 5, "genres": 3},
        "missing": {"track": {"missing": 1, "waiting": 2, "unknown": 3}},
    },
    "requests": {
        "in_window": 3,
        "per_window": 90,
        "last_day": 400,
        "per_day": None,
        "pauses": [
            {"app": "id", "reason": "quota", "until": "2026-11-27T12:01:00Z"},
            {"app": "id artists", "reason": "closed", "until": "2026-11-27T12:02:00Z"},
        ],
    },
    "hosts": [
        {
            "host": "central",
            "seen_at": "2026-11-27T11:59:50Z",
            "is_silent": False,
            "waiting_for_s3": 3,
            "waiting_for_warehouse": 0,
            "waiting_tokens": 1,
            "waiting_since": "2026-11-27T11:00:00Z",
        },
        {
            "host": "two",
            "seen_at": "2026-11-27T12:00:02Z",
            "is_silent": False,
            "waiting_for_s3": 0,
            "waiting_for_warehouse": 0,
            "waiting_tokens": 0,
            "waiting_since": None,
        },
    ],
    "grants": {
        "states": {"active": 9, "expiring": 2, "revoked": 1},
        "ending": [{"day": "2026-11-28", "users": 1}, {"day": "2026-12-20", "users": 1}],
    },
}
TOTALS = Totals(
    {
        **{"plays": 7, "tracks": 4, "track_received": 3, "calls token refresh 200": 2, "calls": 2},
        **{"spotify_ms": 1500, "lock_wait_ms": 20, "load_ms": 61_007},
    },
    {"loaded": 100},
)
RUN = Run(
    "load_listening_history", "success", NOW, {"plays": 5, "answered": 3, "seconds": 6}, {"load": 4}
)

Values = dict[tuple[str, ...], float]


def emitted() -> list[Metric]:
    """Return everything that a run emits."""
    found = [*metrics.of_run(RUN), *metrics.of_totals(TOTALS)]
    return [*found, *metrics.of_snapshot(FACTS, NOW)]


def values(name: str) -> Values:
    """Return the values of a metric by its tags' values."""
    return {
        tuple(metric.tags.values()): metric.value for metric in emitted() if metric.name == name
    }


def test_each_metric_is_emitted_with_its_tags() -> None:
    """What METRICS defines, and nothing else; no series twice."""
    assert {metric.name for metric in emitted()} == METRICS.keys()
    for metric in emitted():
        assert tuple(metric.tags) == METRICS[metric.name].tags
    series = [(metric.name, *metric.tags.values()) for metric in emitted()]
    assert len(set(series)) == len(series)


def test_requests_are_told_by_endpoint_and_outcome() -> None:
    """The sum of all of them is no series of its own."""
    assert values("songswap.requests") == {("token refresh", "200"): 2}


def test_what_was_never_counted_is_zero() -> None:
    """A series that is missing would keep its last value, or have no increase at first."""
    assert values("songswap.gaps.found") == {(): 0}
    assert values("songswap.enrichment")["track", "received"] == 3
    assert values("songswap.enrichment")["artist", "postponed"] == 0
    assert values("songswap.run.users")["load_listening_history", "failed"] == 0


def test_durations_are_seconds() -> None:
    """Zero where nobody waited."""
    waits = values("songswap.wait.seconds")
    assert (waits["spotify",], waits["locks",], waits["s3",]) == (1.5, 0.02, 0)
    work = values("songswap.work.seconds")
    assert work == {("fetch",): 0, ("load",): 61.007, ("enrich",): 0}


def test_each_duration_of_a_run_is_a_series() -> None:
    """Each with a value of its own."""
    totals = Totals({name: at for at, name in enumerate(run_counts.DURATIONS, 1)}, {})
    names = ("songswap.wait.seconds", "songswap.work.seconds")
    found = [1000 * metric.value for metric in metrics.of_totals(totals) if metric.name in names]
    assert sorted(found) == list(totals.runs.values())


def test_ages_are_points_in_time() -> None:
    """So they grow when no run emits anything any more."""
    newest = values("songswap.play.newest.timestamp.seconds")[()]
    assert NOW.timestamp() - newest == 30 * 60
    since = values("songswap.response.timestamp.seconds")
    ages = {share: NOW.timestamp() - at for (share,), at in since.items()}
    assert ages == {"0.5": 5 * 60, "0.9": 60 * 60, "1": 90 * 60}


def test_warehouse_without_plays_has_no_newest_one() -> None:
    """Not one at the beginning of time."""
    answered = dict.fromkeys(FACTS["freshness"]["answered"])
    empty = {"newest_play": None, "users": 0, "answered": answered}
    found = {metric.name for metric in metrics.of_snapshot(FACTS | {"freshness": empty}, NOW)}
    assert "songswap.play.newest.timestamp.seconds" not in found
    assert "songswap.response.timestamp.seconds" not in found
    assert "songswap.users.pollable" in found


def test_failed_run_leaves_the_time_of_the_last_success() -> None:
    failed = list(metrics.of_run(RUN._replace(state="failed")))
    assert Metric("songswap.run.success", 0, {"dag_id": RUN.dag_id}) in failed
    assert "songswap.run.success.timestamp.seconds" not in {metric.name for metric in failed}
    succeeded = values("songswap.run.success.timestamp.seconds")
    assert succeeded == {("load_listening_history",): NOW.timestamp()}


def test_spool_of_each_host() -> None:
    """Where nothing waits it says 0; a clock that is ahead makes nothing negative."""
    assert values("songswap.spool.waiting")["central", "s3"] == 3
    assert values("songswap.spool.waiting.seconds") == {("central",): 3600, ("two",): 0}


def test_spools_of_one_host_are_one_series() -> None:
    """A replaced disk leaves two until the old one is forgotten: the sum, the oldest report."""
    hosts = [{**host, "host": "central"} for host in FACTS["hosts"]]
    hosts[1]["waiting_for_s3"] = 4
    found = list(metrics.of_snapshot(FACTS | {"hosts": hosts}, NOW))
    [waiting] = [metric.value for metric in found if metric.tags.get("target") == "s3"]
    assert waiting == 7
    [at] = [metric.value for metric in found if metric.name.endswith("report.timestamp.seconds")]
    assert at == NOW.timestamp() - 10


def test_grants_that_end_are_counted_within_each_time() -> None:
    assert values("songswap.grants.ending") == {("1",): 1, ("7",): 1, ("30",): 2}
    assert values("songswap.grants")["revoked",] == 1


def test_unknown_limit_is_no_limit_of_zero() -> None:
    assert values("songswap.quota.limit") == {("window",): 90}
    assert values("songswap.quota.used") == {("window",): 3, ("day",): 400}


def test_pause_that_is_over_is_zero() -> None:
    """One of an endpoint stops no polls, and is not taken for one of all of Spotify's."""
    assert values("songswap.pause.seconds") == {
        ("spotify",): 60,
        ("spotify_endpoints",): 120,
        ("reccobeats",): 0,
    }


def test_no_tag_can_be_a_user() -> None:
    """Each series costs the receiver memory, and metrics leave the house."""
    tags = {tag for definition in METRICS.values() for tag in definition.tags}
    assert tags == {
        *("dag_id", "endpoint", "for", "having", "host", "kind", "outcome", "service", "share"),
        *("span", "state", "step", "table", "target", "within_days"),
    }


def test_name_in_prometheus() -> None:
    assert in_prometheus("songswap.gaps.open") == "airflow_songswap_gaps_open"
