"""Which settings of a server bring the parameters of statements into its log."""

import pytest

from songswap.warehouse.server_log import found

QUIET = {
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_statement_sample_rate": "1",
    "log_transaction_sample_rate": "0",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "0",
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"log_statement": "ddl"},
        {"log_statement": "all", "log_parameter_max_length": "0"},
        {"log_min_duration_sample": "100", "log_statement_sample_rate": "0"},
        {"auto_explain.log_min_duration": "0"},  # before 16 without parameters
        {"auto_explain.log_min_duration": "-1", "auto_explain.log_parameter_max_length": "-1"},
        {"pgaudit.log": "none", "pgaudit.log_parameter": "on"},
        {"pgaudit.log": "write", "pgaudit.log_parameter": "off"},
    ],
)
def test_quiet(settings: dict[str, str]) -> None:
    """As servers are by default, and with parameters left out, there is nothing to tell."""
    assert list(found(QUIET | settings)) == []


@pytest.mark.parametrize(
    ("settings", "cause", "remedy"),
    [
        ({"log_statement": "all"}, "log_statement = all", "log_parameter_max_length = 0"),
        ({"log_statement": "mod"}, "log_statement = mod", "log_parameter_max_length = 0"),
        (
            {"log_min_duration_statement": "0", "log_parameter_max_length": "64"},
            "log_min_duration_statement = 0",
            "log_parameter_max_length = 0",
        ),
        (
            {"log_min_duration_sample": "100", "log_statement_sample_rate": "0.01"},
            "log_min_duration_sample = 100",
            "log_parameter_max_length = 0",
        ),
        (
            {"log_transaction_sample_rate": "0.5"},
            "log_transaction_sample_rate = 0.5",
            "log_parameter_max_length = 0",
        ),
        (
            {"log_parameter_max_length": "0", "log_parameter_max_length_on_error": "-1"},
            "log_parameter_max_length_on_error = -1",
            "log_parameter_max_length_on_error = 0",
        ),
        (
            {"auto_explain.log_min_duration": "5", "auto_explain.log_parameter_max_length": "-1"},
            "auto_explain.log_min_duration = 5",
            "auto_explain.log_parameter_max_length = 0",
        ),
        (
            {"pgaudit.log": "write", "pgaudit.log_parameter": "on"},
            "pgaudit.log_parameter = on",
            "pgaudit.log_parameter = off",
        ),
    ],
)
def test_exposed(settings: dict[str, str], cause: str, remedy: str) -> None:
    """Each setting that brings them there is named, with what stops it."""
    ((told_cause, told_remedy),) = found(QUIET | settings)
    assert (told_cause, told_remedy) == (cause, remedy)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"log_statement": "all"}, "log_statement = none"),
        ({"log_min_duration_statement": "0"}, "log_min_duration_statement = -1"),
        ({"log_transaction_sample_rate": "1"}, "log_transaction_sample_rate = 0"),
    ],
)
def test_before_13(settings: dict[str, str], remedy: str) -> None:
    """Servers that cannot leave parameters out have to log no statements."""
    old = {"log_statement": "none", "log_min_duration_statement": "-1"}
    ((_, told),) = found(old | settings)
    assert told == remedy
