"""The engineers' webhook, from the connection or the variable."""

import pytest

from songswap.alerts.webhook import Webhook
from songswap.errors import SettingsError
from songswap.settings.airflow_connection import Connection

EXTRA = {"webhook_endpoint": "webhooks/1/a-b_C"}


@pytest.mark.parametrize(
    ("connection", "variable", "url"),
    [
        (None, "webhooks/1/a-b_C", "https://discord.com/api/webhooks/1/a-b_C"),
        (None, " https://chat.example/api/webhooks/1/x ", "https://chat.example/api/webhooks/1/x"),
        (Connection(extra=EXTRA), None, "https://discord.com/api/webhooks/1/a-b_C"),
        (
            Connection(host="discord.com/api", extra=EXTRA),
            "webhooks/2/y",
            "https://discord.com/api/webhooks/1/a-b_C",
        ),
        (
            Connection(host="http://127.0.0.1/", port=81, extra=EXTRA),
            None,
            "http://127.0.0.1:81/webhooks/1/a-b_C",
        ),
        (Connection(host="https://proxy/api/"), "webhooks/2/y", "https://proxy/api/webhooks/2/y"),
    ],
)
def test_webhook_is_read_in_every_form(
    connection: Connection | None, variable: str | None, url: str
) -> None:
    """From the connection, else from the variable."""
    assert Webhook.parse(connection, variable).url == url


def test_missing_webhook_is_an_error() -> None:
    """It names the connection and the variable."""
    with pytest.raises(SettingsError, match=r"Discord_Notifier.*discord_webhook_endpoint"):
        Webhook.parse(Connection(), None)


def test_other_text_is_refused_without_a_quote() -> None:
    """It may be a secret."""
    with pytest.raises(SettingsError) as refused:
        Webhook.parse(None, "https://discord.com/channels/1/hush")
    assert "hush" not in str(refused.value)


def test_repr_hides_the_token() -> None:
    """A webhook may be printed."""
    webhook = Webhook.parse(Connection(extra=EXTRA), None)
    assert webhook.token == "a-b_C"
    assert "a-b_C" not in repr(webhook)


def test_host_without_tls_has_to_be_allowed() -> None:
    """By its name."""
    connection = Connection(host="http://demo-simulator:8010/discord/", extra=EXTRA)
    with pytest.raises(SettingsError, match=r"https://.*SONGSWAP_ALLOW_HTTP") as refused:
        Webhook.parse(connection, None)
    assert "a-b_C" not in str(refused.value)
    url = Webhook.parse(connection, None, {"demo-simulator"}).url
    assert url == "http://demo-simulator:8010/discord/webhooks/1/a-b_C"
