"""The dashboard and the alerts name the metrics that are emitted, each of them, and no other."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from songswap.dev.stack import metrics
from songswap.pipelines.metric_names import METRICS, in_prometheus

REPOSITORY = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((REPOSITORY / "deploy/grafana/songswap.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((REPOSITORY / "deploy/grafana/alerts.yaml").read_text())
MANUAL = (REPOSITORY / "docs/metrics.md").read_text()
OURS = {in_prometheus(name) for name in METRICS}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "timer": ("_milliseconds_sum",)}
"""What OpenTelemetry adds in Prometheus to the names of Airflow's metrics."""


def named(expression: str) -> set[str]:
    """Return the metrics in a PromQL expression."""
    return set(re.findall(r"\bairflow_\w+", expression))


def targets() -> Iterator[dict[str, Any]]:
    """Yield all queries of the dashboard."""
    for panel in DASHBOARD["panels"]:
        yield from panel.get("targets", [])


def rules() -> Iterator[dict[str, Any]]:
    """Yield all alerts."""
    for group in RULES["groups"]:
        yield from group["rules"]


def template() -> list[dict[str, Any]]:
    """Return all metrics of the installed Airflow."""
    spec = find_spec("airflow")
    assert spec is not None
    [folder] = spec.submodule_search_locations or []
    file = Path(folder) / "_shared/observability/metrics/metrics_template.yaml"
    return list(yaml.safe_load(file.read_text())["metrics"])


def of_airflow() -> set[str]:
    """Return their names in Prometheus."""
    return {
        in_prometheus(metric["name"]) + suffix
        for metric in template()
        for suffix in SUFFIXES.get(metric["type"], ())
    }


def test_dashboard_shows_each_metric() -> None:
    """All of ours; Airflow's are among those that it has."""
    shown = {name for target in targets() for name in named(target["expr"])}
    assert {name for name in shown if name.startswith("airflow_songswap_")} == OURS
    assert shown - OURS <= of_airflow()
    assert len(shown - OURS) >= 5


def test_what_the_dashboard_shows_is_sent() -> None:
    """The list of allowed metrics has it, and no timer: as a histogram of OpenTelemetry's it makes
    a Prometheus without native histograms refuse whatever comes with it."""
    allowed = metrics.settings("x")["AIRFLOW__METRICS__METRICS_ALLOW_LIST"].split(",")

    def is_sent(name: str) -> bool:
        return any(re.search(pattern, name) for pattern in allowed)

    shown = {name for owner in [*targets(), *rules()] for name in named(owner["expr"])}
    sent = {in_prometheus(metric["name"]) for metric in template() if is_sent(metric["name"])}
    assert {name.removesuffix("_total") for name in shown - OURS} <= sent
    assert all(map(is_sent, METRICS))
    assert [
        one["name"] for one in template() if one["type"] == "timer" if is_sent(one["name"])
    ] == []


def test_alerts_name_metrics_that_are_emitted() -> None:
    for rule in rules():
        assert named(rule["expr"]), rule["alert"]
        assert named(rule["expr"]) <= OURS | of_airflow(), rule["alert"]
        assert rule["annotations"]["summary"].endswith(".")


def test_manual_explains_each_metric() -> None:
    """Its table has each name with its tags and what it says; an increasing one is marked."""
    rows = re.findall(r"^\| `(songswap\.[\w.]+)` \| (.*?) \| (.*?) \| (.*?) \|$", MANUAL, re.M)
    expected = [
        (
            name,
            ", ".join(f"`{tag}`" for tag in definition.tags),
            "yes" if definition.grows else "",
            definition.what,
        )
        for name, definition in METRICS.items()
    ]
    assert rows == expected


def test_metrics_of_a_run_are_looked_back_for() -> None:
    """They are sent once an hour: a plain selector finds nothing 5 minutes after that."""
    for owner in [*targets(), *rules()]:
        for name in named(owner["expr"]) & OURS:
            found = re.findall(rf"(\w+)\({name}\b", owner["expr"])
            assert found, owner
            assert set(found) <= {"last_over_time", "absent_over_time"}


def test_dashboard_can_be_imported() -> None:
    """Into any Grafana: its data source is a variable, its panels do not overlap."""
    assert DASHBOARD["uid"] == "songswap"
    assert "id" not in DASHBOARD, "Grafana takes it for the id of a dashboard that it has"
    [variable] = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    source = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    assert all(target["datasource"] == source for target in targets())
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = Counter(
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert set(cells.values()) == {1}
    assert max(x for x, _ in cells) == 23
