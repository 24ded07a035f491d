"""Connections are read as Airflow and the hooks of its providers read them."""

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
"""Libpq reads them, Airflow does not."""

_BY_HAND = [
    "postgres://u:p@h/d?__extra__=%7B%22sslmode%22%3A+%22require%22%2C+%22keepalives_idle%22%3A+3%7D",
    "postgres://u:p@h/d?__extra__=%7B%22sslmode%22%3A%22require%22%7D&sslmode=disable",
    *("postgres://h/d?sslmode=require&__extra__=", "postgres://h/d?__extra__=null"),
    *("postgres://h/d?a=1&a=2&b&c=", "postgres://h/d?a=1;b=2", "postgres://h?x=1"),
    *("POSTGRES://u:p@H.Example/D", "google-cloud-platform://u@h", "postgresql+psycopg2://h"),
    *(
        "postgres://h:0/d",
        "postgres://h:/d",
        "postgres://:p@h/d",
        "postgres://u:@h",
        "postgres://@h",
    ),
    *(
        "postgres://u:a:b@h/d",
        "postgres://u:p@ss@h/d",
        "postgres://a@b:c@h/d",
        "postgres://u:%zz@h",
    ),
    *(
        "postgres://u:%FF%00@h",
        "postgres://u:p+q@h/d+e",
        "postgres://u:p q@h/d e",
        "postgres://ü@hö",
    ),
    *("postgres://[::1]:5/d", "postgres://[fe80::1%25eth0]:5/d", "postgres://%2FTmp%2FPg/d"),
    *("postgres://h/d/e?x=1", "postgres://h//d", "//h/d", "postgres://", " postgres://h/d "),
    *("http://https://u:p@h:8/d?a=b", "aws://http%3A%2F%2F127.0.0.1%3A9000"),
    *("aws://k:s%2Fk+x@/?endpoint_url=http%3A%2F%2Fh%3A9", "aws:///?endpoint_url=http://h:9"),
    *('{"conn_type": "a-b", "port": " 5 ", "login": null}', '{"extra": "null"}', "{}"),
    '{"uri": "postgres://u:p@h/d?sslmode=require"}',
    '{"conn_type": "postgresql", "extra": {"extra__postgres__sslmode": "require"}}',
]
_REFUSED_BY_BOTH = [
    *("postgres://h:99999/d", "postgres://h:port/d", "postgres://u:p/w@h/d", "postgres://u:[p@h/d"),
    *(
        "aws://k:s@/?endpoint_url=http://h:9",
        "a://b://c://d",
        '{"host": "h", "sslmode": "require"}',
    ),
    *(
        '{"conn_id": "y"}',
        '{"uri": "postgres://h", "port": 1}',
        '{"port": "x"}',
        '{"extra": "no JSON"}',
    ),
    *("postgres://h/d?__extra__=no", "postgres://h/d?__extra__=%5B1%5D"),
]
_REFUSED_BY_US = [
    # Airflow silently reads another host, database or password.
    *("postgres://u:12/w@h/d", "postgres://u:12?w@h/d", "postgres://u:12#w@h/d", "http://http://h"),
    *("HTTP://https://h", "postgres", "postgres:h", "://h/d", "some_type://h", '{"port": 5.7}'),
]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow and a command read in each text, and how many of Airflow's own both read."""
    home = tmp_path_factory.mktemp("held")
    texts = [*_BY_HAND, *_REFUSED_BY_BOTH, *_REFUSED_BY_US]
    read: dict[str, Any] = in_airflow("hold_connections.py", texts, home)
    return read


def test_command_reads_what_airflow_writes(held: dict[str, Any]) -> None:
    """500 connections, as JSON and as URIs."""
    assert held["read_alike"] >= 1000


@pytest.mark.parametrize("text", _BY_HAND)
def test_command_reads_what_airflow_reads(text: str, held: dict[str, Any]) -> None:
    """In texts as people write them."""
    by_airflow, by_us = held["texts"][text]
    assert by_airflow == by_us


@pytest.mark.parametrize("text", [*_REFUSED_BY_BOTH, *_REFUSED_BY_US])
def test_unreadable_connection_is_refused(text: str, held: dict[str, Any]) -> None:
    """Airflow cannot read it, or reads something else than was meant."""
    by_airflow, by_us = held["texts"][text]
    assert "NAME" in by_us
    assert (by_airflow is None) == (text in _REFUSED_BY_BOTH)


_S3 = [
    '{"conn_type": "aws"}',
    '{"conn_type": "aws", "login": "id", "password": "secret", "extra": {"region_name": "eu"}}',
    "aws://id:s%2Fk%2B@/?region_name=eu-west-1&endpoint_url=https%3A%2F%2Fh%3A9000",
    "aws://id:s@/?aws_session_token=t%2F",
    "aws://?aws_access_key_id=a&aws_secret_access_key=b",
    "aws://id:s@/?__extra__=%7B%22verify%22%3A+false%2C+%22region_name%22%3A+%22eu%22%7D",
    '{"login": "a", "password": "b", "extra": {"aws_access_key_id": "c",'
    ' "aws_secret_access_key": "d"}}',
    '{"extra": {"session_kwargs": {"aws_access_key_id": "c", "aws_secret_access_key": "d",'
    ' "aws_session_token": "e"}}}',
    '{"extra": {"endpoint_url": "https://a", "service_config": {"s3": {"endpoint_url": "https://b"}}}}',
    '{"extra": {"endpoint_url": "https://a", "service_config": {"sts": {"endpoint_url": "https://b"}}}}',
    '{"extra": {"verify": true, "role_arn": ""}}',
]
_S3_REFUSED = [
    '{"login": "a", "password": "b", "extra": {"role_arn": "arn:x"}}',
    "aws://a:b@/?profile_name=x",
    "aws://a:b@h:9000/?region_name=eu",
    '{"login": "a", "extra": {"region_name": "eu"}}',
]


@pytest.fixture(scope="module")
def s3_read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the provider and we read in each connection to S3."""
    home = tmp_path_factory.mktemp("s3")
    read: dict[str, Any] = in_airflow("hold_s3_connections.py", [*_S3, *_S3_REFUSED], home)
    return read


@pytest.mark.parametrize("text", _S3)
def test_s3_connection_is_read_as_the_provider_reads_it(text: str, s3_read: dict[str, Any]) -> None:
    """The archive's client gets what the provider would pass to boto3."""
    by_the_provider, by_us = s3_read[text]
    empty = {part: value or None for part, value in by_the_provider.items() if part != "verify"}
    assert by_us == by_the_provider | empty


@pytest.mark.parametrize("text", _S3_REFUSED)
def test_unsupported_s3_connection_is_refused(text: str, s3_read: dict[str, Any]) -> None:
    """A role, a profile, a host, half of a key."""
    assert "NAME" in s3_read[text][1]


def test_spotify_connection_may_be_in_a_secrets_backend(tmp_path: Path) -> None:
    """Without one, the environment applies."""
    uri = "http://app:s%2F@/?api_url=https%3A%2F%2Fproxy.example%2Fv1"
    read = in_airflow("read_spotify.py", [None, uri, {"login": "a", "password": "b"}], tmp_path)
    usual = "https://api.spotify.com/v1"
    assert read == [
        ["of the environment", "secret of the environment", usual],
        ["app", "s/", "https://proxy.example/v1"],
        ["a", "b", usual],
    ]


def in_airflow(script: str, texts: list[Any], home: Path) -> Any:
    """Run a script of this folder on texts, in a process of Airflow, and return its result."""
    result = home / "result.json"
    subprocess.run(  # noqa: S603  (our own script)
        [sys.executable, str(Path(__file__).parent / script), str(result)],
        input=json.dumps(texts),
        env={**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__UNIT_TEST_MODE": "False"},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return json.loads(result.read_text())


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """By a connection's text: what libpq gets from whom, in each form that Airflow writes."""
    home = tmp_path_factory.mktemp("connections")
    texts = [*_PLAIN, *_REFUSED, *_ONLY_OURS]
    return dict(zip(texts, in_airflow("read_connections.py", texts, home), strict=True))


@pytest.mark.parametrize("text", _PLAIN)
def test_warehouse_connection_is_read_as_the_hook_reads_it(
    text: str, read: dict[str, list[dict[str, Any]]]
) -> None:
    """Libpq gets the same from the hook, in tasks and in terminals, in each form."""
    assert len(read[text]) == 3
    for form in read[text]:
        # The hook passes empty options too, which libpq ignores.
        hook = {option: value for option, value in form["hook"].items() if value}
        assert form["task"] == form["terminal"] == hook, form["text"]


@pytest.mark.parametrize("text", _REFUSED)
def test_option_that_the_hook_refuses_is_refused(
    text: str, read: dict[str, list[dict[str, Any]]]
) -> None:
    """The message names the extra."""
    for form in read[text]:
        assert form["hook"] == "ProgrammingError"
        assert form["task"] == form["terminal"]
        assert "SongSwap_RDS has options in its extra that neither" in form["task"]


@pytest.mark.parametrize("text", _ONLY_OURS)
def test_several_hosts_are_read_in_tasks_too(
    text: str, read: dict[str, list[dict[str, Any]]]
) -> None:
    """Airflow finds no connection there."""
    (form,) = read[text]
    assert form["hook"] == "AirflowNotFoundException"
    assert form["task"] == form["terminal"] == _ONLY_OURS[text]
