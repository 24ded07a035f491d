"""Token answers: whatever is odd in one, no refresh token in it is lost, and none is shown."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.models import RotatedToken, Tokens
from songswap.spotify.tokens import can_be_sent, parse, parse_of_app

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(codec=None), min_size=1, max_size=600)  # lone surrogates too
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(ANY_TEXT, st.dictionaries(st.text(max_size=12), ANY_JSON, max_size=4), ANY_JSON, ANY_JSON)
def test_refresh_token_survives(
    refresh_token: str, more: dict[str, Any], access_token: object, expires_in: object
) -> None:
    """Any string of any characters, beside anything else that an answer may hold."""
    answer = {**more, "access_token": access_token, "expires_in": expires_in}
    body = json.dumps({**answer, "refresh_token": refresh_token}).encode()
    found = parse(body, NOW)
    assert found is not None
    assert found.refresh_token == refresh_token
    assert NOW <= found.expires_at <= NOW + timedelta(days=1)
    assert found.access_token is None or can_be_sent(found.access_token)


@given(st.text(min_size=1, max_size=600))
def test_refresh_token_survives_as_it_is(refresh_token: str) -> None:
    """Also where it is not escaped, behind a byte order mark."""
    body = json.dumps({"refresh_token": refresh_token}, ensure_ascii=False)
    found = parse(b"\xef\xbb\xbf" + body.encode(), NOW)
    assert found == Tokens(None, refresh_token, NOW)


@given(ANY_TEXT, st.data())
def test_refresh_token_survives_a_cut_behind_it(refresh_token: str, data: st.DataObject) -> None:
    """A body cut before it holds no tokens."""
    tail = ', "scope": "user-read-email", "token_type": "Bearer"}'
    body = f'{{"access_token": "a", "refresh_token": {json.dumps(refresh_token)}{tail}'.encode()
    found = parse(body[: len(body) - data.draw(st.integers(0, len(tail)))], NOW)
    assert found is not None
    assert (found.access_token, found.refresh_token) == ("a", refresh_token)
    assert parse(body[: len(body) - len(tail) - 1], NOW) is None


@given(st.binary(max_size=300) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_parsed_without_an_error(body: bytes) -> None:
    found = parse(body, NOW)
    assert found is None or found.access_token or found.refresh_token


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"null", b"<html>", b"[" * 100_000),
        b'{"refresh_token": ""}',
        b'{"access_token": 5, "refresh_token": null}',
        b'{"access_token": "a\\nb"}',
    ],
)
def test_holds_no_token(body: bytes) -> None:
    """Nothing to go on with: it is asked for again."""
    assert parse(body, NOW) is None


def test_app_needs_an_access_token() -> None:
    """The app itself can do nothing with a refresh token."""
    assert parse_of_app(b'{"refresh_token": "r"}', NOW) is None
    assert parse_of_app(b'{"access_token": "a"}', NOW) is not None


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3600),
        (60, 60),
        ("1800", 1800),
        (59.5, 59.5),
        (86_400, 86_400),
        *((odd, 3600) for odd in (0, -1, 86_401, 10**400, 1e400, float("nan"), None, True)),
        *((odd, 3600) for odd in ("", "soon", "1e999", [3600], {"s": 1})),
    ],
)
def test_lifetime_is_at_most_a_day_and_an_hour_by_default(
    expires_in: object, seconds: float
) -> None:
    found = parse(json.dumps({"access_token": "a", "expires_in": expires_in}).encode(), NOW)
    assert found == Tokens("a", None, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("token", ["", "a\nb", "a\r", "\x00", "\x7f", "é", "日", "\ud800"])
def test_cannot_be_sent(token: str) -> None:
    """What no header can carry, or what a server would read as something else."""
    assert not can_be_sent(token)


def test_tokens_are_not_shown() -> None:
    """Neither in a log nor in an error."""
    shown = repr(Tokens("hush", "hush", NOW)) + repr(RotatedToken(1, "hush", "hush", "hush", NOW))
    assert "hush" not in shown
