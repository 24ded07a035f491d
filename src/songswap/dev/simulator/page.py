"""The HTML of the demo's small pages, without scripts or anything that is fetched.

Every value goes through `text` first, since values come from users, messages and faults.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Vary": "Accept",
    # Even unescaped text could not run, load or send anything, nor another page frame this one.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = """
:root { color-scheme: light dark; --line: #d9dce1; --quiet: #5c6370; --card: #f5f6f8;
  --ink: #1d2129; --paper: #fff; --link: #0b57d0 }
@media (prefers-color-scheme: dark) { :root { --line: #3a3e46; --quiet: #a3a9b5; --card: #24272d;
  --ink: #e7e9ee; --paper: #17191d; --link: #8ab4f8 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 3rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: 0 0 .25rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
a { color: var(--link) } p { margin: .5rem 0 } .quiet { color: var(--quiet) }
code, pre { font: .875rem/1.5 ui-monospace, monospace }
pre { background: var(--card); padding: .75rem; border-radius: .375rem; white-space: pre-wrap }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0;
  border-bottom: 1px solid var(--line) }
th { color: var(--quiet); font-weight: 600; font-size: .875rem; white-space: nowrap }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
nav a { margin-right: 1rem; white-space: nowrap }
.message { margin: 1rem 0; padding: .75rem 1rem; background: var(--card); border-radius: .5rem }
.prose { white-space: pre-wrap; unicode-bidi: plaintext }
.embed { margin-top: .5rem; padding: .5rem .9rem; border-left: 4px solid var(--line);
  background: var(--paper); border-radius: .25rem }
.embed h3 { margin: 0 0 .25rem; font-size: 1rem }
.fields { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; margin-top: .5rem }
.fields > div { flex: 1 1 100% } .fields > .inline { flex: 1 1 9rem }
.fields b { display: block; font-size: .875rem }
"""


def text(value: object) -> str:
    """Return a value escaped for HTML."""
    return html.escape(str(value))


def document(title: str, body: str) -> bytes:
    """Return a whole page. The body is HTML already, the title is text."""
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n<h1>{text(title)}</h1>\n{body}\n</body></html>\n"
    )
    return page.encode(errors="replace")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table. The cells are HTML already; a head that begins with # is a numeric column."""
    names = list(heads)
    kinds = [' class="number"' if name.startswith("#") else "" for name in names]

    def row(tag: str, cells: Iterable[str]) -> str:
        parts = (f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    head = row("th", (text(name.removeprefix("#")) for name in names))
    return f"<table>{head}\n{''.join(row('td', cells) + chr(10) for cells in rows)}</table>"


def accepts_html(accept: str) -> bool:
    """Return whether an `Accept` header includes HTML, which browsers send and programs do not."""
    return "text/html" in accept.lower()
