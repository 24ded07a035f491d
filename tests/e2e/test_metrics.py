"""Metrics of real runs in a real receiver, and the alerts that come of them."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from rich.console import Console
from victoria_metrics import VictoriaMetrics, unit_test

from songswap.dev.stack.airflow_api import UNFINISHED
from songswap.dev.stack.plan import make_plan
from songswap.dev.stack.stack import DAG, Stack
from songswap.dev.stack.state import load_access, load_world
from songswap.installation.project_files import dags
from songswap.pipelines.metric_names import METRICS, in_prometheus
from songswap.supervision.process import marked, wait_until
from songswap.terminal.progress import Progress

# One whole stack at a time is what two cores can run.
pytestmark = pytest.mark.xdist_group("stack")

REPOSITORY = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((REPOSITORY / "deploy/grafana/songswap.json").read_text())
ALERTS = REPOSITORY / "deploy/grafana/alerts.yaml"
CASES = Path(__file__).with_name("alerts_test.yaml")

NOT_IN_THIS_WORLD = {"songswap.quota.limit", "songswap.import.rows"}
"""No request was refused, and nothing was imported."""


@pytest.fixture
def receiver(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[VictoriaMetrics]:
    """A receiver that is running."""
    folder = tmp_path / "receiver"
    folder.mkdir()
    made = VictoriaMetrics(folder, free_port())
    made.start()
    yield made
    made.stop()
    assert marked(folder) == []


@pytest.fixture
def stack(
    tmp_path: Path, free_port: Callable[[], int], receiver: VictoriaMetrics
) -> Iterator[Stack]:
    """The demo's parts with four listeners, and Airflow, which sends metrics to the receiver."""
    folder = tmp_path / "state"
    folder.mkdir()
    parts = ("AIRFLOW", "POSTGRES", "S3", "SIMULATOR")
    ports = {f"SONGSWAP_{part}_PORT": str(free_port()) for part in parts}
    plan = make_plan(ports | {"SONGSWAP_OTLP_ENDPOINT": receiver.otlp_endpoint})
    access = load_access(folder / "s3")
    made = Stack(folder, plan, load_world(folder, 1, 4), access, dags())
    try:
        made.start(Progress(Console(file=StringIO())))
        yield made
    finally:
        made.stop()
    assert marked(folder) == []


def ended(stack: Stack, run: str) -> str:
    """Wait for the end of a run of the hourly load, and return its state."""
    api = stack.airflow.api
    assert wait_until(lambda: api.state(DAG, run) not in UNFINISHED, 300, 1)
    return api.state(DAG, run)


def number(stack: Stack, query: str) -> float:
    """Return the one number of a query on the warehouse."""
    with psycopg.connect(stack.warehouse_dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


def differing(stack: Stack, receiver: VictoriaMetrics) -> dict[str, tuple[float, float]]:
    """Return the totals that arrived and are not what the warehouse and Spotify have."""
    totals = {
        "airflow_songswap_plays": 'SELECT count(*) FROM "History"',
        'airflow_songswap_rows{table="tracks"}': 'SELECT count(*) FROM "Tracks"',
        'airflow_songswap_rows{table="artists"}': 'SELECT count(*) FROM "Artists"',
        'airflow_songswap_rows{table="features"}': 'SELECT count(*) FROM "TrackFeatures"',
        "airflow_songswap_gaps_open": "SELECT count(*) FROM songswap.gaps WHERE closed_at IS NULL",
        "airflow_songswap_rejected_items": "SELECT count(*) FROM songswap.rejected_items",
        'airflow_songswap_wait_seconds{for="spotify"}': (
            "SELECT total / 1000.0 FROM songswap.totals WHERE name = 'spotify_ms'"
        ),
        'airflow_songswap_work_seconds{step="load"}': (
            "SELECT total / 1000.0 FROM songswap.totals WHERE name = 'load_ms'"
        ),
        "airflow_songswap_play_newest_timestamp_seconds": (
            'SELECT extract(epoch FROM max(played_at)) FROM "History"'
        ),
    }
    found = {
        metric: (receiver.value(f"last_over_time({metric}[1h])"), number(stack, query))
        for metric, query in totals.items()
    }
    polls = 'airflow_songswap_requests{endpoint="recently-played"}'
    calls = stack.simulator.get("/admin/calls")["by_endpoint"]["recently-played"]
    arrived = receiver.value(f"sum(last_over_time({polls}[1h]))")
    found[polls] = arrived, sum(calls.values())
    return {metric: pair for metric, pair in found.items() if pair[0] != pair[1]}


def is_found(receiver: VictoriaMetrics, expression: str) -> bool:
    """Return whether a query has a result now."""
    return bool(receiver.query(expression))


def test_metrics_of_runs_arrive(stack: Stack, receiver: VictoriaMetrics) -> None:
    """With the right numbers, also after a run during which the receiver was away: that one is
    green all the same. Each query of the dashboard finds something."""
    api = stack.airflow.api
    wait_until(lambda: not api.due(DAG), 60)
    assert ended(stack, api.current_run(DAG) or api.runs(DAG)[0][0]) == "success"

    # The task sends them when it ends, a moment after its state is known.
    success = f'airflow_songswap_run_success{{dag_id="{DAG}"}}'
    assert wait_until(lambda: bool(receiver.query(success)), 60)
    assert receiver.value(success) == 1
    assert number(stack, 'SELECT count(*) FROM "History"') > 0
    # At minute 1 another run begins.
    assert wait_until(lambda: not differing(stack, receiver), 120, 1), differing(stack, receiver)
    answered = f'airflow_songswap_run_users{{outcome="answered",dag_id="{DAG}"}}'
    assert receiver.value(f"max_over_time({answered}[1h])") == 4
    emitted = receiver.query('{__name__=~"airflow_songswap_.*"}')
    names = {dict(labels)["__name__"] for labels in emitted}
    assert names == {in_prometheus(name) for name in METRICS.keys() - NOT_IN_THIS_WORLD}
    assert {dict(labels)["service.instance.id".replace(".", "_")] for labels in emitted} == {
        "songswap"
    }

    receiver.stop()
    assert ended(stack, api.trigger(DAG)) == "success"
    receiver.start()
    assert ended(stack, api.trigger(DAG)) == "success"
    assert wait_until(lambda: not differing(stack, receiver), 120, 1), differing(stack, receiver)

    without = {in_prometheus(name) for name in NOT_IN_THIS_WORLD}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            an_hour_ago = "offset" in expression or "rate(" in expression
            if not an_hour_ago and not any(name in expression for name in without):
                # Each of Airflow's own processes sends once a minute, later if a try has failed.
                assert wait_until(partial(is_found, receiver, expression), 180, 1), expression


def test_alerts_fire() -> None:
    """Each of them on what comes once an hour, with its sentence, and not before."""
    cases = yaml.safe_load(CASES.read_text())["tests"]
    tried = {test["alertname"] for case in cases for test in case["alert_rule_test"]}
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    assert tried == {rule["alert"] for group in groups for rule in group["rules"]}
    done = unit_test(CASES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboard_shows_what_an_hour_brought(tmp_path: Path) -> None:
    """Of totals that come once an hour: their differences. What appears later began at zero; what
    was there before the first message is no part of an hour."""
    [plays] = targets("New plays an hour")
    [requests] = targets("Requests an hour")
    [waits] = targets("Waits an hour")
    [mean] = targets("Time of a request to Spotify")
    name = "airflow_songswap_requests"
    good, bad = ({"endpoint": "tracks", "outcome": outcome} for outcome in ("200", "429"))
    spotify, locks = {"for": "spotify"}, {"for": "locks"}
    series = {
        "airflow_songswap_plays": "100 _x59 130 _x59 150 _x60",
        f"{name}{in_promql(good)}": "1000 _x59 1010 _x59 1030 _x60",
        f"{name}{in_promql(bad)}": "_x60 7 _x59 7 _x60",
        f"airflow_songswap_wait_seconds{in_promql(spotify)}": "200 _x59 204.25 _x59 204.25 _x60",
        f"airflow_songswap_wait_seconds{in_promql(locks)}": "0 _x59 0 _x59 30 _x60",
    }
    steps: list[tuple[str, str, dict[str, float]]] = [
        (plays, "5m", {}),
        (requests, "5m", {}),
        (plays, "70m", {"": 30}),
        (plays, "130m", {"": 20}),
        (requests, "70m", {in_promql(good): 10, in_promql(bad): 7}),
        (requests, "130m", {in_promql(good): 20, in_promql(bad): 0}),
        (waits, "5m", {}),
        (waits, "70m", {in_promql(spotify): 4.25, in_promql(locks): 0}),
        (waits, "130m", {in_promql(spotify): 0, in_promql(locks): 30}),
        # Of 10 requests that succeeded and 7 that did not.
        (mean, "70m", {"": 0.25}),
        (mean, "130m", {"": 0}),
    ]
    case = {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "metricsql_expr_test": [
            {
                "expr": expression,
                "eval_time": at,
                "exp_samples": [{"labels": one, "value": value} for one, value in found.items()],
            }
            for expression, at, found in steps
        ],
    }
    file = tmp_path / "case.yaml"
    # The program wants some.
    unit = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [case]}
    file.write_text(yaml.safe_dump(unit))
    done = unit_test(file)
    assert done.returncode == 0, done.stdout + done.stderr


def targets(title: str) -> list[str]:
    """Return the queries of a panel."""
    [panel] = [panel for panel in DASHBOARD["panels"] if panel["title"] == title]
    return [target["expr"] for target in panel["targets"]]


def in_promql(labels: dict[str, str]) -> str:
    """Return labels as a selector has them."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
