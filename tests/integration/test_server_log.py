"""No token comes into PostgreSQL's log, but where its settings have the parameters of one statement
logged; and that is told."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.checks.sanity.context import CheckContext
from songswap.checks.sanity.run import run_step
from songswap.dev.stack.postgres import Postgres
from songswap.errors import SongSwapError
from songswap.settings.airflow_connection import parse_connection

ROTATED = ("--rotate-refresh-tokens", "1")

LOUD = {
    "log_statement": "all",
    "log_min_messages": "info",
    "log_min_error_statement": "error",
    "log_error_verbosity": "verbose",
    "log_parameter_max_length_on_error": "-1",
}
"""As a DBA has a server log everything of a database, errors and their parameters included."""

_ENTRY = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] (\w+): ", re.MULTILINE)


def database(platform: Platform) -> str:
    """The name of the platform's database."""
    return str(psycopg.conninfo.conninfo_to_dict(platform.settings.warehouse_dsn)["dbname"])


def log_all(platform: Platform, **more: str) -> None:
    """Have the server log all that it can of what is done in the platform's database."""
    for name, value in (LOUD | more).items():
        platform.execute(f"ALTER DATABASE {database(platform)} SET {name} = '{value}'")


def checked(platform: Platform) -> str:
    """What the sanity check says of the server's log."""
    variables = platform.environment()
    given = CheckContext(
        lambda name: parse_connection(name, variables[f"AIRFLOW_CONN_{name.upper()}"]),
        variables.get,
        variables,
        "run",
        platform.clock,
    )
    return run_step("postgres", "log", given)


def hours(platform: Platform) -> set[str]:
    """Loads with rotated tokens, and with errors of every kind around them; all tokens in use."""
    given: set[str] = set()

    def load() -> None:
        given.update(tokens(platform))
        platform.advance(hours=1)
        platform.load()
        given.update(tokens(platform))

    load()
    platform.fault(path="/api/token", access_suffix="x" * 300)  # too long for its column
    load()
    platform.mend()
    platform.execute(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no' USING DETAIL = 'not now'; END $$"
    )
    for table in ('"SpotifyTokens"', "songswap.tokens", "songswap.token_exchanges"):
        platform.execute(
            f"CREATE TRIGGER no BEFORE UPDATE OR DELETE ON {table} EXECUTE FUNCTION no()"
        )
        with suppress(SongSwapError):  # what it is, is another test's affair
            load()
        platform.execute(f"DROP TRIGGER no ON {table}")
    load()
    return given


def tokens(platform: Platform) -> Iterator[str]:
    """All tokens that the warehouse knows."""
    for row in platform.rows(
        "SELECT convert_from(access_token, 'UTF8'), convert_from(refresh_token, 'UTF8')"
        " FROM songswap.current_tokens()"
    ) + platform.rows('SELECT access_token, refresh_token FROM "SpotifyTokens"'):
        yield from row


def shown(log: str, given: set[str]) -> list[str]:
    """The statements that brought one of the tokens into the log."""
    found = []
    said: defaultdict[str, str] = defaultdict(str)
    _, *parts = _ENTRY.split(log)
    for process, kind, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if kind in ("LOG", "STATEMENT"):
            said[process] = text
        # As text, or as the bytes of a parameter.
        if any(token in text or token.encode().hex() in text for token in given):
            found.append(said[process])
    return found


@pytest.fixture
def log(postgres: Postgres) -> Callable[[], str]:
    """Gives what the server has logged since the test began."""
    path = Path(postgres.process.log)
    begin = path.stat().st_size
    return lambda: path.read_bytes()[begin:].decode(errors="replace")


def test_log_without_parameters_holds_no_token(
    make_platform: MakePlatform, log: Callable[[], str]
) -> None:
    """The log of every statement and error, with the recommended settings."""
    platform = make_platform(*ROTATED, users=3)
    log_all(platform, log_parameter_max_length="0", log_parameter_max_length_on_error="0")
    assert checked(platform) == "The server logs no parameters of statements."
    given = hours(platform)
    assert "INSERT INTO songswap.tokens" in log()
    assert "value too long" in log()
    assert shown(log(), given) == []


def test_only_the_statement_that_stores_tokens_logs_them(
    make_platform: MakePlatform, log: Callable[[], str]
) -> None:
    """Where parameters are logged."""
    platform = make_platform(*ROTATED, users=3)
    log_all(platform, log_parameter_max_length="-1")
    text = checked(platform)
    assert "log_statement = all, log_parameter_max_length_on_error = -1" in text
    for remedy in ("log_parameter_max_length", "log_parameter_max_length_on_error"):
        assert f"ALTER ROLE songswap SET {remedy} = 0" in text
    given = hours(platform)
    statements = shown(log(), given)
    assert statements
    assert all("INSERT INTO songswap.tokens" in statement for statement in statements)
