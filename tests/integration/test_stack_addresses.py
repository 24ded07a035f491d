"""What the demo prints at its end can be copied and opened."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from songswap.dev.stack.access import platform_access
from songswap.dev.stack.demo import addresses
from songswap.dev.stack.plan import make_plan
from songswap.dev.stack.stack import Stack
from songswap.dev.stack.state import World


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The parts that start fast; of Airflow only what is printed."""
    monkeypatch.chdir(tmp_path)
    airflow = SimpleNamespace(url="http://127.0.0.1:65535", password="x" * 16)
    monkeypatch.setattr(Stack, "airflow", airflow)
    world = World(1, 3, 3, "2026-11-20T00:00:00Z")
    made = Stack(tmp_path / ".songswap", make_plan({}), world, platform_access(), tmp_path)
    made.objects.port = 0
    made.objects.start()
    made.simulator = type(made.simulator)(tmp_path / "simulator", 0, ("--users", "3"))
    made.simulator.start()
    try:
        yield made
    finally:
        made.simulator.stop()
        made.objects.stop()


def test_addresses_open_in_a_browser(stack: Stack) -> None:
    """Each but Airflow's, which the test of the whole demo opens: 200 and a page."""
    found = re.findall(r"http://\S+", "\n".join(addresses(stack)))
    others = [address for address in found if not address.startswith(stack.airflow.url)]
    assert (len(found), len(others)) == (5, 3)
    for address in others:
        request = Request(address, headers={"Accept": "text/html,*/*;q=0.8"})  # noqa: S310  (ours)
        with build_opener(ProxyHandler({})).open(request, timeout=60) as response:
            assert response.status == 200, address
            assert response.headers.get_content_type() == "text/html", address


def test_addresses_fit_a_narrow_terminal(stack: Stack) -> None:
    """80 columns, no frame around them, an address a line; no password of the warehouse."""
    lines = addresses(stack)
    assert max(map(len, lines)) <= 80
    assert all(line.count("http://") <= 1 for line in lines)
    assert not [line for line in lines if "postgresql://" in line]
    assert any(line.startswith("Terminal    . .songswap/environment") for line in lines)
