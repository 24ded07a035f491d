"""What libpq is told of a connection: as libpq itself reads a URI, or a refusal by name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from songswap.errors import SettingsError
from songswap.settings.airflow_connection import parse_connection
from songswap.settings.warehouse_dsn import dsn_of, places


def read(text: str) -> dict[str, Any]:
    """What libpq is told of a connection as it stands in a variable."""
    return dict(conninfo_to_dict(dsn_of(parse_connection("NAME", text))))


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://",
        "postgres://u:p%40%2F@h:5433/d%20b",
        "postgresql://u@h?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c&sslkey=/k",
        "postgresql:///d?host=/socket/folder",
        "postgresql://%2FSocket%2Ffolder/d",
        "postgresql://h/d?host=other&port=6&user=x&password=y&dbname=z",
        "postgresql://a:1,b:2/d?target_session_attrs=read-write",
        "postgresql://a:5,b:5,/d?target_session_attrs=primary&load_balance_hosts=random",
        "postgresql://a:1,b/d",
        "postgresql://[::1]/d",
        "postgresql://[::1]:5,[fe80::1%25eth0]:6,%2Ftmp:7/d",
        "postgresql://u@/d?service=warehouse&passfile=/p&options=-c%20geqo%3Doff",
        "postgresql://h/d?connect_timeout=3&application_name=me&keepalives=0&keepalives_idle=9",
        "postgresql://h/d?ssl=true",
        "postgresql://h/d?hostaddr=10.0.0.1",
    ],
)
def test_uri_is_read_as_libpq_reads_it(uri: str) -> None:
    """A URI of libpq leads where libpq itself would go."""
    assert read(uri) == conninfo_to_dict(uri)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Of several hosts Airflow takes a port at the end for that of all.
        ("postgres://a,b:5/d", {"host": "a,b", "port": "5", "dbname": "d"}),
        ('{"host": "a,b", "port": "5,6"}', {"host": "a,b", "port": "5,6"}),
        ('{"host": "a,b", "extra": {"port": "5,6"}}', {"host": "a,b", "port": "5,6"}),
        ('{"host": "::1", "port": 5}', {"host": "::1", "port": "5"}),
        ('{"host": "[::1]"}', {"host": "::1"}),
        ('{"host": "@abstract,/run/@pg"}', {"host": "@abstract,/run/@pg"}),
        # As in the provider's hook, the extra wins.
        ('{"host": "a", "extra": {"host": "b"}}', {"host": "b"}),
        ('{"extra": {"cursor": "dictcursor", "iam": false, "aws_conn_id": "x"}}', {}),
        ('{"extra": {"sqlalchemy_scheme": "a", "sqlalchemy_query": {"b": "c"}}}', {}),
        ('{"extra": {"enable_log_db_messages": true, "cluster-identifier": "c"}}', {}),
        ("postgres://h?iam=no&cursor=dictcursor", {"host": "h"}),
        (
            '{"extra": {"keepalives": true, "connect_timeout": 7.0, "keepalives_idle": 30}}',
            {"keepalives": "1", "connect_timeout": "7", "keepalives_idle": "30"},
        ),
        ('{"extra": {"sslmode": null, "sslrootcert": ""}}', {}),
        ("postgresql+psycopg2://u@h/d", {"host": "h", "user": "u", "dbname": "d"}),
    ],
)
def test_connection_is_read_as_the_provider_reads_it(text: str, expected: dict[str, str]) -> None:
    """What the hook keeps for itself is left out, and all else goes to libpq."""
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"password": "hush", "extra": {"iam": true}}', "IAM tokens"),
        ("postgres://u:hush@h/d?iam=True&aws_conn_id=x", "IAM tokens"),
        ('{"password": "hush", "extra": {"iam": true, "azure_conn_id": "x"}}', "IAM tokens"),
        ('{"password": "hush", "extra": {"sslmod": "require"}}', ": sslmod[.]"),
        ("postgres://u:hush@h/d?sslrootcrt=/x&schema=public", ": schema, sslrootcrt[.]"),
        ('{"extra": {"database": "hush"}}', ": database[.]"),
        ('{"extra": {"options": {"a": "hush"}}}', "options in the extra"),
        ('{"extra": {"sslmode": ["hush"]}}', "sslmode in the extra"),
        ('{"extra": {"connect_timeout": "hush"}}', "connect_timeout in the extra"),
        ('{"extra": {"keepalives_idle": 1.5}}', "keepalives_idle in the extra"),
        ('{"host": "a,b,c", "port": "1,2", "password": "hush"}', "2 ports for 3 hosts"),
        ('{"host": "a,b", "extra": {"hostaddr": "1.1.1.1"}}', "2 hosts .* 1 addresses"),
        ('{"host": "a", "port": 70000}', "1 to 65535"),
        ('{"host": "a", "extra": {"port": "hush"}}', "1 to 65535"),
        ('{"password": "hush\\u0000"}', "NUL"),
        ('{"host": "postgres://u:hush@h"}', "host alone"),
        ('{"host": "a,u:hush@h"}', "host alone"),
        # A password that is not encoded, and begins with digits.
        ("postgres://u:12?hush@h/d", "percent-encoded"),
        ('{"extra": {"hush x": ""}}', "other characters than letters"),
    ],
)
def test_unsupported_setting_is_named_without_its_value(text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named) as refused:
        dsn_of(parse_connection("NAME", text), "NAME")
    assert "NAME" in str(refused.value)
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None


_options = st.dictionaries(
    st.sampled_from(
        ["host", "port", "hostaddr", "sslmode", "options", "connect_timeout", "iam", "cursor", "x"]
    )
    | st.text(max_size=5),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just([1]),
)


@given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), _options)
def test_any_connection_is_read_or_refused(
    host: str, password: str, schema: str, extra: dict[str, Any]
) -> None:
    """Whatever stands in the fields, libpq can read what it is told, or a sentence refuses it."""
    result = {"host": host, "password": password, "schema": schema, "extra": extra}
    try:
        dsn = dsn_of(parse_connection("NAME", json.dumps(result)))
    except SettingsError as refused:
        assert refused.__cause__ is None  # noqa: PT017 - it may be read too
        return
    parts = conninfo_to_dict(dsn)
    assert parts.get("password", "") == (extra.get("password") or password)
    assert parts.get("dbname", "") == (extra.get("dbname") or schema)


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("host=h dbname=d user=u password=hush", "d at h:5432"),
        ("host=a,b port=1,2 dbname=d", "d at a:1 or b:2"),
        ("host=::1,/tmp port=5 dbname=d", "d at [::1]:5 or /tmp:5"),
        ("", "the default database at the default host:5432"),
        ("service=warehouse", "the service warehouse"),
    ],
)
def test_places_show_all_hosts_and_no_login(dsn: str, expected: str) -> None:
    assert places(dsn) == expected
