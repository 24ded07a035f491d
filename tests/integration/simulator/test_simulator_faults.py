"""Faults over the wire: each action does what it says, and the ledger does not count it as told."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

FEED = "/v1/me/player/recently-played"


async def told(caller: Any, user: str = "listener-0001") -> bool:
    """Whether any play counts as told or reached."""
    lines = await caller.ledger(user)
    return any(line["returned"] or line["reachable_when_polled"] for line in lines)


async def test_respond_answers_instead(spotify: Any) -> None:
    """Status, headers and body as ordered; the default body has Spotify's style."""
    caller = await spotify()
    body = {"error": {"status": 429, "message": "no", "reason": "QUOTA_EXCEEDED"}}
    order = {"path": FEED, "status": 429, "times": 1, "body": body}
    await caller.admin("POST", "faults", {**order, "headers": {"Retry-After": "86400"}})
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
    assert not await told(caller)
    assert (await caller.plays("listener-0001")).status == 200


async def test_delay_only_is_still_the_truth(spotify: Any) -> None:
    """A late full answer is told; headers of the fault are added."""
    caller = await spotify()
    order = {"path": FEED, "delay_ms": 1, "headers": {"X-Slow": "yes"}}
    await caller.admin("POST", "faults", order)
    reply = await caller.plays("listener-0001", limit=50)
    assert (reply.status, reply.headers["X-Slow"]) == (200, "yes")
    assert await told(caller)


async def test_cut_breaks_off_in_the_body(spotify: Any) -> None:
    """The headers come, half of the body, then the end."""
    caller = await spotify()
    await caller.admin("POST", "faults", {"path": FEED, "action": "cut"})
    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.plays("listener-0001")
    assert not await told(caller)
    counts = await caller.admin("GET", "calls")
    assert counts["by_endpoint"]["recently-played"] == {"cut": 1}


async def test_refuse_closes_at_once(spotify: Any) -> None:
    """No answer at all, and nothing has happened on the server."""
    caller = await spotify(rotate_refresh_tokens=1)
    tokens = await caller.sign_in("listener-0001")
    order = {"path": "/api/token", "user": "listener-0001", "action": "refuse", "times": 1}
    await caller.admin("POST", "faults", order)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.token(**form)
    await caller.admin("POST", "clock", {"advance_s": 600})
    assert (await caller.token(**form)).status == 200


async def test_cut_token_answer_rotates_though_nobody_learns(spotify: Any) -> None:
    """The server has done its work: ten minutes later the old token is dead."""
    caller = await spotify(rotate_refresh_tokens=1)
    tokens = await caller.sign_in("listener-0001")
    await caller.admin("POST", "faults", {"path": "/api/token", "action": "cut", "times": 1})
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.token(**form)
    await caller.admin("POST", "clock", {"advance_s": 600})
    assert (await caller.token(**form)).body["error"] == "invalid_grant"


async def test_truncated_answer_is_whole_http_and_half_json(spotify: Any) -> None:
    """Status 200 and a right length, but no JSON."""
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
    assert not await told(caller)


async def test_mutate_changes_the_true_answer(spotify: Any) -> None:
    """Only what was ordered differs."""
    caller = await spotify()
    truth = (await caller.plays("listener-0002", limit=5)).body
    patch = [
        {"path": "items/0/track/id", "value": None},
        {"path": "items/1/track/album/images/0", "remove": True},
        {"path": "items/99/track", "value": None},
    ]
    order = {"path": FEED, "action": "mutate", "mutate": {"json_patch": patch}}
    await caller.admin("POST", "faults", order)
    changed = (await caller.plays("listener-0002", limit=5)).body
    truth["items"][0]["track"]["id"] = None
    del truth["items"][1]["track"]["album"]["images"][0]
    assert changed == truth


async def test_faults_are_listed_and_ended(spotify: Any) -> None:
    """With how often each struck; an unknown or senseless one is refused; admin is never struck."""
    caller = await spotify()
    made = await caller.admin("POST", "faults", {"status": 500})
    assert (await caller.call("GET", "/v1/me")).status == 500
    listed = await caller.admin("GET", "faults")
    assert [(each["id"], each["struck"]) for each in listed] == [(made["id"], 1)]
    await caller.admin("DELETE", f"faults/{made['id']}")
    assert (await caller.call("DELETE", f"/admin/faults/{made['id']}")).status == 404
    await caller.admin("POST", "faults", {"status": 500})
    await caller.admin("DELETE", "faults")
    assert await caller.admin("GET", "faults") == []
    for order in ({"share": 2}, {"typo": 1}, {"action": "explode"}):
        reply = await caller.call("POST", "/admin/faults", json=order)
        assert (reply.status, set(reply.body)) == (400, {"error"})


async def test_caller_who_left_was_told_nothing(spotify: Any) -> None:
    """An answer that comes after the caller has hung up does not count."""
    caller = await spotify()
    await caller.plays("listener-0002")
    token = (await caller.sign_in("listener-0001"))["access_token"]
    await caller.admin("POST", "faults", {"path": FEED, "delay_ms": 300, "times": 1})
    with pytest.raises(TimeoutError):
        await caller.call("GET", FEED, token, timeout=aiohttp.ClientTimeout(total=0.05))
    counted: dict[str, int] = {}
    async with asyncio.timeout(10):
        while counted.get("200") != 2:
            counted = (await caller.admin("GET", "calls"))["by_endpoint"]["recently-played"]
    assert not await told(caller)


async def test_stalled_feed_stands_still_and_then_fills(spotify: Any) -> None:
    """A day's plays are missing and count as unreachable while it stalls, and come afterwards."""
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


async def test_dropped_token_answer_rotates_though_nobody_learns(spotify: Any) -> None:
    """No answer at all, and the server has done its work."""
    caller = await spotify(rotate_refresh_tokens=1)
    tokens = await caller.sign_in("listener-0001")
    await caller.admin("POST", "faults", {"path": "/api/token", "action": "drop", "times": 1})
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.token(**form)
    await caller.admin("POST", "clock", {"advance_s": 600})
    assert (await caller.token(**form)).body["error"] == "invalid_grant"


@pytest.mark.parametrize("every_ms", [0, 1])
async def test_endless_body(spotify: Any, every_ms: int) -> None:
    """The true body comes first, then spaces for as long as somebody reads."""
    caller = await spotify()
    token = (await caller.sign_in("listener-0001"))["access_token"]
    order = {"path": FEED, "action": "endless", "every_ms": every_ms}
    await caller.admin("POST", "faults", order)
    headers = {"Authorization": f"Bearer {token}"}
    body = b""
    async with caller.session.get(caller.running.url + FEED, headers=headers) as response:
        async for part in response.content.iter_any():
            body += part
            if body.endswith(b" " * 9):
                break
        assert response.status == 200
    assert json.loads(body)["items"]
    assert not await told(caller)


async def test_bomb_is_small_until_it_is_unpacked(spotify: Any) -> None:
    """A true answer of some MB comes as some KB."""
    caller = await spotify()
    order = {"path": FEED, "action": "bomb", "size_mb": 4}
    await caller.admin("POST", "faults", order)
    reply = await caller.plays("listener-0001")
    assert reply.body["items"]
    assert len(reply.raw) > 4 * 2**20
    assert int(reply.headers["Content-Length"]) < 40_000


async def test_date_that_differs(spotify: Any) -> None:
    """The header alone: the answer is told, and the clock goes right."""
    caller = await spotify()
    await caller.admin("POST", "faults", {"path": FEED, "date_offset_s": -3600})
    reply = await caller.plays("listener-0001")
    assert reply.headers.getall("Date") == ["Sun, 22 Nov 2026 11:00:00 GMT"]
    assert await told(caller)


async def test_long_and_odd_tokens_are_good(spotify: Any) -> None:
    """A suffix lengthens the tokens that are given; both go on to work, if they are whole."""
    caller = await spotify(rotate_refresh_tokens=1)
    order = {"path": "/api/token", "access_suffix": "a" * 600, "refresh_suffix": "\x00é" * 300}
    await caller.admin("POST", "faults", order)
    tokens = await caller.sign_in("listener-0001")
    assert len(tokens["access_token"]) > 600
    assert (await caller.call("GET", "/v1/me", tokens["access_token"])).status == 200
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    reply = await caller.token(**form)
    assert reply.status == 200
    assert reply.body["refresh_token"].endswith("~" + "\x00é" * 300)
    form["refresh_token"] = reply.body["refresh_token"][:-1]
    assert (await caller.token(**form)).body["error"] == "invalid_grant"
