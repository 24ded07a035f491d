"""What a check is told from outside, and how its sentences name what has to be set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from songswap.errors import CheckFailed
from songswap.installation.extras import pip_command
from songswap.settings.airflow_connection import Connection, parse_connection


@dataclass(frozen=True, slots=True)
class Given:
    """Where a check finds its settings: in Airflow, or in the environment alone.

    Args:
        find_connection: gives a connection by its id; None where it is not set.
        find_variable: gives a variable by its name; None where it is not set.
        environment: the environment variables.
        run: tells this run of the check from any other, and is the same in all its steps.
        clock: gives the time (aware, UTC).
    """

    find_connection: Callable[[str], Connection | None]
    find_variable: Callable[[str], str | None]
    environment: Mapping[str, str]
    run: str
    clock: Callable[[], datetime]

    def connection(self, name: str) -> Connection:
        """A connection that has to be set.

        Raises:
            CheckFailed: it is not.
        """
        found = self.find_connection(name)
        if found is None:
            raise CheckFailed(f"Not set, or not readable: {connection_named(name)}.")
        return found

    def variable(self, name: str) -> str:
        """A variable that has to be set.

        Raises:
            CheckFailed: it is not.
        """
        found = (self.find_variable(name) or "").strip()
        if not found:
            raise CheckFailed(f"Not set: {variable_named(name)}.")
        return found

    def setting(self, name: str) -> str:
        """An environment variable that has to be set.

        Raises:
            CheckFailed: it is not.
        """
        found = self.environment.get(name, "").strip()
        if not found:
            raise CheckFailed(f"{name} is not set. Set it in {ENVIRONMENT}.")
        return found


class Step(NamedTuple):
    """A part of a check: ``run`` says in a sentence what it saw, or raises a `SongSwapError`.

    ``undoes`` names an earlier step: when that one went well, this one runs whatever came between.
    """

    name: str
    run: Callable[[Given], str]
    undoes: str | None = None


ENVIRONMENT = "the environment of Airflow's parts (in a terminal: also in .env)"


def connection_named(name: str) -> str:
    """A connection, with both places where it can be set."""
    return (
        f"the connection {name} (in Airflow's UI: Admin, Connections; or"
        f" AIRFLOW_CONN_{name.upper()} in the environment)"
    )


def variable_named(name: str) -> str:
    """A variable, with both places where it can be set."""
    return (
        f"the variable {name} (in Airflow's UI: Admin, Variables; or"
        f" AIRFLOW_VAR_{name.upper()} in the environment)"
    )


def from_environment(
    environment: Mapping[str, str], run: str, clock: Callable[[], datetime]
) -> Given:
    """What the environment says, named as Airflow names it there."""

    def find_connection(name: str) -> Connection | None:
        variable = f"AIRFLOW_CONN_{name.upper()}"
        text = environment.get(variable, "").strip()
        return parse_connection(variable, text) if text else None

    def find_variable(name: str) -> str | None:
        return environment.get(f"AIRFLOW_VAR_{name.upper()}")

    return Given(find_connection, find_variable, environment, run, clock)


def installed(*packages: str) -> str:
    """Say which versions of these packages are installed.

    Raises:
        CheckFailed: one is not.
    """
    try:
        return ", ".join(f"{package} {version(package)}" for package in packages)
    except PackageNotFoundError as error:
        raise CheckFailed(
            f"{error.name} is not installed. Where Airflow's tasks run, {pip_command('airflow')}"
            " installs it; or build the image again."
        ) from error
