"""The simulator's pages: everything is shown, and nothing of it is read as HTML or Markdown."""

from html.parser import HTMLParser
from typing import Any

import pytest

from songswap.dev.simulator.clock import parse_iso
from songswap.dev.simulator.discord_page import discord_page
from songswap.dev.simulator.fault import Fault
from songswap.dev.simulator.front_page import front_page
from songswap.dev.simulator.page import HEADERS, document, is_wanted
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
        """Keeps a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keeps a text."""
        self.words.append(data)

    def require_harmless(self) -> None:
        """Nothing runs and nothing is fetched."""
        assert not {tag for tag, _ in self.tags} & {"script", "img", "iframe", "link", "object"}
        for _, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "src"]
            assert not (attributes.get("href") or "").lower().startswith(("javascript", "data"))


def simulation(**options: Any) -> Simulation:
    """A simulation whose time stands still."""
    now = parse_iso("2026-11-22T12:00:00Z")
    return Simulation.of(Options(clock="frozen", now=now, **{"users": 3, **options}))


def message(**more: Any) -> dict[str, Any]:
    """What the sink keeps of a message."""
    return {"id": "1", "received_at": "2026-11-22T12:00:00.000Z", **more}


def test_front_page_shows_listeners_calls_faults_and_links() -> None:
    """All that the task of a look is: who is there, what was called, what goes wrong."""
    sim = simulation()
    sim.calls["recently-played", "listener-0002", "200"] += 41
    sim.calls["recently-played", "listener-0002", "429"] += 2
    sim.faults.add(Fault(path="/v1/*", status=503, share=0.25))
    seen = Seen(front_page(sim, "127.0.0.1:8010"))
    seen.require_harmless()
    for told in ("listener-0003", "recently-played", "200 × 41, 429 × 2", "43", "2026-11-22"):
        assert told in seen.text
    assert '{"path":"/v1/*","share":0.25,"status":503}' in seen.text
    assert "http://127.0.0.1:8010/admin/faults" in seen.text
    links = {attributes.get("href") for tag, attributes in seen.tags if tag == "a"}
    assert {"/admin/discord", "/admin/ledger?user=listener-0001"} <= links


def test_front_page_names_a_part_of_many_listeners() -> None:
    """A hundred, and how many there are besides."""
    seen = Seen(front_page(simulation(users=1_234), "127.0.0.1"))
    assert "1,134 more" in seen.text
    assert "listener-0101" not in seen.text


def test_what_stands_on_the_front_page_is_text() -> None:
    """Orders of faults and the name it was asked for with come from outside."""
    sim = simulation()
    sim.faults.add(Fault(path=HOSTILE, status=500, body=HOSTILE, user=HOSTILE))
    sim.calls[HOSTILE, HOSTILE, HOSTILE] += 1
    seen = Seen(front_page(sim, HOSTILE))
    seen.require_harmless()
    assert "<script>" in seen.text


def test_discord_page_draws_cards_newest_first() -> None:
    """Each message with who, when, what, its embeds with title, fields, color and footer."""
    embed = {
        "title": "load failed",
        "url": "https://airflow.example/dags/load",
        "description": "**Spotify** did not answer\nfor [an hour](https://example.com)",
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
    assert embed["description"] in seen.text, "Markdown stays as it was written"
    for told in ("SongSwap", "DAG", "2026-11-22T11:59:00Z"):
        assert told in seen.text
    assert ("div", {"class": "embed", "style": "border-color:#d7263d"}) in seen.tags
    links = [attributes["href"] for tag, attributes in seen.tags if tag == "a"]
    assert links == ["/", "https://airflow.example/dags/load"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", " JavaScript:x", "//["])
def test_only_addresses_of_the_web_are_links(url: str) -> None:
    """Another one stays without a link."""
    seen = Seen(discord_page([message(embeds=[{"title": "t", "url": url}])]))
    seen.require_harmless()
    assert [attributes["href"] for tag, attributes in seen.tags if tag == "a"] == ["/"]


def test_what_a_message_says_is_text() -> None:
    """In every place of it."""
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
def test_odd_messages_are_drawn(odd: dict[str, Any]) -> None:
    """The sink checks what Discord limits; all else can be anything."""
    seen = Seen(discord_page([message(**odd)]))
    seen.require_harmless()
    assert not [attributes for _, attributes in seen.tags if "style" in attributes]


def test_no_messages_are_said_to_be_none() -> None:
    """With what would come."""
    assert "Nothing so far" in Seen(discord_page([])).text


def test_a_page_forbids_what_it_does_not_use() -> None:
    """Scripts, other servers, forms and frames."""
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert Seen(document(HOSTILE, "")).text.count(HOSTILE) == 2


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [("text/html,application/xhtml+xml,*/*;q=0.8", True), ("*/*", False), ("", False)],
)
def test_only_browsers_are_given_pages(accept: str, wanted: bool) -> None:
    """Programs accept anything, and get JSON."""
    assert is_wanted(accept) is wanted
