"""The Web API has Spotify's calls, limits, cursors, nulls, errors and headers."""

import json
from typing import Any

import pytest
from integration.simulator.caller import Caller, Starter

from songswap.dev.simulator.clock import parse_iso

FEED = "/me/player/recently-played"
UNKNOWN = "0000000000000000000000"


async def someone_busy(caller: Caller) -> str:
    """Return the id of a listener with a full feed."""
    for listener in await caller.admin("GET", "listeners"):
        if len((await caller.plays(listener["id"], limit=50)).body["items"]) == 50:
            return str(listener["id"])
    raise AssertionError("no listener has played 50 tracks")


def error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"status": status, "message": message}}


async def test_same_seed_returns_the_same_bytes(spotify: Starter) -> None:
    """Two simulators of one seed, at one time, are equal."""
    first, second = await spotify(seed=9), await spotify(seed=9)
    for path in (FEED + "?limit=50", "/me"):
        a, b = await first.get("listener-0002", path), await second.get("listener-0002", path)
        port_a, port_b = (c.running.url.encode() for c in (first, second))
        assert a.raw.replace(port_a, b"") == b.raw.replace(port_b, b"")


async def test_page_has_spotifys_shape(spotify: Starter) -> None:
    """It has 20 full tracks by default, newest first, cursors as strings, next to the past."""
    caller = await spotify()
    user = await someone_busy(caller)
    reply = await caller.plays(user)
    body = reply.body
    times = [item["played_at"] for item in body["items"]]
    assert set(body) == {"items", "next", "cursors", "limit", "href"}
    assert len(times) == body["limit"] == 20
    assert times == sorted(times, reverse=True)
    assert all(len(time) == len("2026-11-22T12:00:00.000Z") for time in times)
    assert set(body["items"][0]) == {"track", "played_at", "context"}
    track = body["items"][0]["track"]
    assert set(track) == {
        "album", "artists", "available_markets", "disc_number", "duration_ms", "explicit",
        "external_ids", "external_urls", "href", "id", "is_local", "name", "popularity",
        "preview_url", "track_number", "type", "uri",
    }  # fmt: skip
    assert body["next"].endswith(f"?before={body['cursors']['before']}&limit=20")
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Date"] == "Sun, 22 Nov 2026 12:00:00 GMT"


async def test_headers_are_those_of_real_responses(spotify: Starter) -> None:
    """Responses and errors have those of public reports; the accounts service has its own."""
    caller = await spotify(rate_limit=2)
    replies = [await caller.get("listener-0001", path) for path in ("/me", "/tracks/short", "/me")]
    assert [reply.status for reply in replies] == [200, 400, 429]
    for reply in replies:
        assert {
            "Cache-Control": "private, max-age=0",
            "Content-Type": "application/json; charset=utf-8",
            "Date": "Sun, 22 Nov 2026 12:00:00 GMT",
            "Access-Control-Allow-Origin": "*",
            "Strict-Transport-Security": "max-age=31536000",
            "X-Content-Type-Options": "nosniff",
            "X-Robots-Tag": "noindex, nofollow",
            "Server": "envoy",
        }.items() <= dict(reply.headers).items()
    assert "Retry-After" in replies[2].headers["Access-Control-Allow-Headers"]
    assert "X-Robots-Tag" not in (await caller.token(grant_type="client_credentials")).headers


async def test_gzip_is_sent_only_if_accepted(spotify: Starter) -> None:
    """The JSON is the same either way."""
    caller = await spotify()
    user = await someone_busy(caller)
    token = caller.tokens[user]["access_token"]
    plain = await caller.call("GET", f"/v1{FEED}", token, headers={"Accept-Encoding": "identity"})
    packed = await caller.call("GET", f"/v1{FEED}", token, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < len(plain.raw) / 2
    assert packed.body == plain.body


async def test_paging_backwards_ends_after_fifty(spotify: Starter) -> None:
    """Following `before` returns each play once, and nothing past the fiftieth."""
    caller = await spotify()
    user = await someone_busy(caller)
    whole = [item["played_at"] for item in (await caller.plays(user, limit=50)).body["items"]]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 7}
    while (body := (await caller.plays(user, **query)).body)["items"]:
        seen += [item["played_at"] for item in body["items"]]
        query["before"] = body["cursors"]["before"]
    assert seen == whole
    assert (body["next"], body["cursors"], body["limit"]) == (None, None, 7)


async def test_next_is_null_after_the_last_page(spotify: Starter) -> None:
    """Towards the past it is null unless the page is full; with `after` every page has a next.

    Real responses show both: 2 items of 50 with `after`, and 50 items that were all.
    """
    caller = await spotify()
    user = await someone_busy(caller)
    whole = (await caller.plays(user, limit=50)).body
    cursor = whole["items"][-3]["played_at"]
    assert "before=" in whole["next"]
    rest = (await caller.plays(user, limit=50, before=parse_iso(cursor))).body
    assert (len(rest["items"]), rest["next"]) == (2, None)
    assert rest["cursors"]["before"] == whole["cursors"]["before"]
    newer = (await caller.plays(user, limit=50, after=whole["cursors"]["before"])).body
    assert (len(newer["items"]), newer["next"].count("after=")) == (49, 1)
    for query in ({"after": whole["cursors"]["after"]}, {"before": whole["cursors"]["before"]}):
        assert (await caller.plays(user, **query)).body["next"] is None


async def test_pages_are_filtered_after_paging(spotify: Starter) -> None:
    """They keep the cursors and the next of the full page; removed plays are unreachable."""
    caller = await spotify(filtered=0.1)
    whole = await spotify()
    for number in range(1, 9):
        user = f"listener-{number:04d}"
        page = (await whole.plays(user, limit=50)).body
        filtered = (await caller.plays(user, limit=50)).body
        removed = [item for item in page["items"] if item not in filtered["items"]]
        assert [item for item in page["items"] if item not in removed] == filtered["items"]
        assert filtered["cursors"] == page["cursors"]
        assert (filtered["next"] is None) == (page["next"] is None)
        unreachable = {
            line["played_at"]
            for line in await caller.ledger(user)
            if not line["reachable_when_polled"]
        }
        assert {item["played_at"] for item in removed} <= unreachable
        if len(page["items"]) == 50 and removed:
            return
    raise AssertionError("no play was removed from a full page")


async def test_after_and_before_are_exclusive(spotify: Starter) -> None:
    """A play at the cursor itself is not returned again."""
    caller = await spotify()
    user = await someone_busy(caller)
    items = (await caller.plays(user, limit=50)).body["items"]
    cursor = (await caller.plays(user, limit=10)).body["cursors"]["before"]
    after = (await caller.plays(user, limit=50, after=cursor)).body
    before = (await caller.plays(user, limit=50, before=cursor)).body
    assert after["items"] == items[:9]
    assert before["items"] == items[10:]
    assert f"after={after['cursors']['after']}" in after["next"]


async def test_new_plays_appear_as_time_passes(spotify: Starter) -> None:
    """The feed at noon differs from that at midnight, and neither exceeds 50."""
    caller = await spotify()
    user = await someone_busy(caller)
    noon = (await caller.plays(user, limit=50)).body
    await caller.admin("POST", "clock", {"advance_s": 12 * 3600})
    assert (await caller.plays(user)).body == error(401, "The access token expired")
    caller.tokens.clear()
    midnight = (await caller.plays(user, limit=50)).body
    assert midnight["items"] != noon["items"]
    assert len(midnight["items"]) == 50


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": 0}, "Invalid limit"),
        ({"limit": 51}, "Invalid limit"),
        ({"limit": "many"}, "Invalid limit"),
        ({"after": "yesterday"}, "Invalid after"),
        ({"before": "-1"}, "Invalid before"),
        ({"after": 1, "before": 2}, "Only one of after and before may be given"),
    ],
)
async def test_wrong_paging_is_refused(spotify: Starter, query: Any, message: str) -> None:
    """The status is 400, with the reason."""
    caller = await spotify()
    reply = await caller.plays("listener-0001", **query)
    assert (reply.status, reply.body) == (400, error(400, message))


async def test_token_errors_are_spotifys(spotify: Starter) -> None:
    """No token, a foreign one, a refresh token, a wrong scheme, the app's, one without scope."""
    caller = await spotify()
    tokens = await caller.sign_in("listener-0001", scope="")
    app = (await caller.token(grant_type="client_credentials")).body["access_token"]
    expected = [
        (None, 401, "No token provided"),
        ("nonsense", 401, "Invalid access token"),
        (tokens["refresh_token"], 401, "Invalid access token"),
        (app, 401, "Valid user authentication required"),
        (tokens["access_token"], 403, "Insufficient client scope"),
    ]
    for token, status, message in expected:
        reply = await caller.call("GET", f"/v1{FEED}", token)
        assert (reply.status, reply.body) == (status, error(status, message))
        assert ("WWW-Authenticate" in reply.headers) == (status == 401)
    reply = await caller.call("GET", "/v1/me", headers={"Authorization": "Basic x"})
    assert reply.body == error(400, "Only valid bearer authentication supported")


async def test_profile_has_the_email_only_with_its_scope(spotify: Starter) -> None:
    """The scope is user-read-email."""
    caller = await spotify()
    assert (await caller.get("listener-0001", "/me")).body["email"] == "listener-0001@example.com"
    token = (await caller.sign_in("listener-0001", "user-read-private"))["access_token"]
    body = (await caller.call("GET", "/v1/me", token)).body
    assert body["id"] == "listener-0001"
    assert "email" not in body


@pytest.mark.parametrize(
    ("path", "field", "most"),
    [
        ("tracks", "tracks", 50),
        ("artists", "artists", 50),
        ("audio-features", "audio_features", 100),
    ],
)
async def test_batches_keep_order_and_have_null_for_unknown_ids(
    spotify: Starter, path: str, field: str, most: int
) -> None:
    """Batches have limits, and their objects equal those of single calls."""
    caller = await spotify()
    catalogue = caller.running.simulation.world.catalogue
    id_of = catalogue.artist_id if path == "artists" else catalogue.track_id
    ids = [id_of(index) for index in range(most - 1)]
    reply = await caller.get("listener-0001", f"/{path}", ids=",".join([*ids, UNKNOWN]))
    found = reply.body[field]
    assert found[-1] is None
    for ident, item in zip(ids, found, strict=False):
        assert item is None or item["id"] == ident
    assert sum(item is not None for item in found) >= most * 0.9
    single = await caller.get("listener-0001", f"/{path}/{found[0]['id']}")
    assert single.body == found[0]

    too_many = ",".join([*ids, UNKNOWN, UNKNOWN])
    for query, message in ((too_many, "Too many ids requested"), ("", "invalid id")):
        reply = await caller.get("listener-0001", f"/{path}", ids=query)
        assert (reply.status, reply.body) == (400, error(400, message))
    missing = "analysis not found" if path == "audio-features" else "Resource not found"
    reply = await caller.get("listener-0001", f"/{path}/{UNKNOWN}")
    assert (reply.status, reply.body) == (404, error(404, missing))
    reply = await caller.get("listener-0001", f"/{path}/short")
    assert (reply.status, reply.body) == (400, error(400, "invalid id"))


async def test_app_token_reads_metadata(spotify: Starter) -> None:
    """A track needs no user."""
    caller = await spotify()
    token = (await caller.token(grant_type="client_credentials")).body["access_token"]
    ident = caller.running.simulation.world.catalogue.track_id(0)
    assert (await caller.call("GET", f"/v1/tracks/{ident}", token)).body["id"] == ident


async def test_rate_limit_returns_429_with_the_seconds_to_wait(spotify: Starter) -> None:
    """Calls pass again after that many seconds, and not before."""
    caller = await spotify(rate_limit=3)
    replies = [await caller.get("listener-0001", "/me") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert replies[3].body == error(429, "API rate limit exceeded")
    assert replies[3].headers["Retry-After"] == "30"
    await caller.admin("POST", "clock", {"advance_s": 29.5})
    reply = await caller.get("listener-0001", "/me")
    assert (reply.status, reply.headers["Retry-After"]) == (429, "1")
    await caller.admin("POST", "clock", {"advance_s": 0.5})
    assert (await caller.get("listener-0001", "/me")).status == 200


async def test_quota_returns_429_with_its_reason(spotify: Starter) -> None:
    """Calls pass again a day after the first of those that used it up."""
    caller = await spotify(quota=2)
    replies = [await caller.get("listener-0001", "/me") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    reason = {"status": 429, "message": "Too many requests", "reason": "QUOTA_EXCEEDED"}
    assert replies[2].body == {"error": reason}
    assert replies[2].headers["Retry-After"] == "86400"
    await caller.admin("POST", "clock", {"advance_s": 86_400})
    caller.tokens.clear()
    assert (await caller.get("listener-0001", "/me")).status == 200
    await caller.admin("POST", "quota", {"requests": 1})
    replies = [await caller.get("listener-0001", "/me") for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]


async def test_development_mode_has_fewer_calls_fields_and_users(spotify: Starter) -> None:
    """It has no batches, no features, no popularity or markets, and only five users."""
    caller = await spotify(mode="development")
    catalogue = caller.running.simulation.world.catalogue
    track, artist = catalogue.track_id(3), catalogue.artist_id(3)
    for path in (f"/tracks?ids={track}", f"/artists?ids={artist}"):
        assert (await caller.get("listener-0001", path)).body == error(403, "Forbidden")
    for path in (f"/audio-features?ids={track}", f"/audio-features/{track}"):
        assert (await caller.get("listener-0001", path)).body == {"error": {"status": 403}}
    single = (await caller.get("listener-0001", f"/tracks/{track}")).body
    assert not {"popularity", "available_markets", "linked_from"} & set(single)
    assert "available_markets" not in single["album"]
    single = (await caller.get("listener-0001", f"/artists/{artist}")).body
    assert not {"popularity", "followers"} & set(single)
    played = [await caller.plays(f"listener-000{n}") for n in range(1, 9)]
    assert [reply.status for reply in played] == [200] * 5 + [403] * 3
    assert played[5].raw == b"User not registered in the Developer Dashboard"
    assert played[5].headers["Content-Type"].startswith("text/plain")
    assert all("popularity" not in i["track"] for i in played[0].body["items"])
    await caller.admin("POST", "mode", {"mode": "extended"})
    assert (await caller.plays("listener-0008")).status == 200


async def test_reccobeats_returns_known_tracks_by_href(spotify: Starter) -> None:
    """They are reordered, with ids of its own and without time_signature; 40 ids at most."""
    caller = await spotify()
    catalogue = caller.running.simulation.world.catalogue
    ids = [catalogue.track_id(index) for index in range(40)]
    path = "/reccobeats/v1/audio-features"
    content = (await caller.call("GET", path, params={"ids": ",".join(ids)})).body["content"]
    found = [track["href"].removeprefix("https://open.spotify.com/track/") for track in content]
    assert set(found) < set(ids)
    assert len(found) >= 30
    assert found != [ident for ident in ids if ident in found]
    features = catalogue.features(ids.index(found[0]))
    assert features is not None
    assert content[0]["tempo"] == features["tempo"]
    assert "time_signature" not in content[0]
    assert content[0]["id"] != found[0]
    reply = await caller.call("GET", path, params={"ids": ",".join([*ids, ids[0]])})
    assert reply.status == 400


async def test_unknown_path_is_404(spotify: Starter) -> None:
    """The error is Spotify's."""
    reply = await (await spotify()).call("GET", "/v1/nothing")
    assert (reply.status, reply.body) == (404, error(404, "Service not found"))
    assert json.loads(reply.raw) == reply.body
