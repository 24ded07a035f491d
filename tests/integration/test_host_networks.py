"""The tests' own hosts (tests/hosts.py) behave as hosts do."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosts import Host, Network

from songswap.supervision.process import Process, marked, wait_until

Echo = Callable[[Host], Process]
ECHO = """
import socket, sys
server = socket.create_server((sys.argv[1], 7))
print("listening", flush=True)
connection, _ = server.accept()
while data := connection.recv(100):
    connection.send(data)
"""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A network with nothing on it yet."""
    with Network(tmp_path) as network:
        if network.why_not:
            pytest.skip(network.why_not)
        yield network


@pytest.fixture
def echo() -> Iterator[Echo]:
    """Starts a program on a host that sends back what one client sends to its port 7."""
    started: list[Process] = []

    def start(host: Host) -> Process:
        words = [sys.executable, "-c", ECHO, host.address]
        process = Process("Echo", words, log=host.disk / "echo.log", mark=host.disk)
        started.append(process)
        with host.inside():
            process.start()
        process.wait_ready(lambda: "listening" in process.output(), 30)
        return process

    yield start
    for process in started:
        process.kill()


def test_hosts_reach_each_other_alone(network: Network, echo: Echo) -> None:
    """One host reaches another by its address; this machine reaches neither."""
    near, far = network.add("near"), network.add("far")
    echo(far)
    with near.inside():
        connection = socket.create_connection((far.address, 7), timeout=30)
    with connection:
        connection.send(b"hello")
        assert connection.recv(100) == b"hello"
    routes = subprocess.run(["ip", "route"], check=True, capture_output=True, text=True)  # noqa: S607
    assert "10.213.0." not in routes.stdout


def test_host_cut_off_comes_back(network: Network, echo: Echo) -> None:
    """What is sent to a host that is cut off arrives when it is back, on the same connection."""
    near, far = network.add("near"), network.add("far")
    echo(far)
    with near.inside():
        connection = socket.create_connection((far.address, 7), timeout=1)
    with connection:
        far.cut_off()
        connection.send(b"hello")
        with pytest.raises(TimeoutError):
            connection.recv(100)
        far.reconnect()
        connection.settimeout(60)
        assert connection.recv(100) == b"hello"


def test_dead_host_leaves_nothing(network: Network, echo: Echo) -> None:
    """Its processes and its disk are gone, nobody was told; another may take its name."""
    near, far = network.add("near"), network.add("far")
    process = echo(far)
    with near.inside():
        connection = socket.create_connection((far.address, 7), timeout=1)
    with connection:
        far.die()
        assert wait_until(lambda: not process.running, 30)
        assert not marked(far.disk)
        assert not far.disk.exists()
        with pytest.raises(TimeoutError):
            connection.recv(100)
    again = network.add("far")
    assert not list(again.disk.iterdir())
    assert again.address != far.address


def test_nothing_is_left(tmp_path: Path, echo: Echo) -> None:
    """At the end there are neither processes nor namespaces, however it ends."""
    with pytest.raises(KeyError), Network(tmp_path) as network:  # noqa: PT012  (all of it)
        if network.why_not:
            pytest.skip(network.why_not)
        host = network.add("near")
        process = echo(host)
        raise KeyError
    assert not process.running
    assert marked(host.disk) == []
    names = {path.name for path in Path("/run/netns").iterdir()}
    assert not {name for name in names if name.startswith(network.mark)}
