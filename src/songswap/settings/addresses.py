"""The addresses of services: https, so that nobody can read tokens or change responses."""

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from songswap.errors import SettingsError

ALLOW_HTTP = "SONGSWAP_ALLOW_HTTP"


def plain_hosts(environment: Mapping[str, str]) -> frozenset[str]:
    """The hosts that may be reached without TLS, beside this machine itself."""
    hosts = environment.get(ALLOW_HTTP, "").split(",")
    return frozenset(host.strip().lower().strip("[]") for host in hosts if host.strip())


def checked(name: str, address: str, plain: Collection[str]) -> str:
    """Validate an address; return it without a slash at its end.

    Args:
        name: the setting's name in errors.
        plain: the hosts that may be reached without TLS.

    Raises:
        SettingsError: it is invalid, or lacks TLS. The text leaves its value out.
    """
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").lower()
        _ = parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise SettingsError(
            f"{name} has to be an address like https://HOST, without a login in it."
        )
    if parts.query or parts.fragment or not address.isascii() or not address.isprintable():
        raise SettingsError(
            f"{name} has to be an address like https://HOST, without a query or a fragment."
        )
    if parts.scheme == "http" and not may_be_plain(host, plain):
        raise SettingsError(
            f"{name} has to begin with https://: without it, others in the network could read"
            f" requests and change responses. To allow that, name the host in {ALLOW_HTTP}."
        )
    return address.rstrip("/")


def may_be_plain(host: str, plain: Collection[str]) -> bool:
    """Whether a host may be reached without TLS: this machine, or one that a setting allows."""
    name = host.lower().strip("[]")
    return name in plain or _is_loopback(name)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
