"""The address of the engineers' channel, from what operators set."""

import pytest

from songswap.alerts.webhook import Webhook
from songswap.errors import SettingsError
from songswap.settings.airflow_connection import Connection

TOLD = {"webhook_endpoint": "webhooks/1/a-b_C"}


@pytest.mark.parametrize(
    ("connection", "variable", "url"),
    [
        (None, "webhooks/1/a-b_C", "https://discord.com/api/webhooks/1/a-b_C"),
        (None, " https://chat.example/api/webhooks/1/x ", "https://chat.example/api/webhooks/1/x"),
        (Connection(extra=TOLD), None, "https://discord.com/api/webhooks/1/a-b_C"),
        (
            Connection(host="discord.com/api", extra=TOLD),
            "webhooks/2/y",
            "https://discord.com/api/webhooks/1/a-b_C",
        ),
        (
            Connection(host="http://127.0.0.1/", port=81, extra=TOLD),
            None,
            "http://127.0.0.1:81/webhooks/1/a-b_C",
        ),
        (Connection(host="https://proxy/api/"), "webhooks/2/y", "https://proxy/api/webhooks/2/y"),
    ],
)
def test_what_may_be_set(connection: Connection | None, variable: str | None, url: str) -> None:
    """The connection's webhook, else the variable's, in the ways in which people write them."""
    assert Webhook.parse(connection, variable).url == url


def test_nothing_set() -> None:
    """The sentence names the connection and the variable."""
    with pytest.raises(SettingsError, match=r"Discord_Notifier.*discord_webhook_endpoint"):
        Webhook.parse(Connection(), None)


def test_something_else_set() -> None:
    """What is not a webhook is refused, and not quoted: it may be a secret."""
    with pytest.raises(SettingsError) as refused:
        Webhook.parse(None, "https://discord.com/channels/1/hush")
    assert "hush" not in str(refused.value)


def test_secret_stays_secret() -> None:
    """A printed webhook does not tell its token."""
    webhook = Webhook.parse(Connection(extra=TOLD), None)
    assert webhook.token == "a-b_C"
    assert "a-b_C" not in repr(webhook)


def test_without_tls() -> None:
    """Another host is spoken to without TLS only where that is allowed by its name."""
    connection = Connection(host="http://demo-simulator:8010/discord/", extra=TOLD)
    with pytest.raises(SettingsError, match=r"https://.*SONGSWAP_ALLOW_HTTP") as refused:
        Webhook.parse(connection, None)
    assert "a-b_C" not in str(refused.value)
    url = Webhook.parse(connection, None, {"demo-simulator"}).url
    assert url == "http://demo-simulator:8010/discord/webhooks/1/a-b_C"
