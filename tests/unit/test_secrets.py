"""No error quotes a part of a secret, whatever the text is that it stands in."""

import json
import traceback
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from songswap.alerts.services import Services
from songswap.alerts.webhook import Webhook
from songswap.checks.sanity.context import from_environment as checked_environment
from songswap.checks.sanity.s3 import connections as check_s3
from songswap.checks.sanity.s3_bucket import PIPELINE, TESTS
from songswap.clock import utc_now
from songswap.errors import SettingsError, SongSwapError
from songswap.settings import another_warehouse, archive_of, from_environment, warehouse_dsn
from songswap.settings.airflow_connection import Connection, parse_connection
from songswap.settings.warehouse_dsn import dsn_of, places
from songswap.storage.s3 import open_store

RARE = "QXZJKVW987"
"""What no sentence has two of beside each other, and no file's name or line number four of."""

_secrets = st.text(
    st.sampled_from(RARE * 3 + "@:/?#[]%&=+ ,;\\'\"{}$<>漢ä\t"), min_size=5, max_size=30
)
_texts = st.sampled_from(
    [
        # Not encoded, as people write them.
        *("postgres://u:{}@h/d", "postgres://u:{}@h:5432/d?sslmode=require", "postgres://{}", "{}"),
        *("postgres://u:{}", "postgres://u:a@{}@h/d", "postgres://h/d?password={}", "//{}@h"),
        *("aws://id:{}@", "aws://id:{}@/?region_name=eu", "aws://?aws_session_token={}", "{}://x"),
        *("aws://id:{}@/?endpoint_url=http://h:9", "postgres://[{}]/d", "postgres://h:{}/d"),
        *("postgres://u:x@h/d?__extra__={}", 'aws://?__extra__={{"a": "{}"}}', "discord://{}@h"),
        *("host=h password={} user=u", "host=h password='{}", "password={}", "service={} x"),
        *(
            '{{"password": "{}"}}',
            '{{"password": "{}", ',
            '{{"host": "u:{}@h"}}',
            '{{"extra": "{}"}}',
        ),
        *('{{"port": "{}"}}', '{{"extra": {{"endpoint_url": "https://u:{}@h"}}}}'),
        *('{{"login": "a", "password": "{}", "extra": {{"aws_session_token": "{}"}}}}', '{{"{}"'),
        *('{{"extra": {{"webhook_endpoint": "webhooks/1/{}"}}}}', '{{"host": "https://{}"}}'),
        *('{{"extra": {{"verify": "{}"}}}}', '{{"extra": {{"service_config": "{}"}}}}'),
        *('{{"extra": {{"iam": "{}"}}}}', '{{"extra": {{"connect_timeout": "{}"}}}}'),
        # Addresses of services.
        *("slack://{}", "slack://T1/B1/{}", "mailto://u:{}@h", "mailtos://{}", "json://u:{}@h/x"),
        *("https://hooks.slack.com/services/{}", "jsons://h/x?verify=no&y={}", "xml://h:{}/"),
    ]
)


def in_text(text: str, secret: str, form: str) -> str:
    """A connection's text with a secret in it: as it is, percent-encoded, or as JSON has it."""
    encoded = {
        "raw": secret,
        "quoted": quote(secret, safe="", errors="replace"),
        "json": json.dumps(secret)[1:-1],
    }
    return text.format(*[encoded[form]] * text.count("{}"))


def pieces(secret: str) -> set[str]:
    """The parts of a secret that are in no sentence of ours, as they may be written."""
    forms = (
        secret,
        quote(secret, safe="", errors="replace"),
        json.dumps(secret)[1:-1],
        secret.lower(),
    )
    grams = {form[start : start + 4] for form in forms for start in range(len(form) - 3)}
    return {gram for gram in grams if sum(letter in RARE + RARE.lower() for letter in gram) == 4}


def read_everywhere(text: str) -> list[Callable[[], object]]:
    """All that reads a connection of such a text."""
    environment = {
        "AIRFLOW_CONN_SONGSWAP_RDS": text,
        f"AIRFLOW_CONN_{PIPELINE.upper()}": text,
        f"AIRFLOW_CONN_{TESTS.upper()}": text,
        "AIRFLOW_CONN_SONGSWAP_S3_READONLY": text,
        "AIRFLOW_CONN_SONGSWAP_S3_ERASE": text,
        "AIRFLOW_VAR_BUCKET_NAME": "raw",
        "SONGSWAP_SPOOL": "spool",
        "SPOTIFY_CLIENT_ID": "id",
        "SPOTIFY_CLIENT_SECRET": "secret",
    }
    context = checked_environment(environment, "run", utc_now)
    return [
        lambda: from_environment(environment),
        lambda: warehouse_dsn(environment),
        lambda: another_warehouse(environment, text),
        lambda: dsn_of(parse_connection("NAME", text)),
        lambda: open_store(archive_of(parse_connection("NAME", text), "raw", {}, "NAME")),
        lambda: check_s3(context),
        lambda: Webhook.parse(parse_connection("NAME", text), None),
        lambda: Webhook.parse(None, text),
        lambda: require_services(text),
    ]


def require_services(text: str) -> None:
    """Read addresses of services; what is said about them is raised."""
    problems = Services.parse(Connection(password=text), ()).problems
    if problems:
        raise SettingsError(" ".join(problems))


@given(text=_texts, secret=_secrets, form=st.sampled_from(["raw", "quoted", "json"]))
@example(text="postgres://u:{}@h/d", secret="QXZJ/KVW9", form="raw")
@example(text="postgres://u:{}@h/d", secret="987?QXZJ&KVW", form="raw")
@example(text="postgres://me@corp:{}@h/d", secret="987?QXZJ=1&KVW", form="raw")
@example(text="postgres://u:{}@h/d", secret="[QXZJ", form="raw")
@example(text="postgres://u:{}@h/d", secret="QXZJ℀KVW9", form="raw")
@example(text="postgres://u:{}@h/d", secret="a@b:12/QXZJKVW", form="raw")
@example(text='{{"password": "{}"}}', secret="QXZJ\ud800", form="json")
def test_no_error_quotes_a_secret(text: str, secret: str, form: str) -> None:
    """Neither a sentence nor what a log shows of its causes has four characters of it."""
    marks = pieces(secret)
    for read in read_everywhere(in_text(text, secret, form)):
        try:
            read()
        except SongSwapError as error:
            shown = str(error) + repr(error) + "".join(traceback.format_exception(error))
            assert [mark for mark in marks if mark in shown] == []


@pytest.mark.parametrize("secret", ["QXZJKVW", "QXZJ KVW'9", "987\\QXZJ"])
def test_no_place_quotes_a_secret(secret: str) -> None:
    """Where a connection leads is told without its login, whatever the password is."""
    text = places(dsn_of(parse_connection("NAME", f"postgres://u:{quote(secret, safe='')}@h:5/d")))
    assert text == "d at h:5"
