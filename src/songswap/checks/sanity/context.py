"""The settings that a check reads, and how its messages name them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from songswap.errors import CheckFailed
from songswap.installation.extras import pip_command
from songswap.settings.airflow_connection import Connection, parse_connection


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The settings of one run of a check, from Airflow or from the environment alone.

    Args:
        find_connection: returns a connection by its id; None where it is not set.
        find_variable: returns a variable by its name; None where it is not set.
        environment: the environment variables.
        run_id: unique to this run of the check, and the same in all its steps.
        clock: returns the time (aware, UTC).
    """

    find_connection: Callable[[str], Connection | None]
    find_variable: Callable[[str], str | None]
    environment: Mapping[str, str]
    run_id: str
    clock: Callable[[], datetime]

    def connection(self, name: str) -> Connection:
        """Return a connection that has to be set.

        Raises:
            CheckFailed: it is not set.
        """
        found = self.find_connection(name)
        if found is None:
            raise CheckFailed(f"Not set, or not readable: {connection_named(name)}.")
        return found

    def variable(self, name: str) -> str:
        """Return a variable that has to be set.

        Raises:
            CheckFailed: it is not set.
        """
        found = (self.find_variable(name) or "").strip()
        if not found:
            raise CheckFailed(f"Not set: {variable_named(name)}.")
        return found

    def setting(self, name: str) -> str:
        """Return an environment variable that has to be set.

        Raises:
            CheckFailed: it is not set.
        """
        found = self.environment.get(name, "").strip()
        if not found:
            raise CheckFailed(f"{name} is not set. Set it in {ENVIRONMENT}.")
        return found


class Step(NamedTuple):
    """A step of a check.

    Args:
        run: returns what it found, in a sentence, or raises a `SongSwapError`.
        undoes: an earlier step. Once that step has passed, this one runs whatever failed between.
    """

    name: str
    run: Callable[[CheckContext], str]
    undoes: str | None = None


ENVIRONMENT = "the environment of Airflow's parts (in a terminal: also in .env)"


def connection_named(name: str) -> str:
    """Name a connection, with both places where it can be set."""
    return (
        f"the connection {name} (in Airflow's UI: Admin, Connections; or"
        f" AIRFLOW_CONN_{name.upper()} in the environment)"
    )


def variable_named(name: str) -> str:
    """Name a variable, with both places where it can be set."""
    return (
        f"the variable {name} (in Airflow's UI: Admin, Variables; or"
        f" AIRFLOW_VAR_{name.upper()} in the environment)"
    )


def from_environment(
    environment: Mapping[str, str], run_id: str, clock: Callable[[], datetime]
) -> CheckContext:
    """Read connections and variables from the environment, by Airflow's names for them."""

    def find_connection(name: str) -> Connection | None:
        variable = f"AIRFLOW_CONN_{name.upper()}"
        text = environment.get(variable, "").strip()
        return parse_connection(variable, text) if text else None

    def find_variable(name: str) -> str | None:
        return environment.get(f"AIRFLOW_VAR_{name.upper()}")

    return CheckContext(find_connection, find_variable, environment, run_id, clock)


def installed(*packages: str) -> str:
    """Return the installed versions of packages, as text.

    Raises:
        CheckFailed: a package is not installed.
    """
    try:
        return ", ".join(f"{package} {version(package)}" for package in packages)
    except PackageNotFoundError as error:
        raise CheckFailed(
            f"{error.name} is not installed. Where Airflow's tasks run, {pip_command('airflow')}"
            " installs it; or build the image again."
        ) from error
