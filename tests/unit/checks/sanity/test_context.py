"""The settings of a check, and the messages about missing ones."""

import pytest

from songswap.checks.sanity.context import CheckContext, from_environment, installed
from songswap.clock import utc_now
from songswap.errors import CheckFailed, SettingsError


def context(**environment: str) -> CheckContext:
    """Return the context of this environment."""
    return from_environment(environment, "run", utc_now)


def test_environment_is_read_as_airflow_names_it() -> None:
    """Connections and variables are found by Airflow's names; an empty one counts as not set."""
    found = context(
        AIRFLOW_CONN_SOME_DB="postgres://u:p@h/d", AIRFLOW_VAR_WHERE=" there ", NAME="x"
    )
    assert found.connection("Some_DB").host == "h"
    assert found.variable("where") == "there"
    assert found.setting("NAME") == "x"
    assert context(AIRFLOW_CONN_SOME_DB=" ").find_connection("Some_DB") is None


def test_missing_setting_is_named_with_its_places() -> None:
    """The message names it as Airflow's UI and as the environment does."""
    with pytest.raises(CheckFailed, match=r"Some_DB .*Admin, Connections.*AIRFLOW_CONN_SOME_DB"):
        context().connection("Some_DB")
    with pytest.raises(CheckFailed, match=r"where .*Admin, Variables.*AIRFLOW_VAR_WHERE"):
        context(AIRFLOW_VAR_WHERE=" ").variable("where")
    with pytest.raises(CheckFailed, match=r"NAME is not set.*environment"):
        context().setting("NAME")


def test_unreadable_connection_is_named_and_not_quoted() -> None:
    """Its text may be a secret."""
    with pytest.raises(SettingsError, match="AIRFLOW_CONN_SOME_DB") as raised:
        context(AIRFLOW_CONN_SOME_DB="{secret").connection("Some_DB")
    assert "secret" not in str(raised.value)


def test_missing_package_is_named_with_its_installation() -> None:
    """Installed packages are listed with their versions."""
    assert installed("pytest") == f"pytest {pytest.__version__}"
    with pytest.raises(CheckFailed, match=r"^songswap-none is not installed\..*pip install"):
        installed("pytest", "songswap-none")
