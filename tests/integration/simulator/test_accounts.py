"""The accounts service issues and revokes tokens, and its errors are Spotify's."""

import re
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import encode_basic_auth
from integration.simulator.caller import Caller, Starter

REDIRECT = "http://127.0.0.1:9999/callback"
HALF_A_YEAR = 182 * 24 * 3600


async def refresh(caller: Caller, token: str) -> Any:
    return await caller.token(grant_type="refresh_token", refresh_token=token)


async def test_code_works_once(spotify: Starter) -> None:
    """It gives tokens for an hour and their scope; the second time an error."""
    caller = await spotify()
    form = {
        "grant_type": "authorization_code",
        "code": await caller.code("listener-0001"),
        "redirect_uri": REDIRECT,
    }
    first, second = await caller.token(**form), await caller.token(**form)
    assert first.status == 200
    assert first.body["expires_in"] == 3600
    assert first.body["token_type"] == "Bearer"
    assert first.body["scope"] == "user-read-recently-played user-read-email"
    assert second.status == 400
    assert second.body["error"] == "invalid_grant"


async def test_code_is_bound_to_its_redirect_and_time(spotify: Starter) -> None:
    """With another redirect URI, or after ten minutes, it does not work."""
    caller = await spotify()
    form = {"grant_type": "authorization_code", "code": await caller.code("listener-0001")}
    reply = await caller.token(**form, redirect_uri="https://elsewhere.example/")
    assert reply.body == {
        "error": "invalid_grant",
        "error_description": "Invalid redirect URI",
    }
    form["code"] = await caller.code("listener-0001")
    await caller.admin("POST", "clock", {"advance_s": 600})
    reply = await caller.token(**form, redirect_uri=REDIRECT)
    assert reply.body["error_description"] == "Authorization code expired"


async def test_consent_page_lists_the_listeners(spotify: Starter) -> None:
    """Each link gives consent for one of them."""
    caller = await spotify(users=3)
    query = {"client_id": "songswap", "response_type": "code", "redirect_uri": REDIRECT}
    reply = await caller.call("GET", "/authorize", params=query)
    assert reply.status == 200
    assert reply.raw.count(b"simulated_user=listener-000") == 3


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"client_id": "nobody"}, 400),
        ({"redirect_uri": "http://localhost:9999/callback"}, 400),
        ({"redirect_uri": "http://example.com/"}, 400),
        ({"redirect_uri": "http://[::1"}, 400),
        ({"redirect_uri": "https://example.com/a?b=c"}, 302),
        ({"redirect_uri": "http://[::1]:80/"}, 302),
        ({"scope": "user-read-minds"}, 400),
        ({"response_type": "token"}, 400),
        ({"simulated_user": "nobody"}, 404),
    ],
)
async def test_authorization_checks_its_parameters(
    spotify: Starter, change: dict[str, str], status: int
) -> None:
    """Redirects are https or a loopback literal; the app, the scopes and the listener exist."""
    caller = await spotify()
    defaults = {
        "client_id": "songswap",
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "simulated_user": "listener-0001",
    }
    reply = await caller.call("GET", "/authorize", params=defaults | change)
    assert reply.status == status


async def test_wrong_credentials_are_an_invalid_client(spotify: Starter) -> None:
    """Both in the body and as HTTP Basic."""
    caller = await spotify()
    form = {"grant_type": "client_credentials"}
    for basic, status in (("simulated", 200), ("wrong", 400)):
        headers = {"Authorization": encode_basic_auth("songswap", basic)}
        reply = await caller.call("POST", "/api/token", data=form, headers=headers)
        assert reply.status == status
    error = {"error": "invalid_client", "error_description": "Invalid client secret"}
    assert reply.body == error
    reply = await caller.call("POST", "/api/token", data=form, headers={"Authorization": "Basic é"})
    assert reply.body == error | {"error_description": "Invalid client"}
    reply = await caller.token(grant_type="client_credentials", client_secret="wrong")
    assert reply.body["error"] == "invalid_client"


async def test_responses_are_those_of_rfc_6749(spotify: Starter) -> None:
    """Tokens follow section 5.1 and are not cached; errors follow section 5.2.

    For wrong credentials in a header Spotify sends 400, not the RFC's 401: public reports agree.
    """
    caller = await spotify(rotate_refresh_tokens=1)
    code = await caller.code("listener-0001")
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    given = await caller.token(**form)
    renewed = await refresh(caller, given.body["refresh_token"])
    app = await caller.token(grant_type="client_credentials")
    for reply in (given, renewed, app):
        body = reply.body
        assert reply.status == 200
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["Pragma"] == "no-cache"
        with_user = {"refresh_token", "scope"} if reply is not app else set()
        assert set(body) == {"access_token", "token_type", "expires_in"} | with_user
        assert all(re.fullmatch("[\x20-\x7e]+", text) for text in body.values() if text != 3600)
    for wrong, code in (
        (form, "invalid_grant"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "client_id": "x"}, "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "x"}, "invalid_client"),
    ):
        reply = await caller.token(**wrong)
        assert (reply.status, set(reply.body)) == (400, {"error", "error_description"})
        assert reply.body["error"] == code
        assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", reply.body["error_description"])


async def test_configured_share_of_refreshes_rotates(spotify: Starter) -> None:
    """0 is never, 1 always; the same seed rotates the same refreshes."""
    seen = []
    for share in (0, 1, 0.3, 0.3):
        caller = await spotify(rotate_refresh_tokens=share)
        token = (await caller.sign_in("listener-0001"))["refresh_token"]
        rotated = []
        for _ in range(40):
            body = (await refresh(caller, token)).body
            rotated.append("refresh_token" in body)
            token = body.get("refresh_token", token)
        seen.append(rotated)
    assert seen[0] == [False] * 40
    assert seen[1] == [True] * 40
    assert 4 <= sum(seen[2]) <= 24
    assert seen[2] == seen[3]


async def test_rotated_token_stops_working_ten_minutes_later(spotify: Starter) -> None:
    """Until then a second refresh with it gets the generation that the first one got."""
    caller = await spotify(rotate_refresh_tokens=1)
    old = (await caller.sign_in("listener-0001"))["refresh_token"]
    first = (await refresh(caller, old)).body["refresh_token"]
    second = (await refresh(caller, old)).body["refresh_token"]
    assert first != second
    await caller.admin("POST", "clock", {"advance_s": 600})
    reply = await refresh(caller, old)
    assert reply.status == 400
    assert reply.body == {"error": "invalid_grant", "error_description": "Refresh token revoked"}
    assert (await refresh(caller, second)).status == 200
    assert (await refresh(caller, first)).status == 200


async def test_undelivered_rotated_token_is_listed(spotify: Starter) -> None:
    """It is listed until a response with it is sent completely, or a new authorization."""
    caller = await spotify(rotate_refresh_tokens=1)

    async def undelivered() -> Any:
        return await caller.admin("GET", "undelivered")

    for action in ("cut", "truncate"):
        token = (await caller.sign_in("listener-0001"))["refresh_token"]
        assert not await undelivered()
        fault = {"path": "/api/token", "action": action, "times": 1}
        await caller.admin("POST", "faults", fault)
        with suppress(aiohttp.ClientPayloadError, ValueError):
            await refresh(caller, token)
        assert await undelivered() == ["listener-0001"]
        await refresh(caller, token)
        assert not await undelivered()
        await caller.admin("POST", "clock", {"advance_s": 1})


async def test_stranger_responds_like_spotify(spotify: Starter) -> None:
    """Its plays are another user's, and its tokens do not work."""
    caller = await spotify()
    reply = await caller.call("GET", "/stranger/v1/me/player/recently-played")
    assert reply.body["items"]
    tokens = (await caller.call("POST", "/stranger/api/token")).body
    assert (await refresh(caller, tokens["refresh_token"])).body["error"] == "invalid_grant"


async def test_grant_expires_after_six_months(spotify: Starter) -> None:
    """Refreshing does not extend it."""
    caller = await spotify(rotate_refresh_tokens=0)
    token = (await caller.sign_in("listener-0001"))["refresh_token"]
    await caller.admin("POST", "clock", {"advance_s": HALF_A_YEAR - 1})
    assert (await refresh(caller, token)).status == 200
    await caller.admin("POST", "clock", {"advance_s": 1})
    assert (await refresh(caller, token)).body["error_description"] == "Refresh token revoked"


async def test_revoked_listener_can_authorize_again(spotify: Starter) -> None:
    """The old refresh token stays invalid, the new one works."""
    caller = await spotify(rotate_refresh_tokens=0)
    old = (await caller.sign_in("listener-0001"))["refresh_token"]
    await caller.admin("POST", "listeners/listener-0001/revoke")
    assert (await refresh(caller, old)).body["error"] == "invalid_grant"
    new = (await caller.sign_in("listener-0001"))["refresh_token"]
    assert (await refresh(caller, old)).status == 400
    assert (await refresh(caller, new)).status == 200


async def test_tokens_survive_a_restart(spotify: Starter) -> None:
    """Another process of the same seed accepts both kinds, one of another seed neither."""
    tokens = await (await spotify(seed=4)).sign_in("listener-0001")
    again, other = await spotify(seed=4), await spotify(seed=5)
    assert (await again.call("GET", "/v1/me", tokens["access_token"])).status == 200
    assert (await refresh(again, tokens["refresh_token"])).status == 200
    assert (await other.call("GET", "/v1/me", tokens["access_token"])).status == 401
    assert (await refresh(other, tokens["refresh_token"])).status == 400
