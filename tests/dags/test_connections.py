"""The connection to the warehouse is read as Airflow and the hook of its provider read it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_PLAIN = [
    "postgres://u:p%40%2F@h:5433/d%20b%2Fc",
    "postgresql://u@h?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c&sslkey=/k",
    "postgresql:///d?host=/socket/folder",
    "postgresql://%2FSocket%2Ffolder/d",
    "postgresql://h/d?host=other&port=6&user=x&password=y+z",
    "postgresql://a,b:5/d?target_session_attrs=read-write",
    "postgresql://[::1]:5/d",
    "postgresql+psycopg2://u@h/d?connect_timeout=3&application_name=me&options=-c%20geqo%3Doff",
    "postgres:///d?service=warehouse&passfile=/p",
    "postgres://u:p@ss@h/d",
    '{"conn_type": "postgresql", "host": "::1", "port": "5", "login": "u", "password": "%40"}',
    '{"host": "a,b", "extra": {"port": "5,6", "keepalives": 1, "keepalives_idle": 9}}',
    '{"host": "h", "extra": "{\\"cursor\\": \\"dictcursor\\", \\"sqlalchemy_query\\": {}}"}',
    '{"host": "h", "schema": "d", "extra": {"iam": false, "aws_conn_id": "x", "sslmode": null}}',
]
_REFUSED = ["postgresql://h/d?sslmod=require", '{"host": "h", "extra": {"schema": "s"}}']
_ONLY_OURS = {
    "postgresql://a:1,b:2/d": {"host": "a,b", "port": "1,2", "dbname": "d"},
    '{"host": "a,b", "port": "1,2"}': {"host": "a,b", "port": "1,2"},
}
"""What libpq reads, and Airflow does not."""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """By a connection's text: what libpq is told by whom, however Airflow writes it."""
    home = tmp_path_factory.mktemp("connections")
    texts = [*_PLAIN, *_REFUSED, *_ONLY_OURS]
    result = home / "result.json"
    subprocess.run(  # noqa: S603  (our own script)
        [sys.executable, str(Path(__file__).parent / "read_connections.py"), str(result)],
        input=json.dumps(texts),
        env={**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__UNIT_TEST_MODE": "False"},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return dict(zip(texts, json.loads(result.read_text()), strict=True))


@pytest.mark.parametrize("text", _PLAIN)
def test_read_as_the_hook_reads_it(text: str, read: dict[str, list[dict[str, Any]]]) -> None:
    """Libpq is told what the hook would tell it, in tasks and in terminals, whoever wrote it."""
    assert len(read[text]) == 3
    for form in read[text]:
        # The hook says what is empty too, and libpq takes that for nothing.
        hook = {option: value for option, value in form["hook"].items() if value}
        assert form["task"] == form["terminal"] == hook, form["text"]


@pytest.mark.parametrize("text", _REFUSED)
def test_refused_where_the_hook_refuses(text: str, read: dict[str, list[dict[str, Any]]]) -> None:
    """What the hook's driver refuses is a sentence that names the extra."""
    for form in read[text]:
        assert form["hook"] == "ProgrammingError"
        assert form["task"] == form["terminal"]
        assert "SongSwap_RDS has in its extra what neither" in form["task"]


@pytest.mark.parametrize("text", _ONLY_OURS)
def test_read_where_airflow_cannot(text: str, read: dict[str, list[dict[str, Any]]]) -> None:
    """Several hosts with a port each are read in tasks too, where Airflow finds no connection."""
    (form,) = read[text]
    assert form["hook"] == "AirflowNotFoundException"
    assert form["task"] == form["terminal"] == _ONLY_OURS[text]
