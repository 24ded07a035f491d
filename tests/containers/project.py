"""A folder with compose files and `.env`, as its operator works it: `docker compose`, and what can
be seen of the containers."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from containers.engine import Docker

from songswap.supervision.errors import StackError
from songswap.supervision.process import wait_until

ENDS_BY_ITSELF = ("airflow-init",)
UNCHECKED = ("songswap-drain",)
"""Without a health check: it reports to the warehouse."""


class Project:
    """The containers of one folder.

    Args:
        folder: with the compose files and `.env`.
        note: is told what takes time.
    """

    def __init__(self, docker: Docker, folder: Path, note: Callable[[str], None]) -> None:
        self.docker = docker
        self.folder = folder
        self.note = note
        self.seconds: dict[str, float] = {}

    def compose(
        self,
        *arguments: str,
        data: bytes | None = None,
        check: bool = True,
        timeout_s: float = 1200,
    ) -> str:
        """What `docker compose` with these arguments says on standard output.

        Raises:
            StackError: it failed.
        """
        done = self.docker.run(
            "compose",
            *arguments,
            cwd=self.folder,
            data=data,
            check=check,
            timeout_s=timeout_s,
        )
        return done.stdout

    def shell(self, command: str) -> str:
        """What lines of docs/deployment.md say, run in the folder.

        Raises:
            StackError: the last one failed.
        """
        done = subprocess.run(  # noqa: S602  (lines of our own documentation)
            command,
            shell=True,
            cwd=self.folder,
            env=dict(self.docker.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        if done.returncode:
            said = f"{done.stdout}{done.stderr}"[-4000:]
            raise StackError(f"{command} failed with {done.returncode}:\n{said}")
        return done.stdout

    def take_down(self) -> None:
        """Remove all of it, data too; on an engine that is not ours, the built images as well."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "20")
        if not self.docker.own:
            built = self.compose("--profile", "*", "config", "--images").split()
            mine = {name for name in built if name.startswith("songswap-")}
            self.docker.run("image", "rm", *mine, check=False)

    @contextmanager
    def measured(self, what: str) -> Iterator[None]:
        """Note how long something takes."""
        start = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - start
        self.note(f"{what}: {self.seconds[what]:.0f} s")

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """The containers there are, ended ones too, as `docker compose ps` tells them."""
        output = self.compose("ps", "--all", "--no-trunc", "--format", "json", *services)
        return [json.loads(line) for line in output.splitlines() if line.strip()]

    def ids(self) -> dict[str, str]:
        """The id of each container, by name."""
        return {container["Name"]: container["ID"] for container in self.containers()}

    def unwell(self) -> list[str]:
        """The containers that are not as they should be, with what they are."""
        return [
            f"{found['Name']} {found['State']} {found['Health']} {found['ExitCode']}"
            for found in self.containers()
            if not _is_well(found)
        ]

    def wait_well(self, timeout_s: float = 300) -> None:
        """Wait until all containers are healthy."""
        assert wait_until(lambda: not self.unwell(), timeout_s, 2), self.trouble(self.unwell())

    def restart(self, service: str) -> None:
        """Restart a service, and wait until it is healthy again."""
        self.compose("restart", service)

        def healthy() -> bool:
            return all(container["Health"] == "healthy" for container in self.containers(service))

        assert wait_until(healthy, 240, 1), self.trouble([service])

    def kill(self, container: str) -> None:
        """Kill a container as the kernel does it, with SIGKILL from outside: `docker kill` would
        keep Docker from starting it again."""
        output = self.docker.run("inspect", "--format", "{{.State.Pid}}", container)
        os.kill(int(output.stdout), signal.SIGKILL)

    def logs(self) -> str:
        """What all containers have logged, and all tasks."""
        output = self.compose("logs", "--no-color", "--no-log-prefix")
        search = "find /opt/airflow/logs -type f -exec cat {} +"
        return output + self.compose("exec", "-T", "airflow-worker", "sh", "-c", search)

    def trouble(self, what: object) -> str:
        """Something, with the ends of all logs."""
        tail = self.compose("logs", "--no-color", "--tail", "25", check=False)
        return f"{what}\n{_without_escapes(tail)[-8000:]}"


def _is_well(container: dict[str, Any]) -> bool:
    """Whether a container, as `docker compose ps` tells it, is as it should be."""
    if container["Service"] in ENDS_BY_ITSELF:
        return (container["State"], container["ExitCode"]) == ("exited", 0)
    if container["Service"] in UNCHECKED:
        return bool(container["State"] == "running")
    return bool(container["Health"] == "healthy")


def _without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
