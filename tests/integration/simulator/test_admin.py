"""The admin endpoints, the ledger over HTTP, and the Discord webhook."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from integration.simulator.caller import Starter

from songswap.dev.simulator.clock import parse_iso

NOON = "2026-11-22T12:00:00.000Z"


async def test_ledger_marks_returned_plays(spotify: Starter) -> None:
    """Before a poll none; after one with limit 50 every reachable play is returned."""
    caller = await spotify()
    for listener in await caller.admin("GET", "listeners"):
        user = listener["id"]
        assert not any(line["returned"] for line in await caller.ledger(user))
        items = (await caller.plays(user, limit=50)).body["items"]
        lines = await caller.ledger(user)
        returned = {line["played_at"]: line["track_id"] for line in lines if line["returned"]}
        assert returned == {item["played_at"]: item["track"]["id"] for item in items}
        reachable = {
            line["played_at"]
            for line in lines
            if line["listed_at"] <= NOON and line["reachable_until"] is None
        }
        assert reachable == set(returned)
        assert all(line["returned"] == line["reachable_when_polled"] for line in lines)
        assert all(line["played_at"] <= NOON for line in lines)


async def test_plays_beyond_a_small_limit_are_reachable(spotify: Starter) -> None:
    """A larger limit would have returned them."""
    caller = await spotify()
    await caller.plays("listener-0001", limit=1)
    lines = await caller.ledger("listener-0001")
    assert sum(line["returned"] for line in lines) == 1
    assert sum(line["reachable_when_polled"] for line in lines) == min(50, len(lines))


async def test_polls_have_the_longest_time_between_two(spotify: Starter) -> None:
    """A response that did not come is none."""
    caller = await spotify()
    await caller.plays("listener-0001")
    await caller.admin("POST", "clock", {"advance_s": 600})
    await caller.plays("listener-0001")
    polls = await caller.admin("GET", "polls")
    assert polls == {"listener-0001": {"last": "2026-11-22T12:10:00.000Z", "longest_s": 600}}
    await caller.admin("POST", "clock", {"advance_s": 500})
    await caller.admin("POST", "faults", {"status": 503, "times": 1})
    await caller.plays("listener-0001")
    assert await caller.admin("GET", "polls") == polls
    await caller.admin("POST", "clock", {"advance_s": 500})
    await caller.plays("listener-0001")
    assert (await caller.admin("GET", "polls"))["listener-0001"]["longest_s"] == 1000


async def test_ledger_without_a_user_has_all_listeners(spotify: Starter) -> None:
    """There is a line for each play of each; an unknown user is 404."""
    caller = await spotify(users=4)
    reply = await caller.call("GET", "/admin/ledger")
    users = [json.loads(line)["user"] for line in reply.raw.splitlines()]
    expected = [len(await caller.ledger(f"listener-000{n}")) for n in range(1, 5)]
    assert [users.count(f"listener-000{n}") for n in range(1, 5)] == expected
    assert (await caller.call("GET", "/admin/ledger?user=nobody")).status == 404


async def test_frozen_clock_is_set_and_advanced(spotify: Starter) -> None:
    """It never goes back, and refuses contradictory or unknown fields."""
    caller = await spotify()
    assert await caller.admin("GET", "clock") == {"now": NOON, "frozen": True}
    moved = await caller.admin("POST", "clock", {"set": "2026-11-22T13:00:00Z"})
    assert moved["now"] == "2026-11-22T13:00:00.000Z"
    moved = await caller.admin("POST", "clock", {"advance_s": 1.5})
    assert moved["now"] == "2026-11-22T13:00:01.500Z"
    for change, status in (
        ({"set": NOON}, 409),
        ({"advance_s": -1}, 409),
        ({"set": "soon"}, 400),
        ({}, 400),
        ({"set": NOON, "advance_s": 1}, 400),
        ({"leap": 1}, 400),
    ):
        reply = await caller.call("POST", "/admin/clock", json=change)
        assert (reply.status, set(reply.body)) == (status, {"error"})


async def test_real_clock_cannot_be_advanced(spotify: Starter) -> None:
    """The status is 409."""
    caller = await spotify(clock="real", now=None)
    assert (await caller.call("POST", "/admin/clock", json={"advance_s": 1})).status == 409


async def test_added_listeners_have_plays_since_the_epoch(spotify: Starter) -> None:
    """They have the next numbers, can sign in, and equal listeners of the start."""
    caller = await spotify(users=2)
    added = await caller.admin("POST", "listeners", {"count": 3})
    assert added == {"added": ["listener-0003", "listener-0004", "listener-0005"]}
    assert (await caller.plays("listener-0005")).status == 200
    of_the_start = await (await spotify(users=5)).ledger("listener-0005")
    assert [line["played_at"] for line in await caller.ledger("listener-0005")] == [
        line["played_at"] for line in of_the_start
    ]
    assert (await caller.call("POST", "/admin/listeners", json={"count": 0})).status == 400


async def test_calls_are_counted(spotify: Starter) -> None:
    """They are counted by endpoint and status and by user, until a DELETE."""
    caller = await spotify()
    await caller.plays("listener-0001")
    await caller.plays("listener-0001", limit=0)
    counts = await caller.admin("GET", "calls")
    assert counts["by_endpoint"]["recently-played"] == {"200": 1, "400": 1}
    assert counts["by_endpoint"]["token"] == {"200": 1}
    assert counts["by_user"]["listener-0001"]["recently-played"] == 2
    assert counts["total"] == 4
    await caller.admin("DELETE", "calls")
    assert (await caller.admin("GET", "calls"))["total"] == 0


async def test_health_describes_the_simulator(spotify: Starter) -> None:
    """It has the seed, the mode, the number of listeners, and a webhook path that works."""
    caller = await spotify(users=7, seed=3)
    health = await caller.admin("GET", "health")
    assert (health["seed"], health["listeners"], health["mode"]) == (3, 7, "extended")
    assert caller.running.webhook == caller.running.url + health["webhook"]
    assert (await caller.call("POST", health["webhook"], json={"content": "hello"})).status == 204


async def test_discord_messages_are_stored(spotify: Starter, tmp_path: Path) -> None:
    """They are stored unchanged and in order, and logged; ?wait=true returns the message."""
    log = tmp_path / "discord.jsonl"
    caller = await spotify(discord_log=log)
    hook = (await caller.admin("GET", "health"))["webhook"]
    embed = {"title": "Load finished", "description": "25 users", "color": 5}
    assert (await caller.call("POST", hook, json={"embeds": [embed]})).status == 204
    reply = await caller.call("POST", f"{hook}?wait=true", json={"content": "hi"})
    assert (reply.status, reply.body["content"]) == (200, "hi")
    stored = await caller.admin("GET", "discord")
    assert [message.get("content") for message in stored] == [None, "hi"]
    assert stored[0]["embeds"] == [embed]
    assert stored[0]["received_at"] == NOON
    assert [json.loads(line) for line in log.read_text().splitlines()] == stored
    await caller.admin("DELETE", "discord")
    assert await caller.admin("GET", "discord") == []


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"content": "x" * 2001},
        {"embeds": [{"title": "t"}] * 11},
        {"embeds": [{"title": "x" * 257}]},
        {"embeds": [{"description": "x" * 4097}]},
        {"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]},
        {"embeds": [{"fields": [{"name": "n", "value": "x" * 1025}]}]},
        {"embeds": [{"footer": {"text": "x" * 2049}}]},
        {"embeds": [{"description": "x" * 3001}] * 2},
        {"content": 5},
    ],
)
async def test_discord_limits_are_enforced(spotify: Starter, message: Any) -> None:
    """The status is 400 with Discord's code, and nothing is stored."""
    caller = await spotify(users=1)
    hook = (await caller.admin("GET", "health"))["webhook"]
    reply = await caller.call("POST", hook, json=message)
    assert reply.status == 400
    assert reply.body["code"] in (50035, 50109)
    assert await caller.admin("GET", "discord") == []


async def test_discord_message_is_read_and_deleted_by_its_id(spotify: Starter) -> None:
    """A deleted message is unknown, and its id is not used again."""
    caller = await spotify(users=1)
    hook = (await caller.admin("GET", "health"))["webhook"]
    sent = (await caller.call("POST", f"{hook}?wait=true", json={"content": "hi"})).body
    path = f"{hook}/messages/{sent['id']}"
    assert (await caller.call("GET", path)).body == sent
    assert (await caller.call("DELETE", path)).status == 204
    reply = await caller.call("GET", path)
    assert (reply.status, reply.body["code"]) == (404, 10008)
    again = (await caller.call("POST", f"{hook}?wait=true", json={"content": "hi"})).body
    assert again["id"] != sent["id"]


async def test_wrong_webhook_is_unknown(spotify: Starter) -> None:
    """The status is 404 with Discord's code 10015."""
    caller = await spotify(users=1)
    reply = await caller.call("POST", "/discord/webhooks/1/wrong", json={"content": "hi"})
    assert (reply.status, reply.body["code"]) == (404, 10015)
    reply = await caller.call("GET", "/discord/webhooks/1/wrong/messages/1")
    assert (reply.status, reply.body["code"]) == (404, 10015)


async def test_privacy_export_agrees_with_its_truth_and_the_ledger(spotify: Starter) -> None:
    """Each listed play has a row, and the truth says which; wrong parameters are refused."""
    caller = await spotify(epoch=parse_iso("2026-10-22T12:00:00Z"))
    user = "listener-0001"
    ledger = await caller.ledger(user)
    listed = {line["played_at"] for line in ledger if line["listed_at"] <= "2026-11-22T12:00:00Z"}
    for kind in ("extended", "endsong", "account", "account-older"):
        path = f"/admin/listeners/{user}/export"
        query = {"kind": kind, "rows_a_file": "100"}
        reply = await caller.call("GET", path, params=query)
        assert reply.headers["Content-Type"] == "application/zip"
        lines = (await caller.call("GET", f"{path}/truth", params=query)).raw.splitlines()
        truth = [json.loads(line) for line in lines]
        assert {line["played_at"] for line in truth} == {*listed, None}
        with zipfile.ZipFile(io.BytesIO(reply.raw)) as archive:
            files = {name: json.loads(archive.read(name)) for name in {t["file"] for t in truth}}
            for line in truth:
                row = files[line["file"]][line["index"]]
                if "spotify_track_uri" in row and line["played_at"]:
                    assert row["spotify_track_uri"] == f"spotify:track:{line['track_id']}"

    for wrong in ("kind=everything", "rows_a_file=1", "rows_a_file=many", "since=2020"):
        refused = await caller.call("GET", f"/admin/listeners/{user}/export?{wrong}")
        assert refused.status == 400
        assert refused.body["error"]
    assert (await caller.call("GET", "/admin/listeners/nobody/export")).status == 404
    assert (await caller.call("GET", "/admin/listeners/nobody/export/truth")).status == 404
