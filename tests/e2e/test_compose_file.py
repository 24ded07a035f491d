"""The deployment's files: valid, closed, limited, and without a secret in them."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
EXAMPLE = REPOSITORY / "docker.env.example"
ONCE = {"airflow-init", "demo-listeners", "spark-driver"}
SECRET = re.compile(
    "PASSWORD|SECRET|FERNET|TOKEN|_CONN_|BROKER_URL|RESULT_BACKEND|BASIC_AUTH|AUTH$"
)


def run(program: str, *arguments: str) -> str:
    """What a program says that has to succeed."""
    done = subprocess.run(  # noqa: S603  (our own tools)
        [PROGRAMS / program, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def services(compose: Any) -> dict[str, Any]:
    """The services with all that is required set to `x`."""
    return dict(compose.resolved(dict.fromkeys(compose.required(), "x"))["services"])


def test_files_are_valid(compose: Any) -> None:
    """The compose file fits the Compose specification; the Dockerfile has nothing to object to."""
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(compose.path))
    assert run("hadolint", "--no-color", "Dockerfile") == ""


def test_missing_variables_are_named(compose: Any) -> None:
    """Each required variable, left out or left empty, stops everything with a sentence on it."""
    everything = dict.fromkeys(compose.required(), "x")
    assert len(everything) >= 14
    for name, sentence in compose.required().items():
        assert sentence.startswith(("is ", "signs ", "encrypts ")), sentence
        for given in ({**everything, name: ""}, {k: v for k, v in everything.items() if k != name}):
            with pytest.raises(
                Exception, match=f"variable {name} is missing a value: {sentence[:9]}"
            ):
                compose.resolved(given)


def test_no_secret_has_a_default(compose: Any) -> None:
    """What is secret comes from a required variable, or is passed on as it is."""
    assert not [name for name in compose.defaults() if SECRET.search(name)]
    for name, service in compose.content["services"].items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) and value is not None:
                assert ":?" in value, f"{name}: {variable}"


def test_variables_are_explained(compose: Any) -> None:
    """The example names exactly the file's variables; what is required is empty in it."""
    text = EXAMPLE.read_text()
    explained = re.findall(r"^#?([A-Z]\w+)=", text, re.MULTILINE)
    assert len(set(explained)) == len(explained)
    assert set(explained) == {*compose.required(), *compose.defaults(), *compose.passed_on()}
    assert dotenv_values(EXAMPLE) == dict.fromkeys(compose.required(), "")
    for name, value in compose.defaults().items():
        assert f"#{name}={value}\n" in text


def test_pipeline_gets_all_its_settings(compose: Any) -> None:
    """What .env.example explains of the pipeline reaches the containers."""
    pipeline, _, _ = (REPOSITORY / ".env.example").read_text().partition("# --- `make demo` alone")
    explained = set(re.findall(r"^#([A-Z]\w+)=", pipeline, re.MULTILINE))
    assert len(explained) > 10
    assert explained <= services(compose)["airflow-worker"]["environment"].keys() | (
        compose.passed_on()
    )


def test_one_port_is_published(compose: Any) -> None:
    """The api-server's alone, on 127.0.0.1 unless told otherwise."""
    published = {name: one["ports"] for name, one in services(compose).items() if "ports" in one}
    assert published == {"airflow-apiserver": ["127.0.0.1:8080:8080"]}
    told = dict.fromkeys(compose.required(), "x") | {"SONGSWAP_BIND": "10.0.0.5"}
    told["SONGSWAP_PORT"] = "80"
    assert compose.resolved(told)["services"]["airflow-apiserver"]["ports"] == ["10.0.0.5:80:8080"]
    networks = compose.content["networks"]
    assert networks["backend"] == {"internal": True}


def each_service(compose: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All services, those of the profiles too."""
    return iter(services(compose).items())


def test_services_are_confined(compose: Any) -> None:
    """No service is root, writes to its own disk, has capabilities, or may take all there is."""
    for name, service in each_service(compose):
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= limits.keys(), name
        assert service["pids_limit"] > 0, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["user"].partition(":")[0] not in ("", "0", "root"), name
        assert not {"privileged", "network_mode", "pid", "cap_add"} & service.keys(), name
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]*", service["image"]), name


def test_services_come_back(compose: Any) -> None:
    """What runs for long is checked and restarted; it starts when what it needs is well."""
    conditions = set()
    for name, service in each_service(compose):
        waits = service.get("depends_on", {})
        conditions |= {one["condition"] for one in waits.values()}
        if name in ONCE:
            assert service["restart"] == "no", name
            continue
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        if name.startswith("airflow-"):
            assert waits["airflow-init"]["condition"] == "service_completed_successfully", name
    assert conditions == {"service_healthy", "service_completed_successfully"}


def test_workers_share_the_spool(compose: Any) -> None:
    """The spool is a volume, and what the tasks are told of it; workers stop without haste."""
    worker = services(compose)["airflow-worker"]
    spool = worker["environment"]["SONGSWAP_SPOOL"]
    assert f"spool:{spool}" in worker["volumes"]
    assert "spool" in compose.content["volumes"]
    assert f" {spool} " in (REPOSITORY / "Dockerfile").read_text()
    assert worker["environment"]["DUMB_INIT_SETSID"] == "0"
    assert worker["stop_grace_period"] == "10m"


def test_workers_know_no_database(compose: Any) -> None:
    """A worker, which runs the tasks, has neither the metadata database nor a key of Airflow."""
    told = {name: f"<{name}>" for name in compose.required()}
    worker = str(compose.resolved(told)["services"]["airflow-worker"])
    for name in (
        "METADATA_PASSWORD",
        "FERNET_KEY",
        "JWT_SECRET",
        "API_SECRET_KEY",
        "ADMIN_PASSWORD",
    ):
        assert f"<SONGSWAP_{name}>" not in worker
    assert "<SONGSWAP_REDIS_PASSWORD>" in worker


def test_spark_is_where_it_is_used(compose: Any) -> None:
    """Only Spark's services have the image with it; of these the driver alone, which `up` does not
    start, has the pipeline's settings, and all know the secret."""
    told = dict.fromkeys(compose.required(), "x") | {"SONGSWAP_SPARK_SECRET": "hush"}
    resolved = compose.resolved(told)["services"]
    spark = {name: one for name, one in resolved.items() if "-spark:" in one["image"]}
    assert spark.keys() == {"spark-master", "spark-worker", "spark-driver"}
    assert {one["build"]["target"] for one in spark.values()} == {"spark"}
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    [stage] = [one for one in dockerfile.split("\nFROM ") if "--extra spark" in one]
    assert stage.startswith("build AS build-spark\n")
    assert {one["environment"]["SONGSWAP_SPARK_SECRET"] for one in spark.values()} == {"hush"}
    pipeline = resolved["demo-s3"]["environment"].keys()
    assert len(pipeline) >= 8
    assert pipeline <= spark["spark-driver"]["environment"].keys()
    for name in ("spark-master", "spark-worker"):
        assert not pipeline & spark[name]["environment"].keys()
        assert spark[name]["profiles"] == ["spark"]
    assert spark["spark-driver"]["profiles"] == ["spark-driver"]


def test_image_holds_only_what_it_needs() -> None:
    """What the Dockerfile copies is all that Docker sees: no `.env`, no state, no history."""
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.M)
    sources = {source.split("/")[0] for line in copied for source in line.split()}
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert next(line for line in ignored if not line.startswith("#")) == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def test_image_has_the_projects_version(compose: Any) -> None:
    """Its tag and label say which version of the project is in it."""
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    images = {one["image"] for one in services(compose).values() if "build" in one}
    assert images == {f"songswap-airflow{more}:{version}" for more in ("", "-demo", "-spark")}
    assert f'image.version="{version}"' in (REPOSITORY / "Dockerfile").read_text()
