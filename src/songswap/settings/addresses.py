"""The addresses of services: https, so that nobody on the way reads tokens or answers for them."""

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from songswap.errors import SettingsError

ALLOW_HTTP = "SONGSWAP_ALLOW_HTTP"


def plain_hosts(environment: Mapping[str, str]) -> frozenset[str]:
    """The hosts that may be spoken to without TLS, beside this machine itself."""
    given = environment.get(ALLOW_HTTP, "").split(",")
    return frozenset(host.strip().lower().strip("[]") for host in given if host.strip())


def checked(name: str, address: str, plain: Collection[str]) -> str:
    """An address that may be used, without a slash at its end.

    Args:
        name: where it was set, for the sentence.
        plain: the hosts that may be spoken to without TLS.

    Raises:
        SettingsError: it is none, or would be spoken to without TLS. What was set is not said.
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
            f"{name} has to be an address like https://HOST, with nothing behind it."
        )
    if parts.scheme == "http" and not _is_loopback(host) and host not in plain:
        raise SettingsError(
            f"{name} has to begin with https://: without it, anybody on the way could read what is"
            f" sent and change the answers. Where that is meant, name the host in {ALLOW_HTTP}."
        )
    return address.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
