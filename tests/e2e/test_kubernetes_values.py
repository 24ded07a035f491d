"""The values for Airflow's Helm chart say what docker-compose.yaml says, and hold no secret."""

import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.compose_file import ComposeFile

import songswap

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "deploy/kubernetes/values.yaml"
MANUAL = REPOSITORY / "docs/kubernetes.md"
VALUES: dict[str, Any] = yaml.safe_load(FILE.read_text())

WORKERS = VALUES["workers"]["celery"]
PARTS: dict[str, dict[str, Any]] = {
    "airflow-cleanup": VALUES["databaseCleanup"],
    "airflow-apiserver": VALUES["apiServer"],
    "airflow-dag-processor": VALUES["dagProcessor"],
    "airflow-init": VALUES["migrateDatabaseJob"],
    "airflow-scheduler": VALUES["scheduler"],
    "airflow-triggerer": VALUES["triggerer"],
    "airflow-worker": WORKERS,
    "flower": VALUES["flower"],
}
"""By the name of their service in Compose."""

BY_THE_CHART = {
    "AIRFLOW_HOME",
    "AIRFLOW__CELERY__BROKER_URL",
    "AIRFLOW__CELERY__FLOWER_BASIC_AUTH",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__CORE__EXECUTOR",
    "DUMB_INIT_SETSID",
}
"""What the chart sets by itself: test_airflow_chart.py looks at it."""

BY_THE_CLUSTER = {"SONGSWAP_HOST"}
"""A pod's name is its host's."""

CONTROL = {"connection", "fernet-key", "jwt-secret", "api-secret-key"}
SECRET = re.compile("PASSWORD|SECRET|_KEY$|_CONN|WEBHOOK|BROKER_URL|RESULT_BACKEND")


def references(part: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """By variable, the Secret and the key that a part reads it from."""
    shared = [(one["envName"], one["secretName"], one["secretKey"]) for one in VALUES["secret"]]
    own = [
        (
            one["name"],
            one["valueFrom"]["secretKeyRef"]["name"],
            one["valueFrom"]["secretKeyRef"]["key"],
        )
        for one in part["env"]
        if "secretKeyRef" in one.get("valueFrom", {})
    ]
    return {variable: (name, key) for variable, name, key in [*shared, *own]}


def literals(part: dict[str, Any]) -> dict[str, str]:
    """By variable, what a part is told as it stands in the file."""
    return {one["name"]: one["value"] for one in [*VALUES["env"], *part["env"]] if "value" in one}


def told(compose: ComposeFile, service: str) -> dict[str, str]:
    """What Compose tells a service, with `<NAME>` for each required variable."""
    required = {name: f"<{name}>" for name in compose.required()}
    environment: dict[str, str] = compose.resolved(required)["services"][service]["environment"]
    elsewhere = BY_THE_CHART | BY_THE_CLUSTER
    return {name: value for name, value in environment.items() if name not in elsewhere}


@pytest.mark.parametrize("service", PARTS)
def test_settings_are_those_of_compose(compose: ComposeFile, service: str) -> None:
    """Each part is told what its service in Compose is told; of secrets it gets a reference."""
    part = PARTS[service]
    expected = told(compose, service)
    assert len(expected) > 10
    secret = {name for name, value in expected.items() if "<" in value}
    assert secret <= references(part).keys()
    plain = {name: value for name, value in expected.items() if name not in secret}
    assert plain.items() <= literals(part).items()


@pytest.mark.parametrize("service", PARTS)
def test_no_part_reads_more_secrets_than_in_compose(compose: ComposeFile, service: str) -> None:
    secret = {name for name, value in told(compose, service).items() if "<" in value}
    assert references(PARTS[service]).keys() <= secret


@pytest.mark.parametrize("service", PARTS)
def test_values_file_holds_no_secret(service: str) -> None:
    """Only the in-memory database of a worker has a value."""
    part = PARTS[service]
    known = {name: value for name, value in literals(part).items() if SECRET.search(name)}
    assert set(known.values()) <= {"sqlite://"}
    names = Counter(one["name"] for one in [*VALUES["env"], *part["env"]])
    names.update(one["envName"] for one in VALUES["secret"])
    assert set(names.values()) == {1}


def test_workers_know_no_key() -> None:
    """What runs tasks knows neither the metadata database nor a key of Airflow."""
    for service in ("airflow-worker", "flower"):
        assert "songswap-control" not in {name for name, _ in references(PARTS[service]).values()}
    assert {
        key
        for name, key in references(PARTS["airflow-scheduler"]).values()
        if name.endswith("control")
    } == CONTROL
    given = VALUES["enableBuiltInSecretEnvVars"]
    assert not any(given.values())
    assert {"AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"} <= given.keys()
    assert {"AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"} <= given.keys()


def test_optional_settings_can_be_set(compose: ComposeFile) -> None:
    """From the ConfigMap, or as a prepared entry for a secret."""
    assert "name: songswap-settings, optional: true" in VALUES["extraEnvFrom"]
    text = FILE.read_text()
    secret = {name for name in compose.passed_on() if SECRET.search(name) and "SPARK" not in name}
    assert len(secret) >= 3
    assert [name for name in secret if name not in text] == []


def test_limits_are_those_of_compose(compose: ComposeFile) -> None:
    """A part may take the processors and the memory that its service in Compose may take."""
    units = {"m": "Mi", "g": "Gi"}
    for service, part in {**PARTS, "redis": VALUES["redis"]}.items():
        limits = compose.content["services"][service]["deploy"]["resources"]["limits"]
        memory = re.sub("[mg]$", lambda unit: units[unit[0]], limits["memory"])
        processors = f"{float(limits['cpus']) * 1000:.0f}m"
        assert part["resources"]["limits"]["memory"] == memory, service
        given = part["resources"]["limits"]["cpu"]
        assert given == processors or f"{float(given) * 1000:.0f}m" == processors, service


def test_preparation_is_that_of_compose(compose: ComposeFile) -> None:
    """The job makes both schemas, the pools and the admin by the same commands."""
    script = compose.content["services"]["airflow-init"]["command"][-1].replace("$$", "$")
    # Before that Compose tidies up a volume, which is the pod's own here.
    theirs = script[script.index("airflow db migrate") :].splitlines()
    *shell, ours = VALUES["migrateDatabaseJob"]["args"]
    assert shell == ["bash", "-euc"]
    commands = [line for line in ours.splitlines() if "The parts that wait" not in line]
    assert sorted(commands) == sorted(theirs)
    # The parts wait for Airflow's schema alone, and the tasks need both.
    assert commands[0].startswith("songswap migrate")
    assert VALUES["createUserJob"]["enabled"] is False


def test_cleanup_is_that_of_compose(compose: ComposeFile) -> None:
    """The CronJob runs the command that Compose repeats; logs are the chart's own matter."""
    script = compose.content["services"]["airflow-cleanup"]["command"][-1].replace("$$", "$")
    [theirs] = re.findall(r"airflow db clean .*?(?= *\\\s*&&)", script, re.DOTALL)
    *shell, ours = VALUES["databaseCleanup"]["args"]
    assert shell == ["bash", "-euc"]
    assert ours.split() == theirs.split()
    assert VALUES["databaseCleanup"]["enabled"] is True
    assert VALUES["scheduler"]["logGroomerSidecar"]["enabled"] is True


def test_commands_are_those_of_compose(compose: ComposeFile) -> None:
    """Nothing serves logs, for which it would need a key; the workers' probe is Compose's check."""
    services = compose.content["services"]
    for service in ("airflow-scheduler", "airflow-triggerer", "airflow-worker"):
        assert PARTS[service]["args"] == ["bash", "-c", f"exec {services[service]['command']}"]
    for service in ("airflow-scheduler", "airflow-worker"):
        _, *check = services[service]["healthcheck"]["test"]
        probe = PARTS[service]["livenessProbe"]["command"]
        assert probe[-len(check) :] == [word.replace("$$", "$") for word in check]


def test_each_worker_has_a_spool_of_its_own(compose: ComposeFile) -> None:
    """It is a claim of the StatefulSet, mounted where tasks look for it, and outlives the pod."""
    [claim] = WORKERS["volumeClaimTemplates"]
    spool = literals(WORKERS)["SONGSWAP_SPOOL"]
    assert {"name": claim["metadata"]["name"], "mountPath": spool} in WORKERS["extraVolumeMounts"]
    assert f" {spool} " in (REPOSITORY / "Dockerfile").read_text()
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert WORKERS["persistence"] == {
        "enabled": True,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    }
    grace = compose.content["services"]["airflow-worker"]["stop_grace_period"]
    assert f"{WORKERS['terminationGracePeriodSeconds'] // 60}m" == grace


def test_each_spool_is_drained(compose: ComposeFile) -> None:
    """A container beside the worker does what Compose's service does, with the same settings, on
    the worker's own volume."""
    [drain] = WORKERS["extraContainers"]
    service = compose.content["services"]["songswap-drain"]
    assert drain["command"] == shlex.split(service["command"])
    names = told(compose, "songswap-drain").keys() - BY_THE_CLUSTER
    assert {one["name"] for one in drain["env"]} == names
    known = {one["name"]: one for one in [*VALUES["env"], *WORKERS["env"]]}
    rewritten = {"name": "SQLITE_TMPDIR", "value": literals(WORKERS)["SONGSWAP_SPOOL"]}
    assert [one for one in drain["env"] if one != known.get(one["name"])] == [rewritten]
    assert {"configMapRef": {"name": "songswap-settings", "optional": True}} in drain["envFrom"]
    mounts = {mount["name"]: mount["mountPath"] for mount in drain["volumeMounts"]}
    assert mounts["spool"] == literals(WORKERS)["SONGSWAP_SPOOL"]
    assert drain["securityContext"] == VALUES["securityContexts"]["containers"]
    assert drain["resources"]["limits"] == {"cpu": "500m", "memory": "512Mi"}


def test_exports_are_unpacked_on_disk() -> None:
    """Temporary files of the workers have a volume, which is not memory."""
    folder = literals(WORKERS)["TMPDIR"]
    [name] = [
        extra_volume_mount["name"]
        for extra_volume_mount in WORKERS["extraVolumeMounts"]
        if extra_volume_mount["mountPath"] == folder
    ]
    [volume] = [
        extra_volume for extra_volume in WORKERS["extraVolumes"] if extra_volume["name"] == name
    ]
    assert "medium" not in volume["emptyDir"]


def test_images_are_those_of_compose(compose: ComposeFile) -> None:
    """The project's image at the project's version, Airflow's version, and the same Redis."""
    version = songswap.__version__
    image = f"{VALUES['defaultAirflowRepository']}:{VALUES['defaultAirflowTag']}"
    assert image == compose.content["services"]["airflow-worker"]["image"]
    assert image.endswith(f":{version}")
    assert set(re.findall(r"songswap-airflow:([\w.]+)", MANUAL.read_text())) == {version}
    assert f"apache/airflow:{VALUES['airflowVersion']}-" in (REPOSITORY / "Dockerfile").read_text()
    redis = VALUES["images"]["redis"]
    services = compose.content["services"]
    assert services["redis"]["image"] == f"{redis['repository']}:{redis['tag']}"


def test_manual_makes_every_secret() -> None:
    """Each Secret and each key that a part reads is made by the commands of the manual."""
    manual = MANUAL.read_text()
    read = {reference for part in PARTS.values() for reference in references(part).values()}
    read |= {("songswap-queue", "password"), ("songswap-admin", "basicAuth")}
    made = dict(re.findall(r"create secret generic (\S+) --from-env-file=(\S+)", manual))
    assert made.keys() == {name for name, _ in read}
    files = dict(re.findall(r"^cat > (\S+) <<\W?END\W?\n(.*?)^END$", manual, re.M | re.S))
    for name, key in read:
        assert re.search(rf"^{key}=", files[made[name]], re.M), f"{name}: {key}"
