"""The simulator's pages show every value as text, never as HTML or Markdown."""

from html.parser import HTMLParser
from typing import Any

import pytest

from songswap.dev.simulator.clock import parse_iso
from songswap.dev.simulator.discord_page import discord_page
from songswap.dev.simulator.fault import Fault
from songswap.dev.simulator.front_page import front_page
from songswap.dev.simulator.page import HEADERS, accepts_html, document
from songswap.dev.simulator.simulation import Options, Simulation

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' & </title></style>"


class Seen(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page.decode())
        self.close()
        self.text = " ".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Store a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Store a text."""
        self.words.append(data)

    def require_harmless(self) -> None:
        """Assert that nothing runs and nothing is fetched."""
        assert not {tag for tag, _ in self.tags} & {"script", "img", "iframe", "link", "object"}
        for _, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "src"]
            assert not (attributes.get("href") or "").lower().startswith(("javascript", "data"))


def simulation(**options: Any) -> Simulation:
    """Return a simulation with a frozen clock."""
    now = parse_iso("2026-11-22T12:00:00Z")
    return Simulation.of(Options(clock="frozen", now=now, **{"users": 3, **options}))


def message(**more: Any) -> dict[str, Any]:
    """Return a message as the webhook stores it."""
    return {"id": "1", "received_at": "2026-11-22T12:00:00.000Z", **more}


def test_front_page_shows_listeners_calls_faults_and_links() -> None:
    """Each in its own part of the page."""
    sim = simulation()
    sim.calls["recently-played", "listener-0002", "200"] += 41
    sim.calls["recently-played", "listener-0002", "429"] += 2
    sim.faults.add(Fault(path="/v1/*", status=503, share=0.25))
    seen = Seen(front_page(sim, "127.0.0.1:8010"))
    seen.require_harmless()
    for shown in ("listener-0003", "recently-played", "200 × 41, 429 × 2", "43", "2026-11-22"):
        assert shown in seen.text
    assert '{"path":"/v1/*","share":0.25,"status":503}' in seen.text
    assert "http://127.0.0.1:8010/admin/faults" in seen.text
    links = {attributes.get("href") for tag, attributes in seen.tags if tag == "a"}
    assert {"/admin/discord", "/admin/ledger?user=listener-0001"} <= links


def test_front_page_lists_a_hundred_listeners() -> None:
    """It also shows how many more there are."""
    seen = Seen(front_page(simulation(users=1_234), "127.0.0.1"))
    assert "1,134 more" in seen.text
    assert "listener-0101" not in seen.text


def test_front_page_escapes_every_value() -> None:
    """Faults and the request's host name come from outside."""
    sim = simulation()
    sim.faults.add(Fault(path=HOSTILE, status=500, body=HOSTILE, user=HOSTILE))
    sim.calls[HOSTILE, HOSTILE, HOSTILE] += 1
    seen = Seen(front_page(sim, HOSTILE))
    seen.require_harmless()
    assert "<script>" in seen.text


def test_discord_page_shows_the_newest_message_first() -> None:
    """A card has the author, the time, the text, and embeds with title, fields, color, footer."""
    description = "**Spotify** did not answer\nfor [an hour](https://example.com)"
    embed = {
        "title": "load failed",
        "url": "https://airflow.example/dags/load",
        "description": description,
        "color": 0xD7263D,
        "fields": [{"name": "DAG", "value": "load", "inline": True}, {"name": "Log", "value": "x"}],
        "footer": {"text": "SongSwap"},
        "timestamp": "2026-11-22T11:59:00Z",
    }
    page = discord_page([message(content="older"), message(username="SongSwap", embeds=[embed])])
    seen = Seen(page)
    seen.require_harmless()
    assert seen.text.index("load failed") < seen.text.index("older")
    assert "2 messages" in seen.text
    assert description in seen.text, "Markdown stays as it was written"
    for shown in ("SongSwap", "DAG", "2026-11-22T11:59:00Z"):
        assert shown in seen.text
    assert ("div", {"class": "embed", "style": "border-color:#d7263d"}) in seen.tags
    links = [attributes["href"] for tag, attributes in seen.tags if tag == "a"]
    assert links == ["/", "https://airflow.example/dags/load"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", " JavaScript:x", "//["])
def test_only_http_urls_are_links(url: str) -> None:
    """A title with another URL has no link."""
    seen = Seen(discord_page([message(embeds=[{"title": "t", "url": url}])]))
    seen.require_harmless()
    assert [attributes["href"] for tag, attributes in seen.tags if tag == "a"] == ["/"]


def test_discord_page_escapes_every_value() -> None:
    """Each field of a message may contain HTML."""
    embed = {
        "title": HOSTILE,
        "url": f"https://x/{HOSTILE}",
        "description": HOSTILE,
        "fields": [{"name": HOSTILE, "value": HOSTILE}],
        "footer": {"text": HOSTILE},
        "author": {"name": HOSTILE},
        "timestamp": HOSTILE,
        "color": HOSTILE,
    }
    seen = Seen(discord_page([message(content=HOSTILE, username=HOSTILE, embeds=[embed])]))
    seen.require_harmless()
    assert seen.text.count("<script>") == 9


@pytest.mark.parametrize(
    "odd",
    [
        {"username": 5, "content": None, "embeds": [{"url": 7, "title": "t"}]},
        {"content": "x", "embeds": [{"color": "red;}", "timestamp": [], "fields": []}]},
        {"content": "x", "embeds": [{"color": -1, "footer": None, "author": None}]},
        {"content": "x", "embeds": [{"color": True, "footer": {}, "fields": [
            {"name": "n", "value": "v", "inline": "yes"}]}]},
    ],
)  # fmt: skip
def test_fields_of_other_types_are_left_out(odd: dict[str, Any]) -> None:
    """The webhook only checks what Discord limits; every other field can be anything."""
    seen = Seen(discord_page([message(**odd)]))
    seen.require_harmless()
    assert not [attributes for _, attributes in seen.tags if "style" in attributes]


def test_discord_page_without_messages_says_so() -> None:
    """An empty page would look broken."""
    assert "No messages yet" in Seen(discord_page([])).text


def test_policy_forbids_what_pages_do_not_use() -> None:
    """Pages use no scripts, other servers, forms or frames."""
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert Seen(document(HOSTILE, "")).text.count(HOSTILE) == 2


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("text/html,application/xhtml+xml,*/*;q=0.8", True), ("*/*", False), ("", False)],
)
def test_only_browsers_accept_html(accept: str, expected: bool) -> None:
    """Programs accept anything, and get JSON."""
    assert accepts_html(accept) is expected
