"""Compares how Airflow and a command read connections; run in a process of Airflow.

    hold_connections.py RESULT_FILE < texts.json

The texts are values of ``AIRFLOW_CONN_…``. The result has what Airflow and a command read in each,
and the number of generated connections that both read alike, as JSON and as URIs of Airflow's.
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
    """Return what Airflow reads in a text; None where it fails."""
    text = text.strip()
    parse = Connection.from_json if text.startswith("{") else Connection.from_uri
    try:
        read = parse(text, conn_id="x")
        extra = (json.loads(read.extra or "{}") or {}).items()
    except Exception:  # noqa: BLE001 - any error means that it cannot be read
        return None
    parts = {part: getattr(read, part) or None for part in _PARTS}
    texts = {key: _as_text(value) for key, value in extra if value is not None}
    return {"type": read.conn_type or None, **parts, "extra": texts}


def by_us(text: str) -> dict[str, Any] | str:
    """Return what a command reads in a text, or the message of its refusal."""
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
    """Assert that both read alike what Airflow has written, and that nothing is lost."""
    global read_alike
    text_of_extra = json.dumps(extra) if extra else None
    connection = Connection(conn_id="x", conn_type=kind, host=host, extra=text_of_extra, **parts)
    for text in (connection.as_json(), connection.get_uri()):
        assert by_us(text) == by_airflow(text), text
        read_alike += 1
    # Airflow's URIs lose upper case in a host; its JSON loses nothing.
    read = by_airflow(connection.as_json())
    assert read is not None
    assert {part: read[part] for part in parts} == {
        part: value or None for part, value in parts.items()
    }


hold()
texts = json.load(sys.stdin)
result = {
    "read_alike": read_alike,
    "texts": {text: [by_airflow(text), by_us(text)] for text in texts},
}
Path(sys.argv[1]).write_text(json.dumps(result))
