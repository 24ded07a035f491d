"""Airflow's settings of metrics, as in docker-compose.yaml."""

_ALLOWED = (
    "songswap",
    "scheduler_heartbeat",
    "dag_processor_heartbeat",
    "triggerer_heartbeat",
    "^pool",
    "^executor",
    "import_errors",
    "^scheduler.tasks",
)
"""What the dashboard shows: ours, and of Airflow's own no timer and nothing of each task."""


def settings(endpoint: str) -> dict[str, str]:
    """Return the environment with which Airflow sends metrics; empty without an endpoint."""
    if not endpoint:
        return {}
    return {
        "AIRFLOW__METRICS__OTEL_ON": "true",
        "AIRFLOW__METRICS__LEGACY_NAMES_ON": "false",
        "AIRFLOW__METRICS__METRICS_ALLOW_LIST": ",".join(_ALLOWED),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=songswap",
    }
