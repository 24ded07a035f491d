"""Who may send a request to a server that asks nobody for a password: no page from elsewhere.

A browser on this machine reaches what listens here, and so does every page that is open in it: with
requests of its own, which a browser marks with where they come from (`Origin`, `Sec-Fetch-Site`),
or under a name of its own that it lets lead here (DNS rebinding), which `Host` tells. Programs send
neither mark, and pass. No input or output: the simulator and the demo's S3 both ask it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

_HERE = frozenset({"same-origin", "none"})  # none: the user's own doing, a bookmark or typed
_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Hosts:
    """The host names under which a server may be spoken to, beside this machine's loopback names.

    names: further names and addresses, in lower case.
    any_address: also any IP address, which nobody can let lead elsewhere.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False

    @classmethod
    def of(cls, bound: str, more: Iterable[str] = ()) -> Hosts:
        """Return those of a server that is bound to an address, and `more` names for it."""
        address = bound.strip("[]")
        everywhere = address in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
        names = {name.strip().lower().strip("[]").rstrip(".") for name in more}
        return cls(frozenset(names | {address.lower()} - {""}), any_address=everywhere)

    def allow(self, host: str) -> bool:
        """Tell whether a `Host` header names this server; its port does not matter."""
        try:
            parts = urlsplit(f"//{host}")
            name = (parts.hostname or "").rstrip(".")
            _ = parts.port
        except ValueError:
            return False
        if "@" in host or not name:
            return False
        if name == "localhost" or name in self.names:
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return self.any_address or address.is_loopback


def refusal_of_host(headers: Mapping[str, str], hosts: Hosts) -> str | None:
    """Return why a request is refused for the name it was sent to; None when it may pass.

    Args:
        headers: The request's, whatever the case of their names.
        hosts: The names that are known.
    """
    host = headers.get("Host", "")
    if hosts.allow(host):
        return None
    return (
        f"Refused: nobody calls this server {_shown(host)}. It answers to this machine's loopback"
        " names; a further name is allowed with --allow-host NAME."
    )


def refusal_of_page(method: str, headers: Mapping[str, str]) -> str | None:
    """Return why a request is refused that a page from elsewhere sent; None when it may pass.

    Who follows a link to here passes: that is a GET of a whole page, which the other cannot read.

    Args:
        method: The request's.
        headers: The request's, whatever the case of their names.
    """
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    is_foreign = site is not None and site not in _HERE
    if origin is not None and not _is_own(origin, headers.get("Host", "")):
        is_foreign = True
    if not is_foreign or (method in _READING and _is_visit(headers)):
        return None
    return (
        f"Refused: a page from elsewhere ({_shown(origin or site or '')}) sent this. Only pages of"
        " this server itself, and programs, may."
    )


def _is_visit(headers: Mapping[str, str]) -> bool:
    """Whether a browser opens the answer as a page of its own, not inside of another."""
    mode, goal = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    return mode == "navigate" and goal in (None, "document")


def _is_own(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _shown(text: str) -> str:
    return ascii(text[:100])
