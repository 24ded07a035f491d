"""Pages from elsewhere are kept out, whatever they try; programs and the user come in."""

import pytest
from multidict import CIMultiDict

from songswap.dev.simulator.origin import Hosts, refusal_of_host, refusal_of_page

HOST = "127.0.0.1:8010"
LOOPBACK = ["127.0.0.1", "127.0.0.1:8010", "127.8.9.1", "localhost", "LOCALHOST:1", "localhost."]


@pytest.mark.parametrize("host", [*LOOPBACK, "[::1]", "[::1]:8010"])
def test_loopback_names_are_known(host: str) -> None:
    """Whatever the port: one that is forwarded has another here than there."""
    assert refusal_of_host({"Host": host}, Hosts.of("127.0.0.1")) is None
    assert refusal_of_host({"Host": host}, Hosts.of("0.0.0.0")) is None  # noqa: S104 - not bound


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8010",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "localhost:port",
        "demo-simulator",
        "192.0.2.1",
        "0.0.0.0",  # noqa: S104 - not bound
        "[2001:db8::1]:8010",
        "[::1",
        "2130706433",
        "",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    """Also those that look like loopback, and addresses that are not this machine's."""
    problem = refusal_of_host({"Host": host}, Hosts.of("127.0.0.1"))
    assert problem is not None
    assert "--allow-host" in problem


def test_a_request_without_a_host_is_refused() -> None:
    """HTTP/1.0 may leave it out; no client that is meant does."""
    assert refusal_of_host({}, Hosts.of("127.0.0.1")) is not None


@pytest.mark.parametrize(
    ("bound", "more", "known", "unknown"),
    [
        ("0.0.0.0", ["demo-simulator"], ["demo-simulator:8010", "172.18.0.4"], "demo-s3"),  # noqa: S104 - not bound
        ("::", [], ["[fd00::4]:8010"], "demo-s3"),
        ("192.0.2.1", [], ["192.0.2.1:8010"], "192.0.2.2"),
        ("my-machine", [" Other.Example. "], ["my-machine", "other.example"], "example"),
    ],
)
def test_further_names_are_known_where_they_are_said(
    bound: str, more: list[str], known: list[str], unknown: str
) -> None:
    """The bound address, what `--allow-host` says, and any address where it listens on all."""
    hosts = Hosts.of(bound, more)
    assert all(hosts.allow(host) for host in known)
    assert not hosts.allow(unknown)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "marks",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8010"},
        {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_pages_from_elsewhere_are_refused(method: str, marks: dict[str, str]) -> None:
    """By either mark, from another port too, to read as to change, and inside of a frame."""
    problem = refusal_of_page(method, CIMultiDict(marks, Host=HOST))
    assert problem is not None
    assert "a page from elsewhere" in problem


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "marks",
    [
        {},
        {"Origin": f"http://{HOST}"},
        {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
)
def test_programs_and_own_pages_come_in(method: str, marks: dict[str, str]) -> None:
    """Programs send no mark; an address that is typed has no origin."""
    assert refusal_of_page(method, CIMultiDict(marks, Host=HOST)) is None


def test_following_a_link_is_no_request_of_the_page() -> None:
    """A GET of a whole page comes in from anywhere, as at the end of a login; a form does not."""
    visit = {
        "Host": HOST,
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert refusal_of_page("GET", visit) is None
    assert refusal_of_page("POST", {**visit, "Origin": "https://evil.example"}) is not None


def test_what_was_sent_is_shown_harmlessly() -> None:
    """Short, and without control characters."""
    problem = refusal_of_host({"Host": "\x1b[31m" + "x" * 5_000}, Hosts.of("127.0.0.1"))
    assert problem is not None
    assert problem.isprintable()
    assert len(problem) < 400
