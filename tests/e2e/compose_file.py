"""A compose file, read as Compose reads it."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:[-+?])(?P<text>[^}]*))?\})")


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
        return {
            variable["name"]: variable["text"]
            for variable in self._variables()
            if variable["how"] == ":?"
        }

    def defaults(self) -> dict[str, str]:
        """The variables that have a default, with it."""
        return {
            variable["name"]: variable["text"]
            for variable in self._variables()
            if variable["how"] == ":-"
        }

    def passed_on(self) -> set[str]:
        """The variables that containers get if they are set."""
        services = self.content["services"].values()
        pairs = (pair for service in services for pair in service.get("environment", {}).items())
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
            if found["how"] == ":+":
                return found["text"] if given else ""
            return given or (found["text"] or "")

        content: dict[str, Any] = _each_text(self.content, lambda text: _VARIABLE.sub(value, text))
        for service in content["services"].values():
            result = service.get("environment", {})
            passed = {name: environment.get(name) for name in result if result[name] is None}
            known = {name: one for name, one in {**result, **passed}.items() if one is not None}
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
        paths: the compose files, each of which adds to those before.
    """

    def __init__(self, words: list[str], *paths: Path) -> None:
        self.words = words
        self._paths = paths

    def config(
        self, environment: Mapping[str, str], *options: str, profiles: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `config`, in the environment alone: no `.env` of somebody's own is read."""
        files = [word for path in self._paths for word in ("--file", str(path))]
        words = [*self.words, *files, "--env-file", os.devnull]
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
