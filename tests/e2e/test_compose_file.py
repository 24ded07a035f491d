"""The deployment's files: valid, closed, limited, and without a secret in them."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from dotenv import dotenv_values
from e2e.compose_file import Compose, ComposeFile

import songswap
from songswap.dev.stack import metrics

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
EXAMPLE = REPOSITORY / "docker.env.example"
ONCE = {"airflow-init", "demo-listeners", "spark-driver"}
PROFILES = ("", "flower", "demo", "spark", "flower,demo,spark,spark-driver", "*")
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


def services(compose: ComposeFile) -> dict[str, Any]:
    """The services with all that is required set to `x`."""
    return dict(compose.resolved(dict.fromkeys(compose.required(), "x"))["services"])


def test_files_are_valid() -> None:
    """The compose files fit the Compose specification; the Dockerfile has nothing to object to."""
    files = sorted(map(str, REPOSITORY.glob("docker-compose*.yaml")))
    assert len(files) == 3
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *files)
    assert run("hadolint", "--no-color", "Dockerfile") == ""


@pytest.mark.parametrize("profiles", PROFILES)
def test_compose_accepts_the_file(
    compose: ComposeFile, docker_compose: Compose, profiles: str
) -> None:
    """Docker Compose takes it, with each profile, and has no warning."""
    done = docker_compose.config(
        dict.fromkeys(compose.required(), "x"), "--quiet", profiles=profiles
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_compose_reads_it_as_we_do(compose: ComposeFile, docker_compose: Compose) -> None:
    """What the other tests hold and run is what Compose would run."""
    environment = {name: f"{name} with a $ and 'quotes'" for name in compose.required()}
    ours = compose.resolved(environment)["services"]
    theirs = docker_compose.services(environment)
    assert ours.keys() == theirs.keys()
    for name, service in ours.items():
        # What Compose prints can be read again: each $ is doubled.
        printed = json.loads(json.dumps(theirs[name]).replace("$$", "$"))
        command = service.get("command")
        words = shlex.split(command) if isinstance(command, str) else command
        assert printed["command"] == words, name
        given = printed.get("environment", {})
        assert {key: text for key, text in given.items() if text is not None} == (
            service["environment"]
        ), name
        assert printed["image"] == service["image"], name


def test_containers_are_the_same_with_all_profiles(
    compose: ComposeFile, docker_compose: Compose
) -> None:
    """A command that forgets a profile recreates nothing that others use."""
    environment = dict.fromkeys(compose.required(), "x")
    hashes: dict[str, set[str]] = {}
    for profiles in PROFILES:
        done = docker_compose.config(environment, "--hash", "*", profiles=profiles)
        for line in done.stdout.splitlines():
            service, digest = line.split()
            hashes.setdefault(service, set()).add(digest)
    assert hashes.keys() == services(compose).keys()
    assert {name for name, found in hashes.items() if len(found) > 1} == set()


@pytest.mark.parametrize("profiles", ["", "demo", "spark", "demo,flower,spark", "*"])
def test_each_image_is_built_once(
    compose: ComposeFile, docker_compose: Compose, profiles: str
) -> None:
    """One service builds each image of ours, with whatever profiles; no registry is asked."""
    chosen = docker_compose.services(dict.fromkeys(compose.required(), "x"), profiles)
    ours = [mutant for mutant in chosen.values() if mutant["image"].startswith("songswap-airflow")]
    built = [one["image"] for one in ours if "build" in one]
    assert sorted(built) == sorted({one["image"] for one in ours})
    assert {one["pull_policy"] for one in ours} == {"never"}


def test_number_of_workers_is_a_setting(compose: ComposeFile, docker_compose: Compose) -> None:
    """So that no `up` takes away workers that an earlier one has started."""
    environment = dict.fromkeys(compose.required(), "x")
    for given, wanted in ({}, 1), ({"SONGSWAP_WORKERS": "3"}, 3):
        worker = docker_compose.services(environment | given)["airflow-worker"]
        assert worker["deploy"]["replicas"] == wanted


def test_missing_variables_are_named(compose: ComposeFile) -> None:
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


def test_no_secret_has_a_default(compose: ComposeFile) -> None:
    """What is secret comes from a required variable, or is passed on as it is."""
    assert not [name for name in compose.defaults() if SECRET.search(name)]
    for name, service in compose.content["services"].items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) and value is not None:
                assert ":?" in value, f"{name}: {variable}"


def test_variables_are_explained(
    compose: ComposeFile, worker_compose: ComposeFile, central_compose: ComposeFile
) -> None:
    """The example names exactly the files' variables; what is required is empty in it."""
    text = EXAMPLE.read_text()
    explained = re.findall(r"^#?([A-Z]\w+)=", text, re.MULTILINE)
    assert len(set(explained)) == len(explained)
    of_compose = {"COMPOSE_FILE", "COMPOSE_PROFILES"}
    known = {*compose.required(), *compose.defaults(), *compose.passed_on(), *of_compose}
    known |= worker_compose.required().keys() | central_compose.required().keys()
    assert set(explained) == known
    assert worker_compose.defaults().items() <= compose.defaults().items()
    profiles = {"COMPOSE_PROFILES": "flower"}
    assert dotenv_values(EXAMPLE) == dict.fromkeys(compose.required(), "") | profiles
    for name, value in compose.defaults().items():
        assert f"#{name}={value}\n" in text


def test_pipeline_gets_all_its_settings(compose: ComposeFile) -> None:
    """What .env.example explains of the pipeline reaches the containers."""
    pipeline, _, _ = (REPOSITORY / ".env.example").read_text().partition("# --- `make demo` alone")
    explained = set(re.findall(r"^#([A-Z]\w+)=", pipeline, re.MULTILINE))
    assert len(explained) > 10
    assert explained <= services(compose)["airflow-worker"]["environment"].keys() | (
        compose.passed_on()
    )


def test_metrics_are_on_with_an_address_alone(compose: ComposeFile, tmp_path: Path) -> None:
    """One variable decides: all parts of Airflow read it as a switch, and have the address."""
    required = dict.fromkeys(compose.required(), "x")
    for endpoint, is_on in ("", "False"), ("http://127.0.0.1:9", "True"):
        given = required | {"SONGSWAP_OTLP_ENDPOINT": endpoint}
        environment = compose.resolved(given)["services"]["airflow-worker"]["environment"]
        code = (
            "from airflow.configuration import conf; print(conf.getboolean('metrics', 'otel_on'))"
        )
        done = subprocess.run(  # noqa: S603  (our own Python)
            [sys.executable, "-c", code],
            env={**environment, "AIRFLOW_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert is_on in done.stdout.splitlines()
        assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint


def test_metrics_of_the_demo_are_set_alike(compose: ComposeFile) -> None:
    """What is tried with the demo's Airflow is what a deployment sends."""
    endpoint = "http://collector:4318"
    given = dict.fromkeys(compose.required(), "x") | {"SONGSWAP_OTLP_ENDPOINT": endpoint}
    environment = compose.resolved(given)["services"]["airflow-worker"]["environment"]
    expected = metrics.settings(endpoint) | {"AIRFLOW__METRICS__OTEL_ON": "true #false"}
    assert expected.items() <= environment.items()
    assert metrics.settings("") == {}


def test_one_port_is_published(compose: ComposeFile) -> None:
    """The api-server's alone, on 127.0.0.1 unless set otherwise."""
    published = {name: one["ports"] for name, one in services(compose).items() if "ports" in one}
    assert published == {"airflow-apiserver": ["127.0.0.1:8080:8080"]}
    environment = dict.fromkeys(compose.required(), "x") | {"SONGSWAP_BIND": "10.0.0.5"}
    environment["SONGSWAP_PORT"] = "80"
    assert compose.resolved(environment)["services"]["airflow-apiserver"]["ports"] == [
        "10.0.0.5:80:8080"
    ]
    networks = compose.content["networks"]
    assert networks["backend"] == {"internal": True}


def test_central_machine_opens_on_request(
    compose: ComposeFile, central_compose: ComposeFile, docker_compose: Compose
) -> None:
    """With its own file, and nothing but the queue and the api-server, on a private address."""
    both = Compose(docker_compose.words, compose.path, central_compose.path)
    environment = dict.fromkeys(compose.required(), "x")
    refused = both.config(environment, "--quiet")
    assert "required variable SONGSWAP_PRIVATE_ADDRESS is missing a value" in refused.stderr
    opened = both.services(environment | {"SONGSWAP_PRIVATE_ADDRESS": "10.0.0.5"})
    closed = docker_compose.services(environment)
    published = {
        (name, port["host_ip"], port["published"], port["target"])
        for name, service in opened.items()
        for port in service.get("ports", [])
    }
    assert published == {
        ("airflow-apiserver", "127.0.0.1", "8080", 8080),
        ("airflow-apiserver", "10.0.0.5", "8080", 8080),
        ("redis", "10.0.0.5", "6379", 6379),
    }
    for name, service in opened.items():
        changed = {key for key in service if service[key] != closed[name].get(key)}
        assert changed <= {"ports", "networks"}, name


def test_worker_machine_has_the_same_worker(
    compose: ComposeFile, worker_compose: ComposeFile, docker_compose: Compose
) -> None:
    """A machine with workers only runs the deployment's own worker, drain and cleaning of logs, and
    they find the queue and the api-server by the central machine's address and publish nothing."""
    there = Compose(docker_compose.words, worker_compose.path)
    environment = dict.fromkeys(compose.required(), "x")
    central = docker_compose.services(environment | {"SONGSWAP_HOST": "two"})
    given = environment | {"SONGSWAP_HOST": "two", "SONGSWAP_CENTRAL": "10.0.0.5"}
    services = there.services(given)
    assert services.keys() == {"airflow-worker", "songswap-drain", "songswap-logs"}
    for name, service in services.items():
        text = json.dumps(service).replace("@10.0.0.5:6379", "@redis:6379")
        text = text.replace("//10.0.0.5:8080", "//airflow-apiserver:8080")
        assert "10.0.0.5" not in text
        differ = {"build", "depends_on", "networks"}
        ours = {key: value for key, value in json.loads(text).items() if key not in differ}
        theirs = {key: value for key, value in central[name].items() if key not in differ}
        assert ours == theirs, name
        assert "ports" not in service


def test_worker_machine_gets_no_key_of_airflow(
    compose: ComposeFile, worker_compose: ComposeFile, central_compose: ComposeFile, tmp_path: Path
) -> None:
    """The documented commands make its settings from the central machine's: all that it needs, and
    none of the secrets that only the central machine has."""
    manual = (REPOSITORY / "docs/deployment.md").read_text()
    [lines] = re.findall(r"^ *install .*?^ *END$", manual, re.MULTILINE | re.DOTALL)
    needed = {*compose.required(), *compose.defaults(), *central_compose.required()}
    central = {name: f"value-of-{name}" for name in needed} | {"COMPOSE_PROFILES": "flower"}
    text = "".join(f"{name}='{value}'\n" for name, value in central.items())
    (tmp_path / ".env").write_text(text)
    subprocess.run(["sh", "-eu", "-c", dedent(lines)], cwd=tmp_path, check=True)  # noqa: S603, S607
    made = dotenv_values(tmp_path / "worker.env")
    assert worker_compose.required().keys() <= made.keys()
    assert made["COMPOSE_FILE"] == "docker-compose.worker.yaml"
    assert "COMPOSE_PROFILES" not in made
    known = {*worker_compose.required(), *worker_compose.defaults(), *worker_compose.passed_on()}
    assert [name for name in made.keys() - known if SECRET.search(name)] == []
    assert len([name for name in central.keys() - made if SECRET.search(name)]) >= 5
    assert (tmp_path / "worker.env").stat().st_mode & 0o077 == 0


def each_service(compose: ComposeFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """All services, those of the profiles too."""
    return iter(services(compose).items())


def test_services_are_confined(compose: ComposeFile) -> None:
    """No service is root, writes to its own disk, has capabilities, or may take all there is."""
    for name, service in each_service(compose):
        limits = service["deploy"]["resources"]["limits"]
        assert limits.keys() == {"cpus", "memory", "pids"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["user"].partition(":")[0] not in ("", "0", "root"), name
        assert not {"privileged", "network_mode", "pid", "cap_add"} & service.keys(), name
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]*", service["image"]), name


def test_logs_of_services_are_bounded(compose: ComposeFile) -> None:
    """They may name users: 50 MB a container, as docs/operations.md and docs/privacy.md have it."""
    for name, service in each_service(compose):
        bounded = {"driver": "local", "options": {"max-size": "10m", "max-file": "5"}}
        assert service["logging"] == bounded, name


def test_services_come_back(compose: ComposeFile) -> None:
    """What runs for long is checked and restarted; it starts when what it needs is well."""
    conditions = set()
    for name, service in each_service(compose):
        waits = service.get("depends_on", {})
        conditions |= {wait["condition"] for wait in waits.values()}
        if name in ONCE:
            assert service["restart"] == "no", name
            continue
        assert service["restart"] == "unless-stopped", name
        if name == "songswap-drain":  # it reports to the warehouse, where each run looks
            assert "healthcheck" not in service, "`up --wait` fails on one that is disabled"
        else:
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        if name.startswith("airflow-"):
            assert waits["airflow-init"]["condition"] == "service_completed_successfully", name
    assert conditions == {"service_healthy", "service_completed_successfully"}


def test_workers_share_the_spool(compose: ComposeFile) -> None:
    """The spool is a volume, and what the tasks and the drain are told of it; workers stop without
    haste."""
    worker = services(compose)["airflow-worker"]
    spool = worker["environment"]["SONGSWAP_SPOOL"]
    drain = services(compose)["songswap-drain"]
    assert drain["environment"]["SONGSWAP_SPOOL"] == spool
    for service in (worker, drain):
        assert f"spool:{spool}" in service["volumes"]
    assert "spool" in compose.content["volumes"]
    assert f" {spool} " in (REPOSITORY / "Dockerfile").read_text()
    assert worker["environment"]["DUMB_INIT_SETSID"] == "0"
    assert worker["stop_grace_period"] == "10m"


def test_workers_know_no_database(compose: ComposeFile) -> None:
    """A worker, which runs the tasks, has neither the metadata database nor a key of Airflow."""
    environment = {name: f"<{name}>" for name in compose.required()}
    worker = str(compose.resolved(environment)["services"]["airflow-worker"])
    for name in (
        "METADATA_PASSWORD",
        "FERNET_KEY",
        "JWT_SECRET",
        "API_SECRET_KEY",
        "ADMIN_PASSWORD",
    ):
        assert f"<SONGSWAP_{name}>" not in worker
    assert "<SONGSWAP_REDIS_PASSWORD>" in worker


def test_api_server_can_only_read(compose: ComposeFile) -> None:
    """Of the pipeline's settings it gets the connection of the page alone, where that is set."""
    page = "AIRFLOW_CONN_SONGSWAP_RDS_READONLY"
    pipeline = compose.content["x-pipeline-environment"].keys()
    environment = {name: f"<{name}>" for name in (*compose.required(), *compose.passed_on())}
    resolved = compose.resolved(environment)["services"]
    assert pipeline & resolved["airflow-apiserver"]["environment"].keys() == {page}
    assert pipeline <= resolved["airflow-worker"]["environment"].keys()
    without = compose.resolved(dict.fromkeys(compose.required(), "x"))["services"]
    assert page not in without["airflow-apiserver"]["environment"]


def test_spark_is_where_it_is_used(compose: ComposeFile) -> None:
    """Only Spark's services have the image with it; of these the driver alone, which `up` does not
    start, has the pipeline's settings, and all know the secret."""
    environment = dict.fromkeys(compose.required(), "x") | {"SONGSWAP_SPARK_SECRET": "hush"}
    resolved = compose.resolved(environment)["services"]
    spark = {name: one for name, one in resolved.items() if "-spark:" in one["image"]}
    assert spark.keys() == {"spark-master", "spark-worker", "spark-driver"}
    assert {one["build"]["target"] for one in spark.values() if "build" in one} == {"spark"}
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    [stage] = [one for one in dockerfile.split("\nFROM ") if "--extra spark" in one]
    assert stage.startswith("build AS build-spark\n")
    assert {one["environment"]["SONGSWAP_SPARK_SECRET"] for one in spark.values()} == {"hush"}
    pipeline = compose.content["x-pipeline-environment"].keys()
    pipeline &= resolved["airflow-worker"]["environment"].keys()
    assert len(pipeline) >= 8
    assert pipeline <= spark["spark-driver"]["environment"].keys()
    for name in ("spark-master", "spark-worker"):
        assert not pipeline & spark[name]["environment"].keys()
        assert spark[name]["profiles"] == ["spark"]
    assert spark["spark-driver"]["profiles"] == ["spark-driver"]


def test_stand_ins_know_only_their_own(compose: ComposeFile) -> None:
    """The demo's services have the secrets that they need: the simulator none at all."""
    demo = {name: one for name, one in services(compose).items() if name.startswith("demo-")}
    warehouse = "AIRFLOW_CONN_SONGSWAP_RDS"
    known = {name: set(filter(SECRET.search, one["environment"])) for name, one in demo.items()}
    assert known.pop("demo-simulator") == set()
    assert known.pop("demo-listeners") == {warehouse}
    assert known.pop("demo-warehouse") == {warehouse}
    assert warehouse not in known.pop("demo-s3")
    assert known == {}


def test_stand_ins_accept_their_service_names(compose: ComposeFile) -> None:
    """They refuse any other name."""
    called = set(re.findall(r"http://(demo-[a-z0-9]+):", EXAMPLE.read_text()))
    assert called == {"demo-s3", "demo-simulator"}
    for name in called:
        words = shlex.split(services(compose)[name]["command"])
        assert words[words.index("--allow-host") + 1] == name


def test_exports_are_unpacked_on_disk(compose: ComposeFile) -> None:
    """Whoever imports has temporary files in a volume: /tmp is memory, an export has up to 4 GB."""
    for name in ("airflow-worker", "spark-worker", "spark-driver"):
        service = services(compose)[name]
        assert f"scratch:{service['environment']['TMPDIR']}" in service["volumes"]


def test_image_holds_only_what_it_needs() -> None:
    """What the Dockerfile copies is all that Docker sees: no `.env`, no state, no history."""
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.M)
    sources = {source.split("/")[0] for line in copied for source in line.split()}
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert next(line for line in ignored if not line.startswith("#")) == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def test_image_has_the_projects_version(compose: ComposeFile) -> None:
    """Its tag and label say which version of the project is in it; the changelog knows it."""
    version = songswap.__version__
    images = {service["image"] for service in services(compose).values() if "build" in service}
    assert images == {f"songswap-airflow{more}:{version}" for more in ("", "-demo", "-spark")}
    assert f'image.version="{version}"' in (REPOSITORY / "Dockerfile").read_text()
    assert re.search(
        rf"^## (Unreleased \({re.escape(version)}\)|{re.escape(version)} – \d{{4}}-\d\d-\d\d)$",
        (REPOSITORY / "CHANGELOG.md").read_text(),
        re.M,
    )
