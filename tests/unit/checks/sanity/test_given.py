"""What a check is given, and what it says of what is missing."""

import pytest

from songswap.checks.sanity.given import Given, from_environment, installed
from songswap.clock import utc_now
from songswap.errors import CheckFailed, SettingsError


def given(**environment: str) -> Given:
    """What this environment gives."""
    return from_environment(environment, "run", utc_now)


def test_environment_is_read_as_airflow_names_it() -> None:
    """Connections and variables are found by Airflow's names; an empty one counts as not set."""
    found = given(AIRFLOW_CONN_SOME_DB="postgres://u:p@h/d", AIRFLOW_VAR_WHERE=" there ", NAME="x")
    assert found.connection("Some_DB").host == "h"
    assert found.variable("where") == "there"
    assert found.setting("NAME") == "x"
    assert given(AIRFLOW_CONN_SOME_DB=" ").find_connection("Some_DB") is None


def test_what_is_missing_is_named_with_its_places() -> None:
    """The sentence names a connection or variable as Airflow's UI and as the environment has it."""
    with pytest.raises(CheckFailed, match=r"Some_DB .*Admin, Connections.*AIRFLOW_CONN_SOME_DB"):
        given().connection("Some_DB")
    with pytest.raises(CheckFailed, match=r"where .*Admin, Variables.*AIRFLOW_VAR_WHERE"):
        given(AIRFLOW_VAR_WHERE=" ").variable("where")
    with pytest.raises(CheckFailed, match=r"NAME is not set.*environment"):
        given().setting("NAME")


def test_what_cannot_be_read_is_named_and_not_quoted() -> None:
    """A connection that is no connection is an error that names it and keeps its text."""
    with pytest.raises(SettingsError, match="AIRFLOW_CONN_SOME_DB") as raised:
        given(AIRFLOW_CONN_SOME_DB="{secret").connection("Some_DB")
    assert "secret" not in str(raised.value)


def test_package_that_is_not_installed() -> None:
    """The sentence names the package and says how to install it."""
    assert installed("pytest") == f"pytest {pytest.__version__}"
    with pytest.raises(CheckFailed, match=r"^songswap-none is not installed\..*pip install"):
        installed("pytest", "songswap-none")
