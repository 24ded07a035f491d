"""Messages to services other than Discord: what they get, and what is said when they do not."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from email.message import EmailMessage
from io import StringIO
from pathlib import Path

import pytest
from factories import MakePlatform
from receivers import http_service, make_certificate, smtp_service

from songswap.alerts import plain_text
from songswap.alerts.embed import embed
from songswap.alerts.message import FailedTask, Message, Run, failure, notice
from songswap.alerts.notices import LOOK
from songswap.alerts.problem import Problem
from songswap.alerts.services import Services
from songswap.alerts.webhook import Webhook
from songswap.dev.stack.plan import WEBHOOK
from songswap.settings.airflow_connection import Connection

AT = datetime(2026, 7, 1, 10, 20, 30, tzinfo=UTC)
SLACK = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
HOSTILE = "<!channel> <@U1> <http://evil.example|Airflow> @everyone <b>x</b> *y* [z](http://e.v) &"
NOBODY = 1  # a port without a listener


@pytest.fixture
def services() -> Iterator[ExitStack]:
    """What is entered here is closed at the end of the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def log_lines() -> Iterator[StringIO]:
    """What a process logs that logs everything."""
    lines, root = StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(lines), root.level
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


def parse(*addresses: str, plain: tuple[str, ...] = ()) -> Services:
    """Read addresses as those of the connection."""
    return Services.parse(Connection(password="\n ".join(addresses)), plain)


def send(message: Message, *addresses: str) -> list[str]:
    """Send a message to addresses, all of which are usable; return the sentences about failures."""
    read = parse(*addresses)
    assert read.problems == ()
    return read.send(plain_text.title(message), plain_text.body(message, []), message.color)


def hostile(text: str) -> Message:
    """A message in which everything that comes from outside is this text."""
    run = Run("http://airflow:8080", text, text)
    return failure(run, [FailedTask(text, 3, Problem("X", text))], 1, 1, AT)


def test_slack_shows_the_text_as_it_is(
    services: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is mentioned and no link is hidden, whatever format the address asks for; both forms
    of the address lead to Slack."""
    certificate = make_certificate(tmp_path, "hooks.slack.com")
    proxy = services.enter_context(http_service(certificate=certificate))
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    addresses = (
        f"slack://{SLACK}",
        f"https://hooks.slack.com/services/{SLACK}",
        f"slack://{SLACK}/?format=markdown",
        f"slack://{SLACK}/?blocks=yes&format=markdown",
    )
    assert send(hostile(HOSTILE), *addresses) == []
    assert {request.host for request in proxy.requests} == {"hooks.slack.com"}
    assert {request.path for request in proxy.requests} == {f"/services/{SLACK}"}
    assert len(proxy.requests) == len(addresses)
    for request in proxy.requests:
        text = request.body.decode()
        assert not re.search("[<>@`]", text), text
        assert '"mrkdwn": true' not in text
        assert '"mrkdwn"' not in text.replace('"mrkdwn": false', "")
        assert "(!channel) ((at)U1) (http://evil.example/Airflow) (at)everyone" in text
        assert "http://airflow:8080/dags/" in text
        assert "github" not in text, "no picture from elsewhere"


def test_discord_mentions_nobody(make_platform: MakePlatform) -> None:
    """Whatever the text is, and however Discord reads it."""
    from songswap.orchestration.discord import DiscordHook

    platform = make_platform(users=1)
    hook = DiscordHook(Webhook(f"{platform.spotify.url}/discord/", WEBHOOK))
    hook.send(embed(hostile(HOSTILE), []))
    (message,) = platform.messages()
    assert message["allowed_mentions"] == {"parse": []}
    assert message["content"] == ""
    assert message["embeds"][0]["description"].startswith(r"\<!channel\> \<@U1\>")


def test_mail_is_plain_text_with_one_subject(services: ExitStack) -> None:
    """No HTML, no further header, every recipient."""
    mail = services.enter_context(smtp_service())
    address = f"mailto://me:s%40cret@127.0.0.1:{mail.port}?from=songswap@a.example&to=x@b.example,y@b.example"
    message = hostile(f"{HOSTILE}\r\nBcc: evil@evil.example")
    assert send(message, f"{address}&format=html") == []
    recipients = [to for delivery in mail.mails for to in delivery.recipients]
    assert sorted(recipients) == ["x@b.example", "y@b.example"]
    for delivery in mail.mails:
        assert delivery.login == "me\0s@cret"
        assert delivery.sender == "songswap@a.example"
        assert content_type(delivery.message) == "text/plain"
        assert "Bcc" not in delivery.message
        assert delivery.message["Subject"].startswith("🔴 (!channel) ((at)U1)")
        text = delivery.message.get_content()
        assert "http://airflow:8080/dags/" in text
        assert "UTC: 2026-07-01 10:20:30" in text


def content_type(message: EmailMessage) -> str:
    """The type of a message that has one part only."""
    assert not message.is_multipart()
    return message.get_content_type()


def test_colors_are_kinds_for_other_services(services: ExitStack) -> None:
    """A service that has pictures or priorities of its own chooses by them."""
    other = services.enter_context(http_service())
    run = Run("http://a", "d", "r")
    send(failure(run, [], 1, 1, AT), f"json://{other.address}/x")
    send(notice(run, LOOK, ["Look."], AT), f"json://{other.address}/x")
    bodies = [json.loads(request.body) for request in other.requests]
    assert [body["type"] for body in bodies] == ["failure", "warning"]
    assert bodies[1]["title"] == "🟡 d: look at this"
    assert bodies[1]["message"].startswith("Look.\n")


def test_service_that_fails_keeps_no_other_from_being_told(
    services: ExitStack, log_lines: StringIO
) -> None:
    """Refusing, redirecting, silent, absent: each is a sentence without its address, in the order
    of the setting; log lines of apprise and its client, which have parts of it, are nowhere."""
    good = services.enter_context(http_service())
    elsewhere = services.enter_context(http_service())
    refusing = services.enter_context(http_service(status=403))
    moved = services.enter_context(
        http_service(status=307, headers={"Location": f"http://{elsewhere.address}/"})
    )
    silent = services.enter_context(http_service(hangs=True))
    no_login = services.enter_context(smtp_service(refuses=True))
    addresses = [
        f"json://u:hush-Secret-1@{refusing.address}/hush-Secret-1?retry=3&wait=0",
        f"json://{moved.address}/hush-Secret-1?redirect=yes&optional=yes",
        f"json://{silent.address}/hush-Secret-1?rto=600",
        f"mmost://127.0.0.1:{NOBODY}/hush-Secret-1",
        f"mailto://u:hush-Secret-1@127.0.0.1:{no_login.port}?from=a@b.cd&to=e@f.gh",
        f"json://{good.address}/hush-Secret-1",
    ]
    sentences = send(hostile("x"), *addresses)
    assert [sentence.partition(" of the connection")[0] for sentence in sentences] == [
        "JSON (address 1",
        "JSON (address 2",
        "JSON (address 3",
        "Mattermost (address 4",
        "E-Mail (address 5",
    ]
    reasons = [sentence.partition(": ")[2] for sentence in sentences]
    assert reasons == [
        "it responded with status 403.",
        "it responded with status 307.",
        "it took longer than 8 s.",
        "it was not reached, or refused the login or the message.",
        "it was not reached, or refused the login or the message.",
    ]
    assert len(good.requests) == 1
    assert elsewhere.requests == []
    assert "hush" not in " ".join(sentences)
    assert log_lines.getvalue() == ""


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("hush-Secret", "is not the address of a service"),
        ("hush://Secret", "is not the address of a service"),
        ("https://chat.example/hush-Secret", "is not the address of a service"),
        ("slack://hush-Secret", "begins with slack://"),
        ("mailtos://hush:Secret@", "begins with mailtos://"),
        ("json://chat.example/hush-Secret", "without TLS"),
        ("jsons://chat.example/hush-Secret?verify=no", "verifying its certificate"),
        ("mailto://hush:Secret@mail.example:25?from=a@b.cd", "mailtos://"),
        ("mailto://hush:Secret@mail.example?from=a@b.cd&mode=insecure", "mailtos://"),
        ("http://[hush-Secret", "is not the address of a service"),
    ],
)
def test_address_that_cannot_be_used_is_named_by_its_place(address: str, words: str) -> None:
    """The others are used; no part of it is quoted."""
    read = parse(f"slack://{SLACK}", address, "jsons://chat.example/x")
    assert [service.number for service in read.usable] == [1, 3]
    (sentence,) = read.problems
    assert sentence.startswith("Address 2 in the password of the connection SongSwap_Alerts")
    assert words in sentence
    assert not re.search("hush|Secret", sentence)


@pytest.mark.parametrize(
    "address",
    [
        "json://chat.example/x",
        "jsons://chat.example/x?verify=no",
        "mailto://u:p@chat.example:25?from=a@b.cd",
        "mmost://chat.example/token",
    ],
)
def test_host_without_tls_has_to_be_allowed(address: str) -> None:
    """By its name; this machine, and providers that encrypt in any case, need no permission."""
    assert parse(address).usable == ()
    assert "SONGSWAP_ALLOW_HTTP" in parse(address).problems[0]
    assert len(parse(address, plain=("chat.example",)).usable) == 1
    assert len(parse(address.replace("chat.example", "127.0.0.1")).usable) == 1
    assert len(parse("mailto://u:p@gmail.com", "ntfy://a-topic").usable) == 2


def test_dag_file_loads_no_client() -> None:
    """What sends is imported where something is sent: every task parses its DAG file first."""
    code = "import songswap.orchestration.sending, sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert "songswap.alerts.message" in done.stdout.split()
    assert {"apprise", "psycopg", "requests", "airflow"} & set(done.stdout.split()) == set()


def test_connection_without_an_address_is_a_problem() -> None:
    """It says where addresses belong."""
    read = parse("")
    assert read.usable == ()
    assert "has no address of a service as its password" in read.problems[0]


def test_long_message_is_split_where_the_service_has_a_limit(services: ExitStack) -> None:
    """A service with room for 1,000 characters gets all of it, in several messages."""
    other = services.enter_context(http_service())
    message = notice(Run("http://a", "d", "r"), LOOK, ["A sentence of many."] * 90, AT)
    assert send(message, f"rocket://abc%2Fdef@{other.address}/#alerts") == []
    # Its texts are Markdown, with escapes.
    sent = [json.loads(request.body)["text"].replace("\\", "") for request in other.requests]
    assert len(sent) > 1
    assert sum(text.count("A sentence of many.") for text in sent) == 90
    assert "UTC: 2026-07-01" in sent[-1]
