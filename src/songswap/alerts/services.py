"""Other services than Discord, through apprise: Slack, e-mail, and a hundred more.

Their addresses are secrets, also the paths that a webhook's address consists of. What apprise and
its HTTP client log has parts of them, and is dropped in a process that imports this.
"""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, NotifyType
from apprise.plugins import url_to_dict
from apprise.plugins.email import NotifyEmail
from apprise.plugins.email.smtp import SMTPSecureMode
from apprise.result import AppriseResultStatus, NotifyResult

from songswap.alerts.message import Color
from songswap.alerts.webhook import SERVICES
from songswap.errors import SettingsError
from songswap.settings.addresses import ALLOW_HTTP, may_be_plain
from songswap.settings.airflow_connection import Connection

_TIMEOUT_S = 8
"""For all services together: a message is tried once, because a late alert is useless."""

_TYPES = {
    Color.RED: NotifyType.FAILURE,
    Color.YELLOW: NotifyType.WARNING,
    Color.GREEN: NotifyType.SUCCESS,
}
_STATUS = re.compile(r"error=(\d{3})\b")
_LIKE_A_KEY = re.compile(r"(?=[^\W_]*\d)[\w%-]{8,}|[\w%-]{16,}")

_ASSET = AppriseAsset(
    app_id="SongSwap",
    app_desc="SongSwap",
    app_url="",
    # No pictures from other people's servers.
    image_url_mask="",
    image_url_logo="",
    image_path_mask=False,
    # No keys are made, and nothing is written to disk.
    pgp_autogen=False,
    pem_autogen=False,
    storage_mode="memory",
)

logging.getLogger("apprise").propagate = False
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class Service(NamedTuple):
    """A service to tell: ``number`` is the place of its address in the connection, from 1."""

    number: int
    notifier: NotifyBase

    @property
    def name(self) -> str:
        """What people call it, such as Slack."""
        return str(self.notifier.service_name)


class Services(NamedTuple):
    """The services that a connection names.

    Args:
        usable: those that can be told.
        problems: a sentence about each other address, without any of it.
    """

    usable: tuple[Service, ...]
    problems: tuple[str, ...]

    @classmethod
    def parse(cls, connection: Connection, plain: Collection[str]) -> Self:
        """Return the services whose addresses are in a connection's password, separated by spaces.

        Args:
            plain: the hosts that may be reached without TLS, see `songswap.settings.addresses`.
        """
        addresses = connection.password.split()
        if not addresses:
            return cls(
                (), (f"The connection {SERVICES} has no address of a service as its password.",)
            )
        usable, problems = [], []
        for number, address in enumerate(addresses, 1):
            try:
                usable.append(Service(number, _notifier(number, address, plain)))
            except SettingsError as error:
                problems.append(str(error))
        return cls(tuple(usable), tuple(problems))

    def send(self, title: str, body: str, color: Color) -> list[str]:
        """Send a text to all at once, and return a sentence about each that did not take it."""
        manager = Apprise(asset=_ASSET)
        manager.add([service.notifier for service in self.usable])
        result = manager.notify(
            body=body,
            title=title,
            notify_type=_TYPES[color],
            body_format=NotifyFormat.TEXT,
            timeout=_TIMEOUT_S,
        )
        # None at all, if apprise itself failed.
        results = [*result, *[None] * (len(self.usable) - len(result))]
        return [
            f"{service.name} (address {service.number} of the connection {SERVICES}) did not take a"
            f" message: {_reason(of_service)}."
            for service, of_service in zip(self.usable, results, strict=True)
            if not _took_it(of_service)
        ]


def secrets(connection: Connection) -> Iterator[str]:
    """Yield what no log may show of a connection's addresses, each as it may be written."""
    for address in connection.password.split():
        for part in (_password(address), *_LIKE_A_KEY.findall(address)):
            yield from filter(None, (part, unquote(part)))


def _password(address: str) -> str:
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""


def _notifier(number: int, address: str, plain: Collection[str]) -> NotifyBase:
    """Build apprise's part of a service.

    Raises:
        SettingsError: it cannot be parsed, or would send unencrypted to another machine.
    """
    where = f"Address {number} in the password of the connection {SERVICES}"
    try:
        parts = url_to_dict(address)  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - a hundred parsers of other people
        parts = None
    if not parts:
        raise SettingsError(
            f"{where} is not the address of a service that apprise knows. It has to look like"
            " slack://TOKEN_A/TOKEN_B/TOKEN_C or mailtos://USER:PASSWORD@HOST?to=ADDRESS, with"
            " special characters percent-encoded, and a space before the next one."
        )
    schema = str(parts["schema"])
    # What is sent is text, whatever the address says: once, and to no other host.
    parts.pop("format", None)
    parts["retry"] = 0
    parts["redirect"] = False
    # A part of a long message says too little.
    parts.setdefault("overflow", "split")
    notifier = Apprise.instantiate(parts, asset=_ASSET)
    if notifier is None:
        raise SettingsError(
            f"{where} begins with {schema}://, but lacks what that service needs, or has it in"
            " another form: see https://appriseit.com/services/."
        )
    # apprise would wait for seconds between two parts, or two channels, of one message.
    notifier.request_rate_per_sec = 0
    host = notifier.smtp_host if isinstance(notifier, NotifyEmail) else notifier.host
    if host and not _is_safe(notifier, schema) and not may_be_plain(host, plain):
        raise SettingsError(
            f"{where} ({notifier.service_name}) leads to another machine without TLS, or without"
            " verifying its certificate: others in the network could read alerts and the login. Use"
            f" {_safe_schema(notifier)}without verify=no; or name the host in {ALLOW_HTTP}."
        )
    return notifier


def _is_safe(notifier: NotifyBase, schema: str) -> bool:
    """Whether what is sent is encrypted, for a server whose certificate is verified."""
    encrypted = schema in _schemas(notifier.secure_protocol)
    if isinstance(notifier, NotifyEmail):
        # mailto:// with a known provider is encrypted too.
        encrypted = notifier.secure_mode != SMTPSecureMode.INSECURE
    return encrypted and bool(notifier.verify_certificate)


def _safe_schema(notifier: NotifyBase) -> str:
    known = _schemas(notifier.secure_protocol)
    return f"{known[0]}:// " if known else ""


def _schemas(known: str | Sequence[str] | None) -> Sequence[str]:
    return (known,) if isinstance(known, str) else known or ()


def _took_it(result: NotifyResult | None) -> bool:
    # An address with optional=yes counts as told in any case: only its attempts say the truth.
    return result is not None and any(
        attempt.status == AppriseResultStatus.SUCCESS for attempt in result.attempts
    )


def _reason(result: NotifyResult | None) -> str:
    """Why a service did not take a message; of apprise's own lines only the status is shown."""
    if result is not None and result.attempts:
        if result.attempts[-1].status == AppriseResultStatus.TIMEOUT:
            return f"it took longer than {_TIMEOUT_S} s"
        for entry in result.logs():
            if found := _STATUS.search(entry.message):
                return f"it responded with status {found[1]}"
    return "it was not reached, or refused the login or the message"
