"""The user and programs are let in, pages of other sites are not; own pages work in a browser."""

import html
import re
from pathlib import Path

import pytest
from integration.simulator.caller import Starter
from yarl import URL

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FOREIGN = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
VISIT = {
    "Accept": BROWSER,
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


async def test_page_of_another_site_sets_no_fault(spotify: Starter) -> None:
    """It gets 403 with a sentence, for simple requests as for preflights."""
    caller = await spotify(users=1)
    fault = '{"status": 503}'
    plain = {**FOREIGN, "Content-Type": "text/plain"}
    for method, path in (
        ("POST", "/admin/faults"),
        ("DELETE", "/admin/faults"),
        ("OPTIONS", "/admin/faults"),
        ("POST", "/admin/clock"),
        ("POST", "/admin/listeners/listener-0001/revoke"),
        ("GET", "/admin/listeners"),
        ("POST", caller.running.webhook.removeprefix(caller.running.url)),
        ("POST", "/api/token"),
        ("GET", "/"),
    ):
        reply = await caller.call(method, path, headers=plain, data=fault)
        assert reply.status == 403, (method, path)
        assert "a page of another site" in reply.body["error"]
        assert "Access-Control-Allow-Origin" not in reply.headers
    assert await caller.admin("GET", "faults") == []
    assert await caller.admin("GET", "discord") == []
    assert (await caller.admin("GET", "calls"))["total"] == 0


async def test_dns_rebinding_is_refused(spotify: Starter) -> None:
    """The page and the request have one origin then, but the host name is not this server's."""
    caller = await spotify(users=1)
    same = {"Host": "evil.example", "Origin": "http://evil.example"}
    for headers in ({**same, "Sec-Fetch-Site": "same-origin"}, {"Host": "evil.example:8010"}):
        for method, path in (
            ("POST", "/admin/faults"),
            ("GET", "/admin/ledger"),
            ("GET", "/v1/me"),
        ):
            reply = await caller.call(method, path, headers=headers, json={"status": 503})
            assert reply.status == 403
            assert "evil.example" in reply.body["error"]
    assert await caller.admin("GET", "faults") == []


async def test_configured_host_name_is_accepted(spotify: Starter) -> None:
    """A network may give the server a name; no other is accepted."""
    caller = await spotify(users=1, allowed_hosts=("demo-simulator",))
    for host, status in (("demo-simulator:8010", 200), ("localhost:1", 200), ("demo-s3", 403)):
        reply = await caller.call("GET", "/admin/health", headers={"Host": host})
        assert reply.status == status


async def test_own_pages_and_programs_are_let_in(spotify: Starter) -> None:
    """Programs send no header of a browser, own pages those of the same origin."""
    caller = await spotify(users=1)
    own = {"Origin": caller.running.url, "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, own):
        fault = {"status": 503}
        reply = await caller.call("POST", "/admin/faults", headers=headers, json=fault)
        assert reply.status == 200


async def test_consent_is_reached_from_other_pages(spotify: Starter) -> None:
    """A web app sends its user to the consent page, which redirects back with a code."""
    caller = await spotify(users=2)
    query = {
        "client_id": "songswap",
        "response_type": "code",
        "redirect_uri": "https://app.example/callback",
    }
    page = await caller.call("GET", "/authorize", params=query, headers=VISIT)
    assert page.status == 200
    assert b"simulated_user=listener-0002" in page.raw
    consent = {**query, "simulated_user": "listener-0002"}
    reply = await caller.call("GET", "/authorize", params=consent, headers=VISIT)
    assert reply.status == 302
    assert reply.headers["Location"].startswith("https://app.example/callback?code=")
    framed = {**VISIT, "Sec-Fetch-Dest": "iframe"}
    assert (await caller.call("GET", "/authorize", params=query, headers=framed)).status == 403


async def test_web_api_is_open_to_pages_with_a_token(spotify: Starter) -> None:
    """Spotify's is too."""
    caller = await spotify(users=1)
    token = (await caller.sign_in("listener-0001"))["access_token"]
    reply = await caller.call("GET", "/v1/me", token, headers=FOREIGN)
    assert reply.status == 200
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/", "/admin/discord"])
async def test_browsers_get_pages(spotify: Starter, path: str) -> None:
    """They are HTML when visited from any site; no fault strikes them, and no call is counted."""
    caller = await spotify(users=3)
    await caller.admin("POST", "faults", {"status": 503})
    reply = await caller.call("GET", path, headers=VISIT)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert (await caller.admin("GET", "calls"))["total"] == 0


async def test_discord_page_shows_the_messages(spotify: Starter) -> None:
    """A browser gets a page, a program JSON."""
    caller = await spotify(users=1)
    hook = (await caller.admin("GET", "health"))["webhook"]
    await caller.call("POST", hook, json={"embeds": [{"title": "<b>load</b> failed"}]})
    reply = await caller.call("GET", "/admin/discord", headers={"Accept": BROWSER})
    assert b"&lt;b&gt;load&lt;/b&gt; failed" in reply.raw
    assert (await caller.admin("GET", "discord"))[0]["embeds"][0]["title"] == "<b>load</b> failed"


async def test_every_link_of_the_front_page_opens(spotify: Starter, tmp_path: Path) -> None:
    """So does that of a recorded listener whose name has special characters of URLs and HTML."""
    (tmp_path / "feed.json").write_text('{"items": []}')
    name = "a&b=<i>?#/ é"
    caller = await spotify(users=2, recorded=((name, tmp_path / "feed.json"),))
    page = await caller.call("GET", "/", headers={"Accept": BROWSER})
    assert html.escape(name).encode() in page.raw
    links = {html.unescape(link) for link in re.findall(r'href="([^"]*)"', page.raw.decode())}
    assert len(links) == 6 + 2 * 2 + 1
    for link in links:
        url = URL(caller.running.url + link, encoded=True)
        async with caller.session.get(url, headers={"Accept": BROWSER}) as response:
            assert response.status == 200, link
