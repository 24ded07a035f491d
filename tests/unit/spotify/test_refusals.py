"""What a refusal means: only a service's own words tell of a user, a grant or an id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.errors import (
    Forbidden,
    InvalidClient,
    InvalidGrant,
    RequestRefused,
    SongSwapError,
    Unauthorized,
    UnknownToSpotify,
)
from songswap.spotify.refusals import of_accounts, of_reccobeats, of_web_api

PAGE = b"<html><body>invalid_grant, invalid_client, not registered</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (401, b'{"error": {"status": 401, "message": "The access token expired"}}', Unauthorized),
        (403, b'{"error": {"status": 403}}', Forbidden),
        (403, b"", Forbidden),
        (403, b"User not registered in the Developer Dashboard", Forbidden),
        (403, b"Check settings on the dashboard, the user may not be registered.", Forbidden),
        (404, b'{"error": {"status": 404, "message": "Resource not found"}}', UnknownToSpotify),
        (404, b"", UnknownToSpotify),
        (400, b'{"error": {"status": 400, "message": "Invalid limit"}}', RequestRefused),
        *((status, PAGE, None) for status in (400, 401, 403, 404, 414, 431)),
        (403, b"Access denied", None),
        (404, b"default backend - 404", None),
        (404, b'{"error": {"status": 502}}', None),
        (404, b'{"message": "no route"}', None),
        (403, b'{"error": "invalid_grant"}', None),
        (404, b"[]", None),
    ],
)
def test_web_api_refusal_is_an_error_object_of_its_status(
    status: int, body: bytes, meaning: type[SongSwapError] | None
) -> None:
    """Or an empty body, or the one plain text that Spotify sends."""
    found = of_web_api("track", status, body)
    assert (found and type(found)) == meaning


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (400, b'{"error": "invalid_grant", "error_description": "revoked"}', InvalidGrant),
        (400, b'{"error_description": "", "error": "invalid_grant"}', InvalidGrant),
        (400, b'{"error": "invalid_client"}', InvalidClient),
        (401, b'{"error": "invalid_client"}', InvalidClient),
        (400, b'{"error": "invalid_request"}', RequestRefused),
        (400, b'{"error": "server_error", "error_description": "invalid_grant"}', None),
        (400, b'{"error": {"message": "invalid_grant"}}', None),
        (400, b'"invalid_grant"', None),
        (400, b'{"error": "invalid_grant"', None),
        (400, b"", None),
        (403, b'{"error": "invalid_grant"}', None),
        (404, b'{"error": "invalid_client"}', None),
        *((status, PAGE, None) for status in (400, 401, 403, 404)),
    ],
)
def test_accounts_refusal_is_an_oauth_error(
    status: int, body: bytes, meaning: type[SongSwapError] | None
) -> None:
    """In the member that is for it."""
    found = of_accounts("token refresh_token", status, body)
    assert (found and type(found)) == meaning


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (403, b'{"error": "no"}', Forbidden),
        (404, b"", Forbidden),
        (400, b'{"error": "ids must have a size between 1 and 40"}', RequestRefused),
        (403, PAGE, None),
        (400, PAGE, None),
    ],
)
def test_reccobeats_refusal_is_a_json_object_or_empty(
    status: int, body: bytes, meaning: type[SongSwapError] | None
) -> None:
    found = of_reccobeats("reccobeats", status, body)
    assert (found and type(found)) == meaning


@given(st.integers(400, 499), st.binary(max_size=200))
def test_any_bytes_are_judged_without_an_error(status: int, body: bytes) -> None:
    """Accounts never refuses a grant by chance."""
    for judge in (of_web_api, of_accounts, of_reccobeats):
        assert isinstance(judge("any", status, body), SongSwapError | None)
    assert not isinstance(of_accounts("any", status, body), InvalidGrant)
