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
def test_default_settings_expose_no_token(settings: dict[str, str]) -> None:
    """Nor do those that leave parameters out."""
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
def test_setting_that_exposes_tokens_is_named_with_its_remedy(
    settings: dict[str, str], cause: str, remedy: str
) -> None:
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
def test_servers_before_13_must_log_no_statements(settings: dict[str, str], remedy: str) -> None:
    """They cannot leave parameters out."""
    old = {"log_statement": "none", "log_min_duration_statement": "-1"}
    ((_, result),) = found(old | settings)
    assert result == remedy
