"""Connections as Airflow writes them, and as people do."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.errors import SettingsError
from songswap.settings.airflow_connection import Connection, parse_connection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:p@h:1/d", Connection("postgres", "h", 1, "u", "p", "d")),
        (" postgres://u:p@h:1/d\n", Connection("postgres", "h", 1, "u", "p", "d")),
        ("postgresql+psycopg2://h", Connection("postgresql+psycopg2", "h")),
        ("postgres://", Connection("postgres")),
        ("//u:p@h/d", Connection("", "h", None, "u", "p", "d")),
        ("postgres:///d", Connection("postgres", schema="d")),
        ("postgresql://h", Connection("postgres", "h")),
        ("POSTGRES://H.Example/D", Connection("postgres", "h.example", schema="D")),
        ("google-cloud-platform://h", Connection("google_cloud_platform", "h")),
        ("postgres://h:0/d", Connection("postgres", "h", schema="d")),
        (
            "aws:///?endpoint_url=http://h:9",
            Connection("aws", extra={"endpoint_url": "http://h:9"}),
        ),
        ("postgres:///?a=1&a=2&b", Connection("postgres", extra={"a": "2", "b": ""})),
        (
            "postgres:///?__extra__=%7B%22sslmode%22%3A%22require%22%7D&a=b",
            Connection("postgres", extra={"sslmode": "require"}),
        ),
        ("postgres://@:5433/d", Connection("postgres", port=5433, schema="d")),
        (
            "postgres://u%40x:p%2F%3A%25@h/a%2Fb",
            Connection("postgres", "h", None, "u@x", "p/:%", "a/b"),
        ),
        ("postgres://u:p@ss@h/d", Connection("postgres", "h", None, "u", "p@ss", "d")),
        ("postgres://u@[::1]:5/d", Connection("postgres", "::1", 5, "u", "", "d")),
        ("postgres://u@%3A%3A1:5/d", Connection("postgres", "::1", 5, "u", "", "d")),
        ("postgres://u@%2FTmp%2Fpg/d", Connection("postgres", "/Tmp/pg", None, "u", "", "d")),
        ("postgres://a,b:5/d", Connection("postgres", "a,b", 5, schema="d")),
        ("postgres://a:5,b/d", Connection("postgres", "a,b", schema="d", extra={"port": "5,"})),
        ("postgres://a:5,b:5/d", Connection("postgres", "a,b", 5, schema="d")),
        (
            "postgres://u:p@[::1]:5,%2Ftmp:6,b:7/d?x=y",
            Connection("postgres", "::1,/tmp,b", None, "u", "p", "d", {"port": "5,6,7", "x": "y"}),
        ),
        ("discord://https://h:8/d", Connection("discord", "https://h", 8, schema="d")),
        (
            "postgres:///?host=%2Fpg&a=&b=x+y",
            Connection("postgres", extra={"host": "/pg", "a": "", "b": "x y"}),
        ),
        (
            "postgres:///?__extra__=%7B%22keepalives%22%3A+1%2C+%22on%22%3A+true%7D",
            Connection("postgres", extra={"keepalives": "1", "on": "true"}),
        ),
        (
            '{"conn_type": "aws", "login": "u", "password": "p", "extra": "{\\"a\\": 1}"}',
            Connection("aws", "", None, "u", "p", "", {"a": "1"}),
        ),
        (
            '{"conn_type": "postgres", "host": "h", "port": "1", "schema": "d"}',
            Connection("postgres", "h", 1, "", "", "d"),
        ),
        ('{"host": "::1", "port": 0, "extra": ""}', Connection(host="::1")),
        ('{"conn_type": "a-b", "port": 5.0, "description": "x"}', Connection("a_b", port=5)),
        (
            '{"host": "[::1]", "password": 123, "extra": null}',
            Connection(host="::1", password="123"),
        ),
        ('{"host": "a,b", "port": "1,2"}', Connection(host="a,b", extra={"port": "1,2"})),
        (
            '{"extra": {"a": true, "b": null, "c": [1], "d": {"e": 2.5}, "f": "x"}}',
            Connection(extra={"a": "true", "c": "[1]", "d": '{"e": 2.5}', "f": "x"}),
        ),
    ],
)
def test_connection_is_read_from_uri_or_json(text: str, expected: Connection) -> None:
    """As Airflow has it; several hosts as libpq has them."""
    assert parse_connection("NAME", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "nonsense",
            "{",
            '{"port": "x"}',
            '{"extra": 5}',
            '{"extra": "hush"}',
            '{"extra": ["hush"]}',
        ),
        *("postgres://h:port/d", "[1]", '{"host": ["a", "b"]}', '{"password": {"a": "hush"}}'),
        # Passwords that are not encoded: pa/hush, pa?hush, 12#hush, 12/hush, [hush
        *("postgres://u:pa/hush@h/d", "postgres://u:pa?hush@h/d", "postgres://u:12#hush@h/d"),
        *("postgres://u:12/hush@h/d", "postgres://u:[hush@h/d", "postgres://u:hu℀sh@h/d"),
        '{"extra": {"password": "hush}}',
        # Their @ would be left for a host, a database or an extra, and be shown.
        *("postgres://u:12?hush&x@h/d", "postgres://me@corp:12?hush=1&x=2@h/d"),
        *("postgres://u:a@b:12/hush@h/d", "postgres://u:a://hush@h/d"),
        # Airflow would leave a part of these out, or not read them.
        *("http://http://hush", "HTTP://https://hush", "aws://hush@/?endpoint_url=http://h"),
        *("postgres:hush", "hush://h://i://j", "postgres://h:70000/hush", "postgres://h:+5/hush"),
        *(
            '{"port": "' + "1" * 5000 + '"}',
            '{"hush it": 1}',
            '{"uri": "hush://h", "port": 1}',
            '{"password": "hush\\ud800"}',
        ),
        *('{"extra": {"a": "hush\\udfff"}}', '{"extra": ' + "[" * 100_000 + "}"),
    ],
)
def test_unreadable_connection_is_named_without_its_text(text: str) -> None:
    """The text holds a password."""
    # In a thread: there, no error of another test can be its context.
    with ThreadPoolExecutor(1) as thread:
        refused = thread.submit(_refusal, text).result()
    assert "NAME" in str(refused)
    assert text not in str(refused)
    assert "hush" not in str(refused)
    # What it was made of would stand in a log's traceback.
    assert refused.__cause__ is None
    assert refused.__suppress_context__ or refused.__context__ is None


def _refusal(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        parse_connection("NAME", text)
    return refused.value


def as_uri(parts: dict[str, Any]) -> str:
    """A connection as Airflow writes it (`airflow.sdk.Connection.get_uri`)."""
    login, password = parts.get("login"), parts.get("password")
    authority = quote(login, safe="") if login is not None else ""
    authority += f":{quote(password, safe='')}" if password is not None else ""
    authority += "@" if authority else ""
    host = quote(parts.get("host") or "", safe="")
    if parts.get("port"):
        host += f"{'' if host or authority else '@'}:{parts['port']}"
    schema = f"/{quote(parts['schema'], safe='')}" if parts.get("schema") else ""
    kind = f"{parts['conn_type']}:" if parts["conn_type"] else ""
    uri = f"{kind}//{authority}{host}{schema}"
    if extra := parts.get("extra"):
        query = urlencode(extra)
        if extra != dict(parse_qsl(query, keep_blank_values=True)):
            query = urlencode({"__extra__": json.dumps(extra)})
        uri += ("?" if schema else "/?") + query
    return uri


_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_extras = st.dictionaries(
    st.sampled_from(["host", "sslmode", "options", "connect_timeout", "cursor", "x y", "ü"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | _texts,
        lambda deeper: st.lists(deeper, max_size=2) | st.dictionaries(_texts, deeper, max_size=2),
        max_leaves=3,
    ),
)
_hosts = st.sampled_from(
    ["", "db.example", "10.0.0.1", "::1", "fe80::1%eth0", "/Var/run/pg", "@pg", "a,b"]
)


@given(
    st.fixed_dictionaries(
        {"conn_type": st.sampled_from(["", "postgres", "aws", "a-b"])},
        optional={
            "host": _hosts,
            "port": st.integers(1, 65535),
            "login": _texts,
            "password": _texts,
            "schema": _texts,
            "extra": _extras,
        },
    )
)
def test_uri_and_json_say_the_same(parts: dict[str, Any]) -> None:
    """Whichever way Airflow writes a connection, it is read as it was."""
    read = parse_connection("NAME", as_uri(parts))
    assert read == parse_connection("NAME", json.dumps(parts))
    assert (read.host, read.login) == (parts.get("host", ""), parts.get("login", ""))
    assert (read.password, read.schema) == (parts.get("password", ""), parts.get("schema", ""))


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text of a setting ends in another error than the sentence."""
    for result in (text, f"postgres://{text}", f'{{"extra": {json.dumps(text)}}}'):
        try:
            parse_connection("NAME", result)
        except SettingsError as refused:
            assert refused.__cause__ is None  # noqa: PT017 - it may be read too
