"""Discord through Airflow's own provider: embeds to the webhook of the platform's engineers."""

import json
from typing import Any

from airflow.providers.discord.hooks.discord_webhook import DiscordWebhookHook
from airflow.sdk import Connection
from airflow.sdk.log import mask_secret
from requests import RequestException, Response, Session

from songswap.alerts.embed import Embed
from songswap.alerts.webhook import Webhook
from songswap.errors import AlertError, UnknownToDiscord
from songswap.web.session import read_all

CONNECTION = "Discord_Notifier"
_TIMEOUT_S = 8


class DiscordHook(DiscordWebhookHook):
    """Sends embeds, reads them back, and deletes them.

    Args:
        webhook: the destination.

    Raises:
        AlertError: from every method, when Discord fails or refuses.
    """

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        # Errors of other code about a lost connection quote the whole address.
        mask_secret(self._webhook.token)
        super().__init__(http_conn_id=CONNECTION, webhook_endpoint=self._webhook.endpoint)

    def get_connection(self, conn_id: str) -> Connection:  # type: ignore[override]  # bound to one
        """Return the webhook as a connection, also where only the variable is set."""
        return Connection(conn_id=conn_id, conn_type=self.conn_type, host=self._webhook.base)

    def get_conn(self, *arguments: Any, **options: Any) -> Session:
        """Return a session that does not read responses' bodies by itself."""
        session: Session = super().get_conn(*arguments, **options)
        session.stream = True
        return session

    def send(self, embed: Embed) -> str:
        """Send a message and return its id; tried once, because a late alert is useless."""
        payload = self.handler.build_discord_payload(
            tts=False,
            message="",
            username="SongSwap",
            avatar_url=None,
            embed=embed,  # type: ignore[arg-type]  # the provider's own TypedDict of the same
        )
        silent = json.dumps({**json.loads(payload), "allowed_mentions": {"parse": []}})
        return str(self._request("POST", "?wait=true", silent).get("id", ""))

    def read(self, message_id: str) -> dict[str, Any]:
        """Read a message that was sent."""
        return self._request("GET", f"/messages/{message_id}")

    def delete(self, message_id: str) -> None:
        """Delete a message."""
        self._request("DELETE", f"/messages/{message_id}")

    def _request(self, method: str, path: str, payload: str | None = None) -> dict[str, Any]:
        self.method = method
        try:
            response: Response = self.run(
                self._webhook.endpoint + path,
                data=payload,
                headers={"Content-Type": "application/json"},
                extra_options={
                    "timeout": _TIMEOUT_S,
                    "check_response": False,
                    "allow_redirects": False,
                },
            )
            read_all(response)
        except RequestException as error:
            # Without its cause, whose text has the webhook's address.
            raise AlertError(f"Discord was not reached: {type(error).__name__}.") from None
        if response.status_code == 404:
            raise UnknownToDiscord(
                "Discord knows no such webhook or message (404): set the connection"
                " Discord_Notifier or the variable discord_webhook_endpoint to one that exists."
            )
        if not 200 <= response.status_code < 300:
            raise AlertError(f"Discord responded with status {response.status_code}.")
        try:
            body = json.loads(response.content or "{}")
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise AlertError("The response is not from Discord's API: it is not a JSON object.")
        return body
