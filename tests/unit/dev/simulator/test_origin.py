"""Requests of other sites' pages are refused; programs and the user pass."""

import pytest
from multidict import CIMultiDict

from songswap.dev.simulator.origin import Hosts, check_host, check_origin

HOST = "127.0.0.1:8010"
LOOPBACK = ["127.0.0.1", "127.0.0.1:8010", "127.8.9.1", "localhost", "LOCALHOST:1", "localhost."]


@pytest.mark.parametrize("host", [*LOOPBACK, "[::1]", "[::1]:8010"])
def test_loopback_names_are_accepted(host: str) -> None:
    """With any port, since a forwarded port differs from the one that is bound."""
    assert check_host({"Host": host}, Hosts.of("127.0.0.1")) is None
    assert check_host({"Host": host}, Hosts.of("0.0.0.0")) is None  # noqa: S104 - not bound


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
    """So are names that look like loopback, and addresses that are not this machine's."""
    problem = check_host({"Host": host}, Hosts.of("127.0.0.1"))
    assert problem is not None
    assert "--allow-host" in problem


def test_a_request_without_a_host_is_refused() -> None:
    """HTTP/1.0 allows it, but no known client does it."""
    assert check_host({}, Hosts.of("127.0.0.1")) is not None


@pytest.mark.parametrize(
    ("bound", "more", "accepted", "refused"),
    [
        ("0.0.0.0", ["demo-simulator"], ["demo-simulator:8010", "172.18.0.4"], "demo-s3"),  # noqa: S104 - not bound
        ("::", [], ["[fd00::4]:8010"], "demo-s3"),
        ("192.0.2.1", [], ["192.0.2.1:8010"], "192.0.2.2"),
        ("my-machine", [" Other.Example. "], ["my-machine", "other.example"], "example"),
    ],
)
def test_configured_names_are_accepted(
    bound: str, more: list[str], accepted: list[str], refused: str
) -> None:
    """The bound address, each `--allow-host`, and any address if it listens on all."""
    hosts = Hosts.of(bound, more)
    assert all(hosts.allows(host) for host in accepted)
    assert not hosts.allows(refused)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
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
def test_pages_of_other_sites_are_refused(method: str, headers: dict[str, str]) -> None:
    """By either header, also from another port, for reading and changing, and within a frame."""
    problem = check_origin(method, CIMultiDict(headers, Host=HOST))
    assert problem is not None
    assert "a page of another site" in problem


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": f"http://{HOST}"},
        {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
)
def test_programs_and_own_pages_pass(method: str, headers: dict[str, str]) -> None:
    """Programs send neither header; a typed address has no origin."""
    assert check_origin(method, CIMultiDict(headers, Host=HOST)) is None


def test_following_a_link_passes() -> None:
    """A GET of a whole page passes from any site, as at the end of a login; a form does not."""
    visit = {
        "Host": HOST,
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert check_origin("GET", visit) is None
    assert check_origin("POST", {**visit, "Origin": "https://evil.example"}) is not None


def test_refusal_quotes_the_host_harmlessly() -> None:
    """The quote is short, and has no control characters."""
    problem = check_host({"Host": "\x1b[31m" + "x" * 5_000}, Hosts.of("127.0.0.1"))
    assert problem is not None
    assert problem.isprintable()
    assert len(problem) < 400
