"""Each fault does over HTTP what it says, and no play of a changed response counts as returned."""

import asyncio
import json

import aiohttp
import pytest
from integration.simulator.caller import Caller, Starter

FEED = "/v1/me/player/recently-played"


async def any_returned(caller: Caller, user: str = "listener-0001") -> bool:
    """Return whether any play counts as returned or reachable."""
    lines = await caller.ledger(user)
    return any(line["returned"] or line["reachable_when_polled"] for line in lines)


async def test_respond_substitutes_the_response(spotify: Starter) -> None:
    """It sends the fault's status, headers and body; the default body is an error of Spotify."""
    caller = await spotify()
    body = {"error": {"status": 429, "message": "no", "reason": "QUOTA_EXCEEDED"}}
    fault = {"path": FEED, "status": 429, "times": 1, "body": body}
    await caller.admin("POST", "faults", {**fault, "headers": {"Retry-After": "86400"}})
    await caller.admin("POST", "faults", {"path": FEED, "status": 503, "times": 1})
    await caller.admin(
        "POST",
        "faults",
        {"path": FEED, "status": 502, "times": 1, "body": "<html>Bad gateway</html>",
         "headers": {"content-type": "text/html"}},
    )  # fmt: skip
    first, second, third = [await caller.plays("listener-0001") for _ in range(3)]
    assert (first.status, first.body, first.headers["Retry-After"]) == (429, body, "86400")
    assert second.body == {"error": {"status": 503, "message": "Service Unavailable"}}
    assert (third.status, third.raw) == (502, b"<html>Bad gateway</html>")
    assert third.headers.getall("Content-Type") == ["text/html"]
    assert not await any_returned(caller)
    assert (await caller.plays("listener-0001")).status == 200


async def test_delayed_response_is_true(spotify: Starter) -> None:
    """Its plays count as returned; the fault's headers are added."""
    caller = await spotify()
    fault = {"path": FEED, "delay_ms": 1, "headers": {"X-Slow": "yes"}}
    await caller.admin("POST", "faults", fault)
    reply = await caller.plays("listener-0001", limit=50)
    assert (reply.status, reply.headers["X-Slow"]) == (200, "yes")
    assert await any_returned(caller)


async def test_cut_closes_the_connection_within_the_body(spotify: Starter) -> None:
    """The client receives the headers and half of the body."""
    caller = await spotify()
    await caller.admin("POST", "faults", {"path": FEED, "action": "cut"})
    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.plays("listener-0001")
    assert not await any_returned(caller)
    counts = await caller.admin("GET", "calls")
    assert counts["by_endpoint"]["recently-played"] == {"cut": 1}


async def test_refuse_does_nothing_on_the_server(spotify: Starter) -> None:
    """The connection is closed at once, and no token rotates."""
    caller = await spotify(rotate_refresh_tokens=1)
    tokens = await caller.sign_in("listener-0001")
    fault = {"path": "/api/token", "user": "listener-0001", "action": "refuse", "times": 1}
    await caller.admin("POST", "faults", fault)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.token(**form)
    await caller.admin("POST", "clock", {"advance_s": 600})
    assert (await caller.token(**form)).status == 200


@pytest.mark.parametrize(
    ("action", "received"),
    [("cut", aiohttp.ClientPayloadError), ("drop", aiohttp.ServerDisconnectedError)],
)
async def test_lost_token_response_rotates_the_token(
    spotify: Starter, action: str, received: type[aiohttp.ClientError]
) -> None:
    """Ten minutes later the old token is invalid."""
    caller = await spotify(rotate_refresh_tokens=1)
    tokens = await caller.sign_in("listener-0001")
    await caller.admin("POST", "faults", {"path": "/api/token", "action": action, "times": 1})
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    with pytest.raises(received):
        await caller.token(**form)
    await caller.admin("POST", "clock", {"advance_s": 600})
    assert (await caller.token(**form)).body["error"] == "invalid_grant"


async def test_truncated_response_is_complete_http_and_half_json(spotify: Starter) -> None:
    """Status and length are right, but the body is no JSON."""
    caller = await spotify()
    await caller.admin("POST", "faults", {"path": FEED, "action": "truncate"})
    await caller.sign_in("listener-0001")
    token = (await caller.sign_in("listener-0001"))["access_token"]
    async with caller.session.get(
        caller.running.url + FEED, headers={"Authorization": f"Bearer {token}"}
    ) as response:
        raw = await response.read()
    assert response.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw)
    assert not await any_returned(caller)


async def test_mutate_changes_the_true_response(spotify: Starter) -> None:
    """Only the patched paths differ."""
    caller = await spotify()
    truth = (await caller.plays("listener-0002", limit=5)).body
    patch = [
        {"path": "items/0/track/id", "value": None},
        {"path": "items/1/track/album/images/0", "remove": True},
        {"path": "items/99/track", "value": None},
    ]
    fault = {"path": FEED, "action": "mutate", "mutate": {"json_patch": patch}}
    await caller.admin("POST", "faults", fault)
    changed = (await caller.plays("listener-0002", limit=5)).body
    truth["items"][0]["track"]["id"] = None
    del truth["items"][1]["track"]["album"]["images"][0]
    assert changed == truth


async def test_faults_are_listed_and_removed(spotify: Starter) -> None:
    """The list has how often each struck; wrong fields are refused; no fault strikes /admin."""
    caller = await spotify()
    made = await caller.admin("POST", "faults", {"status": 500})
    assert (await caller.call("GET", "/v1/me")).status == 500
    listed = await caller.admin("GET", "faults")
    assert [(fault["id"], fault["struck"]) for fault in listed] == [(made["id"], 1)]
    await caller.admin("DELETE", f"faults/{made['id']}")
    assert (await caller.call("DELETE", f"/admin/faults/{made['id']}")).status == 404
    await caller.admin("POST", "faults", {"status": 500})
    await caller.admin("DELETE", "faults")
    assert await caller.admin("GET", "faults") == []
    for wrong in ({"share": 2}, {"typo": 1}, {"action": "explode"}):
        reply = await caller.call("POST", "/admin/faults", json=wrong)
        assert (reply.status, set(reply.body)) == (400, {"error"})


async def test_response_after_a_client_timeout_does_not_count(spotify: Starter) -> None:
    """The client has closed the connection before it was sent."""
    caller = await spotify()
    await caller.plays("listener-0002")
    token = (await caller.sign_in("listener-0001"))["access_token"]
    await caller.admin("POST", "faults", {"path": FEED, "delay_ms": 300, "times": 1})
    with pytest.raises(TimeoutError):
        await caller.call("GET", FEED, token, timeout=aiohttp.ClientTimeout(total=0.05))
    calls: dict[str, int] = {}
    async with asyncio.timeout(10):
        while calls.get("200") != 2:
            calls = (await caller.admin("GET", "calls"))["by_endpoint"]["recently-played"]
    assert not await any_returned(caller)


async def test_stalled_feed_lacks_newer_plays(spotify: Starter) -> None:
    """Plays of the stall are neither returned nor reachable until it ends."""
    caller = await spotify()
    since = (await caller.admin("GET", "clock"))["now"]
    before = (await caller.plays("listener-0001", limit=50)).body["items"]
    await caller.admin("POST", "faults", {"path": FEED, "action": "stall", "since": since})
    now = (await caller.admin("POST", "clock", {"advance_s": 86_400}))["now"]
    caller.tokens.clear()
    assert (await caller.plays("listener-0001", limit=50)).body["items"] == before
    lines = await caller.ledger("listener-0001")
    later = [line for line in lines if since < line["listed_at"] <= now]
    assert later
    assert not any(line["returned"] or line["reachable_when_polled"] for line in later)
    await caller.admin("DELETE", "faults")
    after = (await caller.plays("listener-0001", limit=50)).body["items"]
    assert after[0]["played_at"] == later[-1]["played_at"]


@pytest.mark.parametrize("every_ms", [0, 1])
async def test_endless_body_begins_with_the_true_one(spotify: Starter, every_ms: int) -> None:
    """Then spaces follow for as long as the client reads."""
    caller = await spotify()
    token = (await caller.sign_in("listener-0001"))["access_token"]
    fault = {"path": FEED, "action": "endless", "every_ms": every_ms}
    await caller.admin("POST", "faults", fault)
    headers = {"Authorization": f"Bearer {token}"}
    body = b""
    async with caller.session.get(caller.running.url + FEED, headers=headers) as response:
        async for part in response.content.iter_any():
            body += part
            if body.endswith(b" " * 9):
                break
        assert response.status == 200
    assert json.loads(body)["items"]
    assert not await any_returned(caller)


async def test_bomb_is_small_until_it_is_unpacked(spotify: Starter) -> None:
    """A body of 4 MB is sent as less than 40 KB."""
    caller = await spotify()
    fault = {"path": FEED, "action": "bomb", "size_mb": 4}
    await caller.admin("POST", "faults", fault)
    reply = await caller.plays("listener-0001")
    assert reply.body["items"]
    assert len(reply.raw) > 4 * 2**20
    assert int(reply.headers["Content-Length"]) < 40_000


async def test_date_offset_changes_only_the_header(spotify: Starter) -> None:
    """The response is true, and the clock is right."""
    caller = await spotify()
    await caller.admin("POST", "faults", {"path": FEED, "date_offset_s": -3600})
    reply = await caller.plays("listener-0001")
    assert reply.headers.getall("Date") == ["Sun, 22 Nov 2026 11:00:00 GMT"]
    assert await any_returned(caller)


async def test_tokens_with_a_suffix_work(spotify: Starter) -> None:
    """Long and odd ones work if they are complete; a shortened one does not."""
    caller = await spotify(rotate_refresh_tokens=1)
    fault = {"path": "/api/token", "access_suffix": "a" * 600, "refresh_suffix": "\x00é" * 300}
    await caller.admin("POST", "faults", fault)
    tokens = await caller.sign_in("listener-0001")
    assert len(tokens["access_token"]) > 600
    assert (await caller.call("GET", "/v1/me", tokens["access_token"])).status == 200
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    reply = await caller.token(**form)
    assert reply.status == 200
    assert reply.body["refresh_token"].endswith("~" + "\x00é" * 300)
    form["refresh_token"] = reply.body["refresh_token"][:-1]
    assert (await caller.token(**form)).body["error"] == "invalid_grant"
