"""The admin endpoint, the ledger over HTTP, and the Discord sink."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from songswap.dev.simulator.clock import parse_iso

NOON = "2026-11-22T12:00:00.000Z"


async def test_ledger_knows_what_was_told(spotify: Any) -> None:
    """Before a call nothing; after one with limit 50 every reachable play is told and reached."""
    caller = await spotify()
    for each in await caller.admin("GET", "listeners"):
        user = each["id"]
        assert not any(line["returned"] for line in await caller.ledger(user))
        items = (await caller.plays(user, limit=50)).body["items"]
        lines = await caller.ledger(user)
        told = {line["played_at"]: line["track_id"] for line in lines if line["returned"]}
        assert told == {item["played_at"]: item["track"]["id"] for item in items}
        reachable = {
            line["played_at"]
            for line in lines
            if line["listed_at"] <= NOON and line["reachable_until"] is None
        }
        assert reachable == set(told)
        assert all(line["returned"] == line["reachable_when_polled"] for line in lines)
        assert all(line["played_at"] <= NOON for line in lines)


async def test_small_limit_reaches_more_than_it_tells(spotify: Any) -> None:
    """What a larger limit would have told counts as reachable, not as told."""
    caller = await spotify()
    await caller.plays("listener-0001", limit=1)
    lines = await caller.ledger("listener-0001")
    assert sum(line["returned"] for line in lines) == 1
    assert sum(line["reachable_when_polled"] for line in lines) == min(50, len(lines))


async def test_whole_ledger_is_everybodys(spotify: Any) -> None:
    """Without a user, a line a play of all; an unknown user is 404."""
    caller = await spotify(users=4)
    reply = await caller.call("GET", "/admin/ledger")
    users = [json.loads(line)["user"] for line in reply.raw.splitlines()]
    expected = [len(await caller.ledger(f"listener-000{n}")) for n in range(1, 5)]
    assert [users.count(f"listener-000{n}") for n in range(1, 5)] == expected
    assert (await caller.call("GET", "/admin/ledger?user=nobody")).status == 404


async def test_clock_obeys(spotify: Any) -> None:
    """Set and advanced; never back, never both, never nonsense."""
    caller = await spotify()
    assert await caller.admin("GET", "clock") == {"now": NOON, "frozen": True}
    moved = await caller.admin("POST", "clock", {"set": "2026-11-22T13:00:00Z"})
    assert moved["now"] == "2026-11-22T13:00:00.000Z"
    moved = await caller.admin("POST", "clock", {"advance_s": 1.5})
    assert moved["now"] == "2026-11-22T13:00:01.500Z"
    for order, status in (
        ({"set": NOON}, 409),
        ({"advance_s": -1}, 409),
        ({"set": "soon"}, 400),
        ({}, 400),
        ({"set": NOON, "advance_s": 1}, 400),
        ({"leap": 1}, 400),
    ):
        reply = await caller.call("POST", "/admin/clock", json=order)
        assert (reply.status, set(reply.body)) == (status, {"error"})


async def test_real_clock_refuses_orders(spotify: Any) -> None:
    """It runs by itself."""
    caller = await spotify(clock="real", now=None)
    assert (await caller.call("POST", "/admin/clock", json={"advance_s": 1})).status == 409


async def test_listeners_join(spotify: Any) -> None:
    """New ones have the next numbers, can sign in, and have lived like the others."""
    caller = await spotify(users=2)
    added = await caller.admin("POST", "listeners", {"count": 3})
    assert added == {"added": ["listener-0003", "listener-0004", "listener-0005"]}
    assert (await caller.plays("listener-0005")).status == 200
    born_with_others = await (await spotify(users=5)).ledger("listener-0005")
    assert [line["played_at"] for line in await caller.ledger("listener-0005")] == [
        line["played_at"] for line in born_with_others
    ]
    assert (await caller.call("POST", "/admin/listeners", json={"count": 0})).status == 400


async def test_calls_are_counted(spotify: Any) -> None:
    """By endpoint and status, by user, until forgotten."""
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


async def test_health_tells_who_is_there(spotify: Any) -> None:
    """Seed, clock, mode and the webhook's path, which works."""
    caller = await spotify(users=7, seed=3)
    health = await caller.admin("GET", "health")
    assert (health["seed"], health["listeners"], health["mode"]) == (3, 7, "extended")
    assert caller.running.webhook == caller.running.url + health["webhook"]
    assert (await caller.call("POST", health["webhook"], json={"content": "hello"})).status == 204


async def test_discord_sink_keeps_messages(spotify: Any, tmp_path: Path) -> None:
    """As they came, in order, also in the log; with ?wait=true it answers the message."""
    log = tmp_path / "discord.jsonl"
    caller = await spotify(discord_log=log)
    hook = (await caller.admin("GET", "health"))["webhook"]
    embed = {"title": "Load finished", "description": "25 users", "color": 5}
    assert (await caller.call("POST", hook, json={"embeds": [embed]})).status == 204
    reply = await caller.call("POST", f"{hook}?wait=true", json={"content": "hi"})
    assert (reply.status, reply.body["content"]) == (200, "hi")
    kept = await caller.admin("GET", "discord")
    assert [message.get("content") for message in kept] == [None, "hi"]
    assert kept[0]["embeds"] == [embed]
    assert kept[0]["received_at"] == NOON
    assert [json.loads(line) for line in log.read_text().splitlines()] == kept
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
async def test_discord_refuses_what_is_too_much(spotify: Any, message: Any) -> None:
    """400 with Discord's code, and nothing is kept."""
    caller = await spotify(users=1)
    hook = (await caller.admin("GET", "health"))["webhook"]
    reply = await caller.call("POST", hook, json=message)
    assert reply.status == 400
    assert reply.body["code"] in (50035, 50109)
    assert await caller.admin("GET", "discord") == []


async def test_discord_message_is_read_and_deleted_by_its_id(spotify: Any) -> None:
    """The webhook reads what it sent; deleted, the message is unknown and its id not used again."""
    caller = await spotify(users=1)
    hook = (await caller.admin("GET", "health"))["webhook"]
    sent = (await caller.call("POST", f"{hook}?wait=true", json={"content": "hi"})).body
    where = f"{hook}/messages/{sent['id']}"
    assert (await caller.call("GET", where)).body == sent
    assert (await caller.call("DELETE", where)).status == 204
    reply = await caller.call("GET", where)
    assert (reply.status, reply.body["code"]) == (404, 10008)
    again = (await caller.call("POST", f"{hook}?wait=true", json={"content": "hi"})).body
    assert again["id"] != sent["id"]


async def test_wrong_webhook_is_unknown(spotify: Any) -> None:
    """404 with Discord's code 10015."""
    caller = await spotify(users=1)
    reply = await caller.call("POST", "/discord/webhooks/1/wrong", json={"content": "hi"})
    assert (reply.status, reply.body["code"]) == (404, 10015)
    reply = await caller.call("GET", "/discord/webhooks/1/wrong/messages/1")
    assert (reply.status, reply.body["code"]) == (404, 10015)


async def test_privacy_export_is_told_with_its_truth(spotify: Any) -> None:
    """The zip holds what the ledger has, the truth says which row is which; other wishes fail."""
    caller = await spotify(epoch=parse_iso("2026-10-22T12:00:00Z"))
    user = "listener-0001"
    ledger = await caller.ledger(user)
    listed = {line["played_at"] for line in ledger if line["listed_at"] <= "2026-11-22T12:00:00Z"}
    for kind in ("extended", "endsong", "account", "account-older"):
        path = f"/admin/listeners/{user}/export"
        query = {"kind": kind, "rows_a_file": "100"}
        reply = await caller.call("GET", path, params=query)
        assert reply.headers["Content-Type"] == "application/zip"
        told = await caller.call("GET", f"{path}/truth", params=query)
        truth = [json.loads(line) for line in told.raw.splitlines()]
        assert {line["played_at"] for line in truth} == {*listed, None}
        with zipfile.ZipFile(io.BytesIO(reply.raw)) as archive:
            files = {name: json.loads(archive.read(name)) for name in {t["file"] for t in truth}}
            for line in truth:
                row = files[line["file"]][line["index"]]
                if "spotify_track_uri" in row and line["played_at"]:
                    assert row["spotify_track_uri"] == f"spotify:track:{line['track_id']}"

    for wish in ("kind=everything", "rows_a_file=1", "rows_a_file=many", "since=2020"):
        refused = await caller.call("GET", f"/admin/listeners/{user}/export?{wish}")
        assert refused.status == 400
        assert refused.body["error"]
    assert (await caller.call("GET", "/admin/listeners/nobody/export")).status == 404
    assert (await caller.call("GET", "/admin/listeners/nobody/export/truth")).status == 404
