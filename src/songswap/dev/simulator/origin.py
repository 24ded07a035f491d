"""Which requests a server without passwords accepts: none from pages of other sites.

Every page that is open in a browser on this machine can reach this server: directly, which the
browser marks in `Origin` and `Sec-Fetch-Site`, or under a host name of its own that resolves to
this machine (DNS rebinding), which `Host` shows. Programs send neither header, and pass.

No input or output: the simulator and the demo's S3 share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

_OWN_SITES = frozenset({"same-origin", "none"})  # none: the user typed it or used a bookmark
_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Hosts:
    """The host names that a server accepts besides this machine's loopback names.

    names: names and addresses, in lower case.
    any_address: whether any IP address is accepted; DNS rebinding needs a name.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False

    @classmethod
    def of(cls, bound: str, more: Iterable[str] = ()) -> Hosts:
        """Return the names of a server that is bound to an address, and `more` names."""
        address = bound.strip("[]")
        everywhere = address in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
        names = {name.strip().lower().strip("[]").rstrip(".") for name in more}
        return cls(frozenset(names | {address.lower()} - {""}), any_address=everywhere)

    def allows(self, host: str) -> bool:
        """Return whether a `Host` header names this server, with any port."""
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


def check_host(headers: Mapping[str, str], hosts: Hosts) -> str | None:
    """Return why a request is refused for its `Host`, or None if it may pass.

    Args:
        headers: The request's headers, with case-insensitive names.
        hosts: The names that are accepted.
    """
    host = headers.get("Host", "")
    if hosts.allows(host):
        return None
    return (
        f"Refused: {_shown(host)} is no name of this server. It accepts this machine's loopback"
        " names; --allow-host NAME allows another one."
    )


def check_origin(method: str, headers: Mapping[str, str]) -> str | None:
    """Return why a request of another site's page is refused, or None if it may pass.

    A user who follows a link passes: that is a GET of a whole page, which the site cannot read.

    Args:
        method: The request's method.
        headers: The request's headers, with case-insensitive names.
    """
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    is_foreign = site is not None and site not in _OWN_SITES
    if origin is not None and not _is_own(origin, headers.get("Host", "")):
        is_foreign = True
    if not is_foreign or (method in _READING and _is_visit(headers)):
        return None
    return (
        f"Refused: a page of another site ({_shown(origin or site or '')}) sent this request. Only"
        " this server's own pages and programs may."
    )


def _is_visit(headers: Mapping[str, str]) -> bool:
    """Return whether a browser opens the response as a page of its own, not within another."""
    mode, destination = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    return mode == "navigate" and destination in (None, "document")


def _is_own(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _shown(text: str) -> str:
    return ascii(text[:100])
