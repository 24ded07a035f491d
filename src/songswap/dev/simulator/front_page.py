"""The page at `/`: the listeners, the calls, the active faults, and links to more."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from urllib.parse import quote

import msgspec
from msgspec.structs import asdict

from songswap.dev.simulator.clock import iso
from songswap.dev.simulator.fault import Fault
from songswap.dev.simulator.listener import Listener
from songswap.dev.simulator.page import document, table, text
from songswap.dev.simulator.simulation import Simulation
from songswap.dev.simulator.world import AnyListener

_MAX_LISTENERS = 100
_LINKS = {
    "/admin/discord": "Discord's messages",
    "/admin/calls": "calls",
    "/admin/faults": "faults",
    "/admin/listeners": "listeners",
    "/admin/ledger": "ledger of all plays",
    "/admin/health": "health",
}


def front_page(sim: Simulation, host: str) -> bytes:
    """Return the page; `host` is the name and port in the request's URL."""
    frozen = ", frozen clock" if sim.clock.is_frozen else ""
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
        return '<p class="quiet">None yet.</p>'
    return table(
        ("endpoint", "status", "#calls"),
        (
            (
                text(endpoint),
                ", ".join(f"{text(code)} × {count:,}" for code, count in sorted(statuses.items())),
                f"{statuses.total():,}",
            )
            for endpoint, statuses in sorted(counts.items())
        ),
    )


def _faults(sim: Simulation, host: str) -> str:
    active = sim.faults.all()
    shown = '<p class="quiet">None: every call gets the true response.</p>'
    if active:
        shown = table(
            ("id", "fault", "#struck"),
            (
                (str(fault.id), f"<code>{text(_json(fault.fault))}</code>", f"{fault.struck:,}")
                for fault in active
            ),
        )
    example = '{"path": "/v1/*", "share": 0.2, "status": 503}'
    url = f"http://{host}/admin/faults"
    commands = text(f"curl --data '{example}' {url}\ncurl --request DELETE {url}")
    explanation = "<p>To make one call in five fail, and to remove all faults:</p>"
    return f"{shown}\n{explanation}\n<pre>{commands}</pre>"


def _json(fault: Fault) -> str:
    """Return a fault's fields that differ from their defaults."""
    defaults = asdict(Fault())
    changed = {name: value for name, value in asdict(fault).items() if value != defaults[name]}
    return msgspec.json.encode(changed).decode(errors="replace")


def _listeners(sim: Simulation) -> str:
    calls: Counter[str | None] = Counter()
    for (_, user, _), count in sim.calls.items():
        calls[user] += count

    def row(listener: AnyListener) -> tuple[str, ...]:
        ident = quote(listener.id, safe="")
        links = f'<a href="/admin/ledger?user={text(ident)}">plays</a>'
        if isinstance(listener, Listener):  # a recorded one has no export
            links += f' · <a href="/admin/listeners/{text(ident)}/export">export</a>'
        shown_id = f"<code>{text(listener.id)}</code>"
        return text(listener.name), shown_id, links, f"{calls[listener.id]:,}"

    listeners = sim.world.listeners
    rows = map(row, islice(listeners.values(), _MAX_LISTENERS))
    shown = table(("name", "id", "download", "#calls"), rows)
    if (more := len(listeners) - _MAX_LISTENERS) > 0:
        shown += f'\n<p>And <a href="/admin/listeners">{more:,} more</a>.</p>'
    return shown
