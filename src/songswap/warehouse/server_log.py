"""Whether the server logs the parameters of statements, which can be tokens."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements

SETTINGS = (
    "log_statement",
    "log_min_duration_statement",
    "log_min_duration_sample",
    "log_statement_sample_rate",
    "log_transaction_sample_rate",
    "log_parameter_max_length",
    "log_parameter_max_length_on_error",
    "auto_explain.log_min_duration",
    "auto_explain.log_parameter_max_length",
    "pgaudit.log",
    "pgaudit.log_parameter",
)

_OFF = "-1"
_ON_ERROR = "log_parameter_max_length_on_error"


class Exposure(NamedTuple):
    """A setting that brings parameters into the log, with its value, and the one that stops it."""

    cause: str
    remedy: str


def exposures(connection: psycopg.Connection) -> tuple[str, list[Exposure]]:
    """Return the session's role, quoted, and the settings that log its parameters."""
    rows = connection.execute(statements("server_log.sql")["settings"], {"names": list(SETTINGS)})
    (role, settings), *_ = rows
    return role, list(found(settings))


def found(settings: Mapping[str, str]) -> Iterator[Exposure]:
    """Yield the exposures of settings, which are as in pg_settings, without unknown ones.

    Sources: PostgreSQL's documentation, "Error Reporting and Logging" and "auto_explain", and
    pgaudit's own.
    """
    if settings.get("log_parameter_max_length") != "0":
        # Servers before 13 do not know it, and log parameters whole.
        stop = "log_parameter_max_length = 0"
        for cause in _statements_logged(settings):
            known = "log_parameter_max_length" in settings
            yield Exposure(f"{cause} = {settings[cause]}", stop if known else _off(cause))
    if settings.get(_ON_ERROR, "0") != "0":
        yield Exposure(f"{_ON_ERROR} = {settings[_ON_ERROR]}", f"{_ON_ERROR} = 0")
    explained = settings.get("auto_explain.log_min_duration", _OFF)
    if explained != _OFF and settings.get("auto_explain.log_parameter_max_length", "0") != "0":
        yield Exposure(
            f"auto_explain.log_min_duration = {explained}",
            "auto_explain.log_parameter_max_length = 0",
        )
    if settings.get("pgaudit.log", "none") != "none" and settings.get("pgaudit.log_parameter") == (
        "on"
    ):
        yield Exposure("pgaudit.log_parameter = on", "pgaudit.log_parameter = off")


def _statements_logged(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield the settings that log some or all statements."""
    if settings.get("log_statement") in ("mod", "all"):
        yield "log_statement"
    if settings.get("log_min_duration_statement", _OFF) != _OFF:
        yield "log_min_duration_statement"
    sampled = float(settings.get("log_statement_sample_rate", 0)) > 0
    if settings.get("log_min_duration_sample", _OFF) != _OFF and sampled:
        yield "log_min_duration_sample"
    if float(settings.get("log_transaction_sample_rate", 0)) > 0:
        yield "log_transaction_sample_rate"


def _off(cause: str) -> str:
    """Return the value that switches a setting off."""
    values = {"log_statement": "none", "log_transaction_sample_rate": "0"}
    return f"{cause} = {values.get(cause, _OFF)}"
