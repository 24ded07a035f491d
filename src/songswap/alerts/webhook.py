"""The address of the engineers' Discord channel."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

from songswap.errors import SettingsError
from songswap.settings import addresses
from songswap.settings.airflow_connection import Connection

SERVICES = "SongSwap_Alerts"
"""The connection that names services beside Discord, or in its place."""

DISCORD = "https://discord.com/api/"

_ENDPOINT = re.compile(r"(?P<base>https?://.+/)?(?P<endpoint>webhooks/[0-9]+/[A-Za-z0-9_-]+)/?")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook: ``base`` is Discord's API; ``endpoint`` is a secret that allows to post."""

    base: str
    endpoint: str = field(repr=False)

    @property
    def url(self) -> str:
        """The whole address, a secret."""
        return self.base + self.endpoint

    @property
    def token(self) -> str:
        """The part of the address that is the secret."""
        return self.endpoint.rpartition("/")[2]

    @classmethod
    def parse(
        cls,
        connection: Connection | None,
        variable: str | None,
        plain: Collection[str] = (),
    ) -> Self:
        """Return the webhook of the connection ``Discord_Notifier``, else of the variable.

        Args:
            connection: has ``webhook_endpoint`` in its extra; the host is that of Discord's API by
                default.
            variable: ``discord_webhook_endpoint``: ``webhooks/ID/TOKEN``, or the whole address as
                Discord shows it.
            plain: the hosts that may be reached without TLS, see `songswap.settings.addresses`.

        Raises:
            SettingsError: neither is set, or what is set is not a webhook, or lacks TLS.
        """
        configured = (connection.extra.get("webhook_endpoint") if connection else None) or variable
        if not configured:
            raise SettingsError(
                "No Discord webhook is set. Set webhook_endpoint (webhooks/ID/TOKEN) in the extra"
                " of the connection Discord_Notifier, or the variable discord_webhook_endpoint; or"
                f" addresses of other services as the password of the connection {SERVICES}."
            )
        found = _ENDPOINT.fullmatch(configured.strip())
        if found is None:
            raise SettingsError(
                "The Discord webhook (connection Discord_Notifier or variable"
                " discord_webhook_endpoint) has to look like webhooks/ID/TOKEN or be the whole"
                " address that Discord shows; what is set does not."
            )
        host = connection.host if connection else ""
        if host and "://" not in host:
            host = f"https://{host}"
        if host and connection and connection.port:
            host = f"{host.rstrip('/')}:{connection.port}"
        base = found["base"] or host or DISCORD
        name = "The Discord webhook's host (connection Discord_Notifier)"
        return cls(addresses.checked(name, base, plain) + "/", found["endpoint"])
