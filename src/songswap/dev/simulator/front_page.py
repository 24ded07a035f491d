"""The page at `/`: who listens, what was called, what goes wrong, and where all of it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from typing import Any
from urllib.parse import quote

import msgspec

from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.fault import Fault
from songswap.dev.simulator.listener import Listener
from songswap.dev.simulator.page import document, table, text
from songswap.dev.simulator.simulation import Simulation
from songswap.dev.simulator.world import Anybody

_MOST = 100
_LINKS = {
    "/admin/discord": "Discord's messages",
    "/admin/calls": "calls",
    "/admin/faults": "faults",
    "/admin/listeners": "listeners",
    "/admin/ledger": "ledger of all plays",
    "/admin/health": "health",
}


def front_page(sim: Simulation, host: str) -> bytes:
    """Return the page; `host` is the name and port that it was asked for with."""
    frozen = ", and the clock stands still" if sim.clock.is_frozen else ""
    links = "".join(f'<a href="{path}">{text(name)}</a>' for path, name in _LINKS.items())
    parts = [
        f'<p class="quiet">{text(iso(sim.clock.now()))}{frozen} · seed {sim.options.seed} ·'
        f" {text(sim.mode)} mode · {len(sim.world.listeners):,} listeners ·"
        f" {sim.world.catalogue.size:,} tracks</p>",
        f"<nav>{links}</nav>",
        f"<h2>Calls</h2>\n{_calls(sim)}",
        f"<h2>Faults</h2>\n{_faults(sim, host)}",
        f"<h2>Listeners</h2>\n{_listeners(sim)}",
    ]
    return document("Simulated Spotify", "\n".join(parts))


def _calls(sim: Simulation) -> str:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (endpoint, _, status), count in sim.calls.items():
        counts[endpoint][status] += count
    if not counts:
        return '<p class="quiet">None so far.</p>'
    return table(
        ("endpoint", "answered with", "#calls"),
        (
            (
                text(endpoint),
                ", ".join(f"{text(status)} × {count:,}" for status, count in sorted(told.items())),
                f"{told.total():,}",
            )
            for endpoint, told in sorted(counts.items())
        ),
    )


def _faults(sim: Simulation, host: str) -> str:
    standing = sim.faults.all()
    shown = '<p class="quiet">None: every call gets the true answer.</p>'
    if standing:
        shown = table(
            ("id", "order", "#struck"),
            (
                (str(each.id), f"<code>{text(_order(each.fault))}</code>", f"{each.struck:,}")
                for each in standing
            ),
        )
    order = '{"path": "/v1/*", "share": 0.2, "status": 503}'
    where = f"http://{host}/admin/faults"
    commands = text(f"curl --data '{order}' {where}\ncurl --request DELETE {where}")
    how = "<p>To let one call in five fail, and to end all faults:</p>"
    return f"{shown}\n{how}\n<pre>{commands}</pre>"


def _order(fault: Fault) -> str:
    """Return a fault as it was ordered: without what it does not say."""
    said: dict[str, Any] = {}
    for field in msgspec.structs.fields(Fault):
        usual = field.default
        if usual is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            usual = field.default_factory()
        if (value := getattr(fault, field.name)) != usual:
            said[field.name] = value
    return msgspec.json.encode(said).decode(errors="replace")


def _listeners(sim: Simulation) -> str:
    calls: Counter[str | None] = Counter()
    for (_, user, _), count in sim.calls.items():
        calls[user] += count

    def row(each: Anybody) -> tuple[str, ...]:
        ident = quote(each.id, safe="")
        links = f'<a href="/admin/ledger?user={text(ident)}">plays</a>'
        if isinstance(each, Listener):  # a recorded one has no life to export
            links += f' · <a href="/admin/listeners/{text(ident)}/export">export</a>'
        shown_id = f"<code>{text(each.id)}</code>"
        return text(each.name), shown_id, links, f"{calls[each.id]:,}"

    everybody = sim.world.listeners
    rows = map(row, islice(everybody.values(), _MOST))
    shown = table(("name", "id", "download", "#calls"), rows)
    if (more := len(everybody) - _MOST) > 0:
        shown += f'\n<p>And <a href="/admin/listeners">{more:,} more</a>.</p>'
    return shown
