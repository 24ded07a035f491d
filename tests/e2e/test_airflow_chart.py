"""What Airflow's official Helm chart makes of our values.

The chart is not in this repository. These tests run where SONGSWAP_CHART names the folder of it
(the one with Chart.yaml) and the package helm-python-sdk, Helm as a library, is installed:

    .venv/bin/pip install helm-python-sdk
    SONGSWAP_CHART=/path/to/airflow make test ARGS="-n 0 tests/e2e/test_airflow_chart.py"
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from e2e.compose_file import ComposeFile

FOLDER = os.environ.get("SONGSWAP_CHART")
if not FOLDER:
    pytest.skip(
        "SONGSWAP_CHART names no folder of Airflow's Helm chart, which is not in this repository",
        allow_module_level=True,
    )
helm = pytest.importorskip(
    "helm_python", reason="helm-python-sdk, which renders charts, is missing"
)

CHART = Path(FOLDER)
FILE = Path(__file__).parents[2] / "deploy/kubernetes/values.yaml"
NAMES = {
    "api-server": "airflow-apiserver",
    "dag-processor": "airflow-dag-processor",
    "flower": "flower",
    "redis": "redis",
    "run-airflow-migrations": "airflow-init",
    "scheduler": "airflow-scheduler",
    "triggerer": "airflow-triggerer",
    "worker": "airflow-worker",
}
"""The service in Compose by the component's label."""

Manifest = dict[str, Any]


def values() -> dict[str, Any]:
    """Our values, with Flower."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    content["flower"]["enabled"] = True
    return content


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """What would be installed."""
    with helm.Chart.load(str(CHART)) as chart:
        files: dict[str, str] = chart.render(values(), name="songswap", namespace="songswap")
    texts = (text for name, text in files.items() if name.endswith(".yaml"))
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


@pytest.fixture(scope="module")
def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pods' specs, by component."""
    templates = [
        manifest["spec"]["template"]
        for manifest in manifests
        if "template" in manifest.get("spec", {})
    ]
    return {template["metadata"]["labels"]["component"]: template["spec"] for template in templates}


def containers(pods: dict[str, Manifest]) -> Iterator[tuple[str, Manifest]]:
    """All containers, those before the others too, each with its component."""
    for component, pod in pods.items():
        for one in [*(pod.get("initContainers") or []), *pod["containers"]]:
            yield component, one


def unknown(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Our keys that the chart's own values do not have; what is empty there takes any."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and theirs:
        for key, value in ours.items():
            if key not in theirs:
                yield f"{path}.{key}"
            else:
                yield from unknown(value, theirs[key], f"{path}.{key}")


def test_values_fit_the_charts_schema() -> None:
    """The chart's schema has nothing to object to, and each of our keys is one of the chart's."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(values())
    assert list(unknown(values(), yaml.safe_load((CHART / "values.yaml").read_text()))) == []


def test_chart_is_the_one_of_the_values() -> None:
    """The version that the values are written for."""
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    assert f"Helm chart {version};" in FILE.read_text()


def test_workers_are_a_statefulset_with_a_spool(manifests: list[Manifest]) -> None:
    """Each pod claims a volume for its spool, and has it where the tasks look for it."""
    [workers] = [
        manifest
        for manifest in manifests
        if manifest["metadata"]["name"] == "songswap-worker"
        and manifest["kind"] not in ("Service", "ServiceAccount")
    ]
    assert workers["kind"] == "StatefulSet"
    spec = workers["spec"]
    assert [
        volume_claim_template["metadata"]["name"]
        for volume_claim_template in spec["volumeClaimTemplates"]
    ] == ["spool"]
    assert set(spec["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    worker, drain = spec["template"]["spec"]["containers"]
    assert (worker["name"], drain["name"]) == ("worker", "drain")
    for container in (worker, drain):
        assert {"name": "spool", "mountPath": "/var/spool/songswap"} in container["volumeMounts"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 600


def test_images_are_ours(pods: dict[str, Manifest]) -> None:
    """Every container runs our image, but Redis."""
    given = {(component == "redis", one["image"]) for component, one in containers(pods)}
    content = values()
    redis = content["images"]["redis"]
    assert given == {
        (False, f"{content['defaultAirflowRepository']}:{content['defaultAirflowTag']}"),
        (True, f"{redis['repository']}:{redis['tag']}"),
    }


def test_no_secret_is_made(manifests: list[Manifest], pods: dict[str, Manifest]) -> None:
    """The chart makes no Secret; what its own Secrets would give comes from ours."""
    assert [
        manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Secret"
    ] == []
    for component, one in containers(pods):
        names = [variable["name"] for variable in one["env"]]
        assert len(set(names)) == len(names), f"{component}: Helm 4 refuses a variable twice"
        for variable in one["env"]:
            if secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert secret["name"].startswith("songswap-")


def test_containers_are_confined(pods: dict[str, Manifest]) -> None:
    """No container is root, writes to its own disk, has capabilities, or may take all there is."""
    assert pods.keys() == NAMES.keys()
    for component, one in containers(pods):
        assert one["resources"]["limits"].keys() == {"cpu", "memory"}, component
        assert one["resources"]["requests"].keys() == {"cpu", "memory"}, component
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, component
        assert pods[component]["securityContext"]["runAsNonRoot"] is True, component
        if component != "redis":
            assert {"name": "tmp", "mountPath": "/tmp"} in one["volumeMounts"], component  # noqa: S108


def test_nothing_may_talk_to_kubernetes(manifests: list[Manifest]) -> None:
    """No role is given, and no pod has a token."""
    assert not {manifest["kind"] for manifest in manifests} & {"Role", "RoleBinding", "ClusterRole"}
    accounts = [manifest for manifest in manifests if manifest["kind"] == "ServiceAccount"]
    assert {account["automountServiceAccountToken"] for account in accounts} == {False}


def test_pods_have_the_variables_of_their_compose_services(
    compose: ComposeFile, pods: dict[str, Manifest]
) -> None:
    """The workers have no more secrets."""
    required = {name: f"<{name}>" for name in compose.required()}
    services = compose.resolved(required)["services"]
    for component, service in NAMES.items():
        if component == "redis":
            continue
        environment = services[service]["environment"].keys()
        given = {variable["name"] for variable in pods[component]["containers"][0]["env"]}
        assert environment - given <= {
            "AIRFLOW__CORE__EXECUTOR",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
            "SONGSWAP_HOST",  # a pod's name is its host's
        }, component
    for component in ("worker", "flower"):
        text = json.dumps(pods[component])
        assert "songswap-control" not in text
        assert "songswap-queue" in text


def test_configuration_says_the_rest(manifests: list[Manifest]) -> None:
    """What the variables leave out stands in the file that the chart writes."""
    [config] = [
        manifest["data"]["airflow.cfg"] for manifest in manifests if manifest["kind"] == "ConfigMap"
    ]
    assert "executor = CeleryExecutor\n" in config
    address = "http://songswap-api-server:8080/execution/"
    assert f"execution_api_server_url = {address}\n" in config
    assert "dags_folder = /opt/airflow/dags\n" in config
