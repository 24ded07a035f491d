"""Holds our reading of connections against Airflow's own; run in a process of Airflow.

    hold_connections.py RESULT_FILE < texts.json

The texts are those of ``AIRFLOW_CONN_…``. The result has, for each, what Airflow and what a command
reads in it, as far as both read it; and how many connections were made, written by Airflow as JSON
and as a URI, and read alike by both.
"""

import json
import sys
from pathlib import Path
from typing import Any

from airflow.sdk import Connection
from hypothesis import given, settings
from hypothesis import strategies as st

from songswap.errors import SettingsError
from songswap.settings.airflow_connection import parse_connection

_PARTS = ("host", "port", "login", "password", "schema")


def by_airflow(text: str) -> dict[str, Any] | None:
    """What Airflow reads in a text; None where it fails."""
    text = text.strip()
    parse = Connection.from_json if text.startswith("{") else Connection.from_uri
    try:
        read = parse(text, conn_id="x")
        extra = (json.loads(read.extra or "{}") or {}).items()
    except Exception:  # noqa: BLE001 - whatever it raises, it does not read it
        return None
    parts = {part: getattr(read, part) or None for part in _PARTS}
    texts = {key: _as_text(value) for key, value in extra if value is not None}
    return {"type": read.conn_type or None, **parts, "extra": texts}


def by_us(text: str) -> dict[str, Any] | str:
    """What a command reads in a text; the sentence where it refuses it."""
    try:
        read = parse_connection("NAME", text)
    except SettingsError as refused:
        return str(refused)
    parts = {part: getattr(read, part) or None for part in _PARTS}
    return {"type": read.type or None, **parts, "extra": dict(read.extra)}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_odd = st.text(st.sampled_from("aZ09@:/%#?[]{}&=+ ;,.\\\"'~_-äß漢🎵"), max_size=10)
_any = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_texts = st.none() | _odd | _any
_values = st.none() | st.booleans() | st.integers(-9, 99) | st.floats(0, 1) | _odd
_extras = st.dictionaries(
    st.sampled_from(["sslmode", "region_name", "extra__aws__x", "__EXTRA__", "a b", "ü"]) | _odd,
    _values | st.lists(_values, max_size=2) | st.dictionaries(_odd, _values, max_size=2),
    max_size=3,
)
_hosts = st.sampled_from(
    [
        *(None, "", "db.example", "10.0.0.1", "::1", "fe80::1%eth0", "/Var/run/pg", "a,b", "x y"),
        *("https://api.example", "http://127.0.0.1", "s3.eu-west-1.amazonaws.com", "@pg", "a_b"),
    ]
)
_types = st.sampled_from(["postgres", "aws", "discord", "http", "google_cloud_platform", "a+b"])
read_alike = 0


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(
    kind=_types,
    host=_hosts,
    port=st.none() | st.integers(0, 65535),
    login=_texts,
    password=_texts,
    schema=_texts,
    extra=st.none() | _extras,
)
def hold(kind: str, host: str | None, extra: dict[str, Any] | None, **parts: Any) -> None:
    """A connection that Airflow has written is read by both alike, and as it was."""
    global read_alike
    told = json.dumps(extra) if extra else None
    connection = Connection(conn_id="x", conn_type=kind, host=host, extra=told, **parts)
    for text in (connection.as_json(), connection.get_uri()):
        assert by_us(text) == by_airflow(text), text
        read_alike += 1
    # Where Airflow itself loses something in a URI (upper case in a host), its JSON tells.
    told_of = by_airflow(connection.as_json())
    assert told_of is not None
    assert {part: told_of[part] for part in parts} == {
        part: value or None for part, value in parts.items()
    }


hold()
texts = json.load(sys.stdin)
result = {
    "read_alike": read_alike,
    "texts": {text: [by_airflow(text), by_us(text)] for text in texts},
}
Path(sys.argv[1]).write_text(json.dumps(result))
